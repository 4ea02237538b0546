"""What is looked at before anything slow is loaded: files that are read and written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from landscape.base.suggest import did_you_mean

if TYPE_CHECKING:
    from landscape.base.runs.trajectory import Trajectory

_OTHER = {  # suffix: what ends so
    ".png": "a picture", ".pdf": "a figure", ".svg": "a figure", ".html": "a page",
    ".pt": "a checkpoint", ".pth": "a checkpoint", ".ckpt": "a checkpoint", ".csv": "a table",
    ".json": "a table", ".txt": "a text", ".gif": "a film", ".mp4": "a film", ".py": "a program",
}  # fmt: skip


def check_there(paths: Sequence[Path]) -> Sequence[Path]:
    """Files, if they are there; an error names the nearest that is.

    Raises:
        FileNotFoundError: If one is missing.
    """
    for path in paths or ():
        if not path.exists():
            folder = path.parent
            beside = [one.name for one in folder.iterdir()] if folder.is_dir() else []
            meant = did_you_mean(path.name, beside)
            raise FileNotFoundError(f"{path}: no such file.{meant}")
    return paths


def say_live(run: Trajectory) -> None:
    """Say of a run that is still being recorded how far it is: what follows is up to there."""
    if run.live:
        step = run.steps[0] + run.updates
        typer.echo(f"{run.path}: still being recorded, step {step:,}", err=True)


def check_suffix(path: Path | None, allowed: tuple[str, ...], what: str) -> None:
    """Refuse to write something into a file whose name says that it is something else.

    Raises:
        ValueError: If the suffix is not among those allowed.
    """
    if path is not None and path.suffix not in allowed:
        raise ValueError(f"{what} ends in {' or '.join(allowed)}; not {path.name!r}.")


def check_data_file(path: Path | None, what: str) -> None:
    """Refuse to write a run or results into what by its name is a picture, a table or the like.

    Raises:
        ValueError: If it is.
    """
    if path is not None and (other := _OTHER.get(path.suffix.lower())):
        raise ValueError(f"{what} ends in .h5; {path.name!r} would be {other}.")


def check_folder(path: Path, suffixes: tuple[str, ...]) -> None:
    """Refuse a folder whose name is that of a file.

    Raises:
        ValueError: If it has a suffix of files.
    """
    if path.suffix.lower() in suffixes:
        kind = path.suffix.lower().lstrip(".")
        raise ValueError(
            f"--out is a folder for the figures, and {path.name!r} the name of a file: "
            f"--out {path.parent} --format {kind}."
        )
