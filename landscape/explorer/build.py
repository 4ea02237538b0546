"""Write the explorer: results in, one HTML file out that needs no network."""

from __future__ import annotations

import base64
import hashlib
import html
import os
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from landscape.base.files import expanded
from landscape.base.replaceable import check_replaceable
from landscape.explorer.content import Sources, page_content
from landscape.explorer.packing import packed_content
from landscape.explorer.picture import still_picture
from landscape.explorer.program import program
from landscape.explorer.shown import Page
from landscape.explorer.story import Scene, automatic_story, told
from landscape.plots.ground import GROUND
from landscape.results.conditions import Conditions
from landscape.results.recorded import named_results

PlotlyJS = Literal["inline", "inline-raw", "directory", "cdn"]


def explore(
    results: Any,
    out: str | os.PathLike[str] | None = None,
    *,
    title: str | None = None,
    description: str | None = None,
    notes: Mapping[int, str] | None = None,
    story: Sequence[Scene | tuple[str, Mapping[str, Any]]] | None = None,
    plotlyjs: PlotlyJS | None = None,
) -> Page:
    """Write one interactive page about runs and the surfaces they crossed.

    The page opens from disk. Map and terrain, paths, loss, angles, distances, walk and the
    read-out table follow one step slider. What was measured is drawn as it is: values that are
    not finite are gaps, and a marker in the terrain has the loss measured at its state.

    Args:
        results: One results file or recorded run, several, results by name, or results. Of a run
            the page shows what was recorded at every step.
        out: The page to write, for example ``adam.html``; default: ``NAME.html`` beside the file
            ``NAME.results.h5``, or ``explorer.html`` here.
        title: Headline; default: the task and the number of runs.
        description: A paragraph below the headline.
        notes: Marks on the steps, for example ``{128: "learning rate drops"}``.
        story: Scenes of the page's story, instead of those computed from the results: a
            `Scene`, or a pair of a sentence and the state of the page that shows it, for example
            ``("Here Adam turns.", {"step": 40, "view": "3d"})``. An empty list: no story.
        plotlyjs: Does nothing since the page draws by itself; kept for one release.

    Returns:
        The path of the page; a notebook shows the page itself.

    Raises:
        ValueError: If there is nothing to draw, or a note or a scene cannot be shown.
        SchemaError: If a file holds no results.
        FileExistsError: If something else than a page is where the page is to be written.

    >>> import landscape as ls
    >>> task = ls.load_task("digits/mlp")
    >>> objective = ls.Objective(task.model, task.loss, task.train, samples=32)
    >>> surface = ls.loss_surface(objective, resolution=5)
    >>> page = ls.explore(surface, "page.html")
    >>> page
    Page('page.html')
    """
    if plotlyjs is not None:
        warnings.warn(
            "plotlyjs does nothing: the page draws by itself and holds no plotly.js; "
            "leave it out, the next release refuses it.",
            DeprecationWarning,
            stacklevel=2,
        )
    out = _beside(results) if out is None else Path(out)
    check_replaceable(out, ".html")
    sources = _sources(results)
    content = page_content(sources)
    heading = title or _title(sources, len(content["runs"]))
    content |= {
        "title": heading,
        "description": description or "",
        "ground": GROUND,
        "marks": [[_step(step), str(note)] for step, note in sorted((notes or {}).items())],
        "story": told(automatic_story(sources, content) if story is None else story),
    }
    picture = _without_scripts(heading, sources)
    page = page_text(heading, content=packed_content(content), picture=picture)
    out = expanded(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(out.name + ".partial")
    partial.write_text(page, "utf-8", newline="\n")
    os.replace(partial, out)
    return Page(out)


def page_text(heading: str, *, content: str = "", picture: str = "", entry: str = "file") -> str:
    """The page around its content.

    Args:
        heading: Its title.
        content: What it shows, packed; empty where it comes later.
        picture: What is shown where no scripts run.
        entry: The module that starts it: ``file`` shows what the page holds and asks the network
            for nothing, ``live`` asks the server that it came from.
    """
    here = files("landscape.explorer")
    code = f"\n'use strict';\n{program(entry)}"
    digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode("ascii")
    asking = "connect-src 'self'; " if entry == "live" else ""
    parts = {
        "POLICY": "default-src 'none'; style-src 'unsafe-inline'; img-src data: blob:; "
        f"media-src blob:; base-uri 'none'; form-action 'none'; {asking}"
        f"script-src 'sha256-{digest}'",
        "TITLE": html.escape(heading),
        "STYLE": here.joinpath("explorer.css").read_text("utf-8"),
        "PICTURE": picture,
        "PROGRAM": code,
        "CONTENT": content,
    }
    template = here.joinpath("template.html").read_text("utf-8")
    return re.sub(r"\{\{([A-Z]+)\}\}", lambda match: parts[match[1]], template)


def _beside(results: object) -> Path:
    """Where the page of one file goes, and that of anything else."""
    if not isinstance(results, str | os.PathLike):
        return Path("explorer.html")
    path = Path(os.fspath(results))
    return path.with_name(path.name.removesuffix(".h5").removesuffix(".results") + ".html")


def _step(step: object) -> int:
    if isinstance(step, bool) or not isinstance(step, int):
        raise ValueError(f"notes are texts by step, {{128: 'lr drop'}}; {step!r} is no step.")
    return step


def _without_scripts(heading: str, sources: Sources) -> str:
    """What a browser shows that runs no scripts."""
    picture = still_picture(sources)
    image = f'<img alt="{html.escape(heading)}" src="{picture}">' if picture else ""
    return (
        f"<noscript><h1>{html.escape(heading)}</h1>{image}"
        "<p>Moving through the steps needs JavaScript; nothing is fetched from anywhere.</p>"
        "</noscript>"
    )


def _sources(results: Any) -> Sources:
    if isinstance(results, str | os.PathLike):
        results = [results]
    given = list(results) if isinstance(results, Iterable) else [results]
    if isinstance(results, Mapping) or not all(isinstance(r, str | os.PathLike) for r in given):
        return {"": named_results(results)}
    paths = [expanded(path) for path in given]
    stems = [path.name.removesuffix(".h5").removesuffix(".results") for path in paths]
    labels = [s if stems.count(s) == 1 else str(p) for s, p in zip(stems, paths, strict=True)]
    return {label: named_results(path) for label, path in zip(labels, paths, strict=True)}


def _title(sources: Sources, runs: int) -> str:
    tasks = {
        task: None
        for results in sources.values()
        for result in results.values()
        if (task := Conditions.of(getattr(result, "settings", {})).task)
    }
    subject = ", ".join(tasks) or ", ".join(filter(None, sources)) or "Loss landscape"
    return f"{subject} · {runs} run{'s' if runs != 1 else ''}" if runs else subject
