"""The commit of a working folder, read from git's own files.

The git program is not asked: what it does with a folder is for the folder's configuration to say,
which may name commands (a monitor of files, filters, hooks). A folder that was unpacked from an
archive must not run anything because something is measured in it. Whether the files differ from
the commit is therefore not told.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

_MOST = 1 << 24  # bytes of a file of names that are looked at
_NAME = re.compile(r"refs/(?!.*\.\.)[^\s\\:?*~^\[]+")
_COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")


def commit_of(folder: Path) -> str | None:
    """First 12 hexadecimal digits of the commit that is checked out around `folder`.

    Returns:
        None where there is none, or where git keeps it in another way than in plain files.
    """
    try:
        for place in (folder, *folder.parents):
            git = place / ".git"
            if git.is_file():  # of a further working tree, or a submodule
                said = _text(git).removeprefix("gitdir:").strip()
                git = place / said
            if (git / "HEAD").is_file():
                return _head(git)
    except (OSError, ValueError):
        return None
    return None


def _head(git: Path) -> str | None:
    said = _text(git / "HEAD").strip()
    if said.startswith("ref:"):
        name = said.removeprefix("ref:").strip()
        if not _NAME.fullmatch(name):
            return None
        shared = git / _text(git / "commondir").strip() if (git / "commondir").is_file() else git
        said = next((_text(p / name).strip() for p in (git, shared) if (p / name).is_file()), "")
        said = said or _packed(shared / "packed-refs", name)
    return said[:12] if _COMMIT.fullmatch(said) else None


def _packed(path: Path, name: str) -> str:
    lines = _text(path).splitlines() if path.is_file() else []
    return next((line.split(" ")[0] for line in lines if line.endswith(f" {name}")), "")


def _text(path: Path) -> str:
    if not path.is_file():  # a pipe or a device would keep us waiting
        raise ValueError(f"{path} is no file.")
    with open(path, "rb") as file:  # as many bytes as are asked for are held before it is read
        return file.read(min(_MOST, os.fstat(file.fileno()).st_size)).decode()
