"""Write the explorer: results in, one HTML file out that needs no network."""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import json
import os
import re
from collections.abc import Iterable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Literal

from plotly.offline import get_plotlyjs, get_plotlyjs_version

from landscape.analysis import load_results
from landscape.explorer.content import Sources, page_content
from landscape.replaceable import check_replaceable
from landscape.store import Result

PlotlyJS = Literal["inline", "inline-raw", "directory", "cdn"]

_SCRIPTS = (
    "data", "state", "format", "colour", "ticks", "chart", "curves", "camera", "terrain",
    "markers", "labels", "runs", "fallback", "land", "legend", "table", "player",
    "notes", "export", "page",
)  # fmt: skip
"""Parts of the program, in the order in which they are put together."""


def explore(
    results: str | os.PathLike[str] | Iterable[str | os.PathLike[str]] | Mapping[str, Result],
    out: str | os.PathLike[str],
    *,
    title: str | None = None,
    description: str | None = None,
    plotlyjs: PlotlyJS = "inline",
) -> Path:
    """Write one interactive page about runs and the surfaces they crossed.

    The page opens from disk. Contour and 3-D surface, paths, loss, angles, distances, walk and
    the read-out table follow one step slider. What was measured is drawn as it is: values that
    are not finite are gaps, and a marker in 3-D has the loss measured at its state.

    Args:
        results: One results file, several, or results by name.
        out: The page to write, for example ``adam.html``.
        title: Headline; default: the task and the number of runs.
        description: A paragraph below the headline.
        plotlyjs: Where plotly.js comes from: ``inline`` (compressed in the page; any browser of
            2023 or later), ``inline-raw`` (as it is, 3 MB more), ``directory`` (a file
            ``plotly.min.js`` beside the page), ``cdn`` (fetched from the network when opened).

    Returns:
        The path of the page.

    Raises:
        ValueError: If there is nothing to draw or `plotlyjs` is unknown.
        SchemaError: If a file holds no results.
        FileExistsError: If something else than a page is where the page is to be written.
    """
    if plotlyjs not in ("inline", "inline-raw", "directory", "cdn"):
        raise ValueError(
            f"plotlyjs must be inline, inline-raw, directory or cdn; not {plotlyjs!r}."
        )
    check_replaceable(out, ".html")
    sources = _sources(results)
    content = page_content(sources)
    heading = title or _title(sources, len(content["runs"]))
    content |= {"title": heading, "description": description or ""}
    here = files("landscape.explorer")
    script = "\n".join(here.joinpath("js", f"{s}.js").read_text("utf-8") for s in _SCRIPTS)
    out = Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    parts = {
        "TITLE": html.escape(heading),
        "STYLE": here.joinpath("explorer.css").read_text("utf-8"),
        "PLOTLY": _plotly(plotlyjs, out.parent),
        "PROGRAM": f"(() => {{\n'use strict';\n{script}\n}})();",
        "CONTENT": json.dumps(content, allow_nan=False).replace("<", "\\u003c"),
    }
    template = here.joinpath("template.html").read_text("utf-8")
    page = re.sub(r"\{\{([A-Z]+)\}\}", lambda match: parts[match[1]], template)
    partial = out.with_name(out.name + ".partial")
    partial.write_text(page, "utf-8")
    os.replace(partial, out)
    return out


def _sources(results: object) -> Sources:
    if isinstance(results, Mapping):
        return {"": results}
    if isinstance(results, str | os.PathLike):
        results = [results]
    if not isinstance(results, Iterable):
        raise ValueError(f"results must be files or results by name; not {results!r}.")
    paths = [Path(os.fspath(path)) for path in results]
    stems = [path.name.removesuffix(".h5").removesuffix(".results") for path in paths]
    labels = [s if stems.count(s) == 1 else str(p) for s, p in zip(stems, paths, strict=True)]
    return {label: load_results(path) for label, path in zip(labels, paths, strict=True)}


def _title(sources: Sources, runs: int) -> str:
    tasks = {
        str(settings["task"]): None
        for results in sources.values()
        for result in results.values()
        if (settings := getattr(result, "settings", {})).get("task")
    }
    subject = ", ".join(tasks) or ", ".join(filter(None, sources)) or "Loss landscape"
    return f"{subject} · {runs} run{'s' if runs != 1 else ''}" if runs else subject


def _plotly(where: PlotlyJS, folder: Path) -> str:
    """The element that brings plotly.js; its licence (MIT) is in the file's first lines."""
    code = get_plotlyjs()
    if where == "inline":
        packed = base64.b64encode(gzip.compress(code.encode(), 9, mtime=0)).decode("ascii")
        return f'<script type="application/gzip" id="plotly">{packed}</script>'
    if where == "inline-raw":
        safe = code.replace("</script", "<\\/script")
        return f"<script>{safe}</script>"
    if where == "directory":
        (folder / "plotly.min.js").write_text(code, "utf-8")
        return '<script src="plotly.min.js"></script>'
    digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode("ascii")
    address = f"https://cdn.plot.ly/plotly-{get_plotlyjs_version()}.min.js"
    return f'<script src="{address}" integrity="sha256-{digest}" crossorigin></script>'
