"""What pictures, films, meshes and pages may be written over: their own kind, and nothing else.

A picture can be drawn again, so that a new one takes its place unasked. A run, a table or a program
that happens to have the name cannot.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

_LOOK = 1024  # bytes at the beginning that tell the kind of a file

_KINDS: dict[str, bytes] = {  # suffix: how such a file begins
    ".png": rb"\x89PNG\r\n\x1a\n",
    ".pdf": rb"%PDF-",
    ".svg": rb"(?s)\s*(<\?xml|<!DOCTYPE svg|<!--|<svg)",
    ".gif": rb"GIF8[79]a",
    ".mp4": rb"(?s)....ftyp",
    ".ply": rb"ply\r?\n",
    ".obj": rb"(#|mtllib|[ovg] |vt )",
    ".vtp": rb"\s*<(\?xml|VTKFile)",
    ".glb": rb"glTF",
    ".html": rb"(?si)\s*(<!--.*?-->\s*)*<(!doctype )?html",
}


def check_replaceable(path: str | os.PathLike[str], kind: str | None = None) -> None:
    """Refuse to write over a file of another kind.

    Args:
        path: Where something that can be drawn again is to be written.
        kind: The suffix of such files; default: that of the path.

    Raises:
        FileExistsError: If something else is there.
    """
    path = Path(path).expanduser()
    if not os.path.lexists(path):
        return
    kind = kind or path.suffix
    head = b""
    if path.is_file():
        with open(path, "rb") as file:
            head = file.read(_LOOK)
        if not head or (kind in _KINDS and re.match(_KINDS[kind], head)):
            return
    raise FileExistsError(
        f"{path} is there and no {kind.lstrip('.')} file; choose another name, or delete it."
    )
