"""A folder of runs and results as a static site: an index with previews, and a page for each."""

from __future__ import annotations

import base64
import hashlib
import html
import io
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

from landscape.base.files import expanded
from landscape.base.replaceable import check_replaceable
from landscape.base.result import Result
from landscape.base.runs.trajectory import Trajectory
from landscape.explorer.build import explore
from landscape.explorer.picture import still_picture
from landscape.explorer.program import program
from landscape.plots.anything import plot
from landscape.results.conditions import Conditions
from landscape.results.path import PathMetrics
from landscape.results.recorded import is_run, named_results, recorded_path

_DOTS = 45  # per inch of a preview
_RESULTS = ".results.h5"


@dataclass(frozen=True)
class Entry:
    """One page of the gallery.

    Attributes:
        name: Where its file lies in the folder, without the suffix.
        results: What the page shows.
        tasks: What was trained.
        optimizers: By what.
        steps: The last step that anything is known of; 0 where there are none.
    """

    name: str
    results: Mapping[str, Result]
    tasks: tuple[str, ...]
    optimizers: tuple[str, ...]
    steps: int

    @property
    def place(self) -> str:
        """The page's file, below the site, where none is the index."""
        return f"runs/{self.name}.html"


def gallery(
    folder: str | os.PathLike[str], out: str | os.PathLike[str], *, title: str | None = None
) -> Path:
    """Write a static site about everything that lies in a folder, also in folders inside it.

    It is files only: it opens from disk, and any static host serves it. What a file of results
    lacks is taken from the run beside it (``adam.h5`` beside ``adam.results.h5``). A file that
    cannot be read is named below the others.

    Args:
        folder: Where recorded runs (.h5) and results (.results.h5) are.
        out: The folder of the site; its pages are replaced.
        title: Headline; default: the folder's name.

    Returns:
        The index, ``out/index.html``.

    Raises:
        NotADirectoryError: If there is no such folder.
        ValueError: If nothing in it can be shown.
        FileExistsError: If something else than a page is where a page is to be written.

    >>> import tempfile
    >>> import numpy as np
    >>> import landscape as ls
    >>> nothing = np.full(2, np.nan)
    >>> path = ls.PathMetrics(
    ...     name="Adam", optimizer="adam", step=np.arange(2), update_norm=np.array([np.nan, 0.5]),
    ...     cosine=nothing, cosine_to_final=nothing, distance=np.array([0.0, 0.5]),
    ...     path_length=np.array([0.0, 0.5]), losses=np.array([np.nan, 1.5]), learning_rate=nothing,
    ... )
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = path.save(f"{folder}/data/adam.results.h5", "path/adam")
    ...     index = ls.gallery(f"{folder}/data", f"{folder}/site", title="Mine")
    ...     sorted(page.name for page in index.parent.rglob("*.html"))
    ['adam.html', 'index.html']
    """
    folder, out = expanded(folder), expanded(out)
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder} is no folder; give one with runs or results in it.")
    entries, left = [], []
    for name, paths in _files(folder).items():
        try:
            entries.append(_entry(name, paths))
        except (ValueError, OSError) as error:
            left.append(f"{name}: {str(error).replace(f'{folder}{os.sep}', '')}")
    entries = [entry for entry in entries if _written(entry, out, left)]
    if not entries:
        why = f" ({left[0]})" if left else ""
        raise ValueError(f"{folder} holds no run or results that can be shown{why}.")
    index = out / "index.html"
    check_replaceable(index, ".html")
    heading = title or folder.resolve().name
    index.write_text(_index(heading, entries, left), "utf-8", newline="\n")
    return index


def _files(folder: Path) -> dict[str, list[Path]]:
    """Name to its file of results, its run, or both."""
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("*.h5")):
        name = path.relative_to(folder).as_posix().removesuffix(".h5").removesuffix(".results")
        found.setdefault(name, []).append(path)
    return found


