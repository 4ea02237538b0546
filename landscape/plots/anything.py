"""`plot`: whatever there is, drawn as it is drawn best."""

from __future__ import annotations

import base64
import html
import io
import os
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from landscape.base.result import Result
from landscape.plots.adaptive_rate import plot_adaptive_rate
from landscape.plots.curvature_map import plot_curvature_map
from landscape.plots.density import plot_density
from landscape.plots.diagnosis import plot_diagnosis
from landscape.plots.gradients import plot_gradient_histogram
from landscape.plots.layers import plot_layers
from landscape.plots.path import plot_path
from landscape.plots.profile import plot_profile
from landscape.plots.results import drawings
from landscape.plots.sharpness import plot_sharpness
from landscape.plots.spectrum import plot_spectrum
from landscape.plots.surface import plot_surface
from landscape.plots.venues import is_styled, saving, style
from landscape.plots.walk import plot_walk
from landscape.plots.walk_statistics import plot_walk_statistics
from landscape.results.recorded import named_results

_PLOTS = {
    "Surface": plot_surface, "Profile": plot_profile, "Walk": plot_walk,
    "WalkStatistics": plot_walk_statistics, "PathMetrics": plot_path, "LayerMetrics": plot_layers,
    "GradientHistogram": plot_gradient_histogram, "AdaptiveRate": plot_adaptive_rate,
    "Spectrum": plot_spectrum, "SpectralDensity": plot_density, "CurvatureMap": plot_curvature_map,
    "CurvaturePath": plot_sharpness, "Diagnosis": plot_diagnosis,
}  # fmt: skip
_DOTS = 80  # per inch, in a notebook


class Pictures(Sequence[Figure]):
    """Figures with a sentence each; a notebook shows them.

    Attributes:
        figures: Matplotlib figures, yours to change.
        sentences: What each of them shows.
    """

    figures: tuple[Figure, ...]
    sentences: tuple[str, ...]

    def __init__(self, figures: Sequence[Figure], sentences: Sequence[str]) -> None:
        self.figures, self.sentences = tuple(figures), tuple(sentences)
        self._saving = saving()
        for figure in self.figures:
            # The layout is solved before equal axes shrink; a second pass makes room for labels.
            if any(ax.get_aspect() != "auto" for ax in figure.axes):
                figure.draw_without_rendering()

    def __len__(self) -> int:
        return len(self.figures)

    def __getitem__(self, index: Any) -> Any:
        return self.figures[index]

    def __repr__(self) -> str:
        first = self.sentences[0]
        return f"Pictures({len(self)}: {first if len(first) < 150 else first[:149] + '…'})"

    def png(self, index: int = 0, *, dots: float = _DOTS) -> bytes:
        """One figure as a PNG."""
        found = io.BytesIO()
        self.figures[index].savefig(found, format="png", dpi=dots)
        return found.getvalue()

    def savefig(self, path: str | os.PathLike[str], **options: Any) -> None:
        """Save the figures: the first as `path`, the others beside it with a number."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        for number, figure in enumerate(self.figures, start=1):
            named = path if number == 1 else path.with_stem(f"{path.stem}-{number}")
            with mpl.rc_context(self._saving):  # fonts are embedded as text
                figure.savefig(named, **options)

    def _repr_html_(self) -> str:
        shown = []
        for index, sentence in enumerate(self.sentences):
            data = base64.b64encode(self.png(index)).decode("ascii")
            text = html.escape(sentence)
            shown.append(f'<img alt="{text}" src="data:image/png;base64,{data}"><p>{text}</p>')
        return "".join(shown)


def plot(*what: Any, **options: Any) -> Pictures:
    """Draw anything: results, a file of results, a recorded run.

    For a paper, in its widths and its type: ``with ls.style("neurips", columns=2): plot(...)``;
    in one column only pictures of a single panel have room.

    Args:
        *what: A result, several, results by name, the path of a results file or of a recorded
            run, or a `Trajectory`. A surface and projections on its plane are drawn together.
        **options: Passed to the plot of its kind, where all results are of one:
            `plot_surface`, `plot_profile`, `plot_walk`, `plot_path`, …

    Returns:
        The figures; a notebook shows them, ``plot(...)[0]`` is the first, ``.savefig(path)`` saves
        all.

    Raises:
        ValueError: If there is nothing to draw; it says what to measure.
        TypeError: If an option is unknown.

    >>> import numpy as np
    >>> from landscape.results.profile import Profile
    >>> line = Profile(
    ...     alpha=np.array([0.0, 1.0]), metrics=("loss",), values=np.array([[[2.0, 1.0]]]),
    ...     standard_error=np.zeros((1, 1, 2)), names=("Adam",), label="α",
    ... )
    >>> plot(line)
    Pictures(1: The loss along straight lines: Adam.)
    """
    results = named_results(what)
    with nullcontext() if is_styled() else style("screen", columns=2):
        if options:
            return _with_options(results, options)
        if drawn := list(drawings(results)):
            return Pictures([one.figure for one in drawn], [one.sentence for one in drawn])
    kinds = ", ".join(sorted({type(result).__name__ for result in results.values()}))
    raise ValueError(
        f"Nothing is drawn of {kinds} alone; measure the loss there: "
        "ls.loss_surface(objective, plane), ls.loss_line(objective, line)."
    )


def _with_options(results: Mapping[str, Result], options: Mapping[str, Any]) -> Pictures:
    kinds = {type(result).__name__ for result in results.values()}
    kind = next(iter(kinds)) if len(kinds) == 1 else ""
    if kind not in _PLOTS:
        raise ValueError(
            f"Options ({', '.join(options)}) go with results of one kind of "
            f"{', '.join(_PLOTS)}; got {', '.join(sorted(kinds))}."
        )
    draw: Any = _PLOTS[kind]
    several = list(results.values())
    figure = Figure(layout="constrained")
    shown = several[0] if len(several) == 1 else several
    draw(shown, ax=figure.add_subplot(), **options)
    return Pictures([figure], [f"{kind} with {', '.join(options)}."])
