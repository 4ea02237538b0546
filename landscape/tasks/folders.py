"""Where data sets lie on this computer, and what to do when they do not."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Sequence
from pathlib import Path


def data_roots() -> list[Path]:
    """Folders that are searched for data sets: ``data/``, then ``$LANDSCAPE_DATA``."""
    roots = [Path("data")]
    if given := os.environ.get("LANDSCAPE_DATA"):
        roots += [Path(given).expanduser(), Path(given).expanduser() / "data"]
    return roots


def find_data(name: str, files: Sequence[str]) -> dict[str, Path]:
    """Find all `files` of the data set `name`, plain or compressed with gzip.

    Args:
        name: Folder of the data set below one of `data_roots`.
        files: Names of the files without ``.gz``.

    Returns:
        Each name with the path of the file, all in one folder.

    Raises:
        FileNotFoundError: If no folder holds all of them.
    """
    for root in data_roots():
        found = {file: _plain_or_gz(root / name / file) for file in files}
        if all(found.values()):
            return {file: path for file, path in found.items() if path}
    places = ", ".join(str(root / name) for root in data_roots())
    raise FileNotFoundError(
        f"{name}: no folder holds {', '.join(files)} (plain or .gz); looked in {places}. Run "
        f"`landscape data fetch {name}`, or set LANDSCAPE_DATA to the folder that holds {name}/."
    )


def read_data(path: Path) -> bytes:
    """The contents of `path`, decompressed when its name ends in ``.gz``.

    Raises:
        ValueError: If the compressed file is damaged or incomplete.
    """
    if path.suffix != ".gz":
        return path.read_bytes()
    try:
        return gzip.decompress(path.read_bytes())
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(
            f"{path} is not a complete gzip file ({error}); delete it and fetch it again."
        ) from error


def _plain_or_gz(path: Path) -> Path | None:
    for candidate in (path, path.with_name(path.name + ".gz")):
        if candidate.is_file():
            return candidate
    return None