def _entry(name: str, paths: list[Path]) -> Entry:
    results: dict[str, Result] = {}
    runs = [Trajectory(path) for path in paths if not path.name.endswith(_RESULTS) and is_run(path)]
    for path in paths:
        if path.name.endswith(_RESULTS) or not is_run(path):
            results |= named_results(path)
    for run in runs:
        if not any(isinstance(r, PathMetrics) and r.name == run.name for r in results.values()):
            try:
                results[f"path/{run.path.stem}"] = recorded_path(run)
            except ValueError:  # imported, or recorded without numbers
                if not results:
                    raise
    tasks = [str(run.run["task"]) for run in runs if run.run.get("task")]
    tasks += [t for r in results.values() if (t := Conditions.of(getattr(r, "settings", {})).task)]
    optimizers = [run.run.get("optimizer") for run in runs]
    optimizers += [getattr(result, "optimizer", "") for result in results.values()]
    recorded = [getattr(r, "step", None) for r in results.values()]
    steps = [int(step[-1]) for step in recorded if step is not None and len(step)]
    return Entry(
        name, results, tuple(dict.fromkeys(tasks)),
        tuple(str(o) for o in dict.fromkeys(optimizers) if o), max(steps, default=0),
    )  # fmt: skip


def _written(entry: Entry, out: Path, left: list[str]) -> bool:
    """Write an entry's page and preview; whether there was something to show."""
    page = out / entry.place
    try:
        explore(entry.results, page, title=entry.name)
    except ValueError as error:
        left.append(f"{entry.name}: {error}")
        return False
    page.with_suffix(".png").write_bytes(_preview(entry.results))
    return True


def _preview(results: Mapping[str, Result]) -> bytes:
    """A small picture: the first surface, or else the first figure."""
    still = still_picture({"": results})
    if still:
        from PIL import Image

        picture = Image.open(io.BytesIO(base64.b64decode(still.partition(",")[2])))
        small = io.BytesIO()
        picture.resize((picture.width // 2, picture.height // 2)).save(small, "png", optimize=True)
        return small.getvalue()
    return plot(results).png(0, dots=_DOTS)


def _index(heading: str, entries: list[Entry], left: list[str]) -> str:
    code = f"\n{program('gallery')}"
    digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode("ascii")
    notes = "".join(f"<p>{html.escape(' '.join(why.split()))}</p>" for why in left)
    parts = {
        "POLICY": "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' file: data:; "
        f"base-uri 'none'; form-action 'none'; script-src 'sha256-{digest}'",
        "TITLE": html.escape(heading),
        "TASKS": _options(task for entry in entries for task in entry.tasks),
        "OPTIMIZERS": _options(name for entry in entries for name in entry.optimizers),
        "CARDS": "\n".join(_card(entry) for entry in entries),
        "LEFT": f"<h2>Not shown</h2>{notes}" if left else "",
        "PROGRAM": code,
    }
    template = files("landscape.explorer").joinpath("gallery.html").read_text("utf-8")
    return re.sub(r"\{\{([A-Z]+)\}\}", lambda match: parts[match[1]], template)


def _options(names: Iterator[str]) -> str:
    return "".join(f"<option>{html.escape(name)}</option>" for name in sorted(set(names)))


def _card(entry: Entry) -> str:
    kinds = sorted({type(result).__name__ for result in entry.results.values()})
    about = [", ".join(entry.tasks), ", ".join(entry.optimizers)]
    about += [f"{entry.steps:,} steps"] if entry.steps else []
    said = " · ".join(filter(None, about))
    place = html.escape(quote(f"runs/{entry.name}"))

    def data(value: Any) -> str:
        return html.escape(value if isinstance(value, str) else json.dumps(value), quote=True)

    text = " ".join([entry.name, *entry.tasks, *entry.optimizers, *kinds]).lower()
    return (
        f'<a class="card" href="{place}.html" data-tasks="{data(entry.tasks)}" '
        f'data-optimizers="{data(entry.optimizers)}" data-text="{data(text)}">'
        f'<img src="{place}.png" alt="" loading="lazy"><h2>{html.escape(entry.name)}</h2>'
        f"<p>{html.escape(said)}</p><p>{html.escape(', '.join(kinds))}</p></a>"
    )
