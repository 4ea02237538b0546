"""Everything a results file holds, as figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import NamedTuple, TypeVar

from matplotlib.figure import Figure

from landscape.base.files import expanded
from landscape.base.result import Result
from landscape.plots import venues
from landscape.plots.adaptive_rate import plot_adaptive_rate
from landscape.plots.barriers import plot_barriers
from landscape.plots.curvature import curvature_drawings
from landscape.plots.diagnosis import plot_diagnosis
from landscape.plots.file_names import slug, unused
from landscape.plots.gradients import plot_gradient_histogram
from landscape.plots.latex import latex
from landscape.plots.layers import plot_layers
from landscape.plots.legends import map_size, share_legend
from landscape.plots.path import plot_path
from landscape.plots.paths import legend_label
from landscape.plots.profile import plot_profile
from landscape.plots.save import FORMATS, save_figure
from landscape.plots.sentences import (
    barriers_sentence,
    path_sentence,
    profile_sentence,
    surface_sentence,
    walk_sentence,
)
from landscape.plots.style import rank
from landscape.plots.surface import belongs, plot_surface
from landscape.plots.walk import plot_walk, windows, within
from landscape.plots.walk_statistics import plot_walk_statistics
from landscape.results.adaptive_rate import AdaptiveRate
from landscape.results.barriers import Barriers
from landscape.results.curves import Barrier
from landscape.results.diagnosis import Diagnosis
from landscape.results.gradients import GradientHistogram
from landscape.results.layers import LayerMetrics
from landscape.results.path import PathMetrics
from landscape.results.profile import Profile
from landscape.results.projection import Projection
from landscape.results.surface import Surface
from landscape.results.walk import Walk
from landscape.results.walk_statistics import WalkStatistics

R = TypeVar("R", bound=Result)
Named = TypeVar("Named", Walk, PathMetrics, Projection)


class Drawn(NamedTuple):
    """A written figure and what it shows."""

    file: Path
    sentence: str


def plot_results(
    results: Mapping[str, Result],
    out: Path,
    *,
    formats: Sequence[str] = ("png", "pdf"),
    style: str = "paper",
) -> list[Drawn]:
    """Draw what a results file holds: surfaces with their paths, walks with angles, lines.

    Args:
        results: Results by name, from `load_results`.
        out: Folder for the figures; made when missing.
        formats: Of ``png``, ``pdf``, ``svg``.
        style: A venue or purpose, such as ``neurips``; see `landscape.style`.

    Returns:
        One entry per figure, in order: its file (in the first format; the others lie beside it)
        and a sentence that says what it shows. Beside a PDF lies its LaTeX, with that caption.

    Raises:
        ValueError: If nothing in `results` can be drawn, or a format or style is unknown.

    >>> import landscape as ls
    >>> task = ls.load_task("digits/mlp")
    >>> objective = ls.Objective(task.model, task.loss, task.train, samples=32)
    >>> surface = ls.loss_surface(objective, resolution=5)
    >>> from pathlib import Path
    >>> drawn = ls.plot_results({"surface/random": surface}, Path("figures"), formats=["png"])
    >>> [figure.file.name for figure in drawn]
    ['surface-random.png']
    """
    if not formats:
        raise ValueError(f"No format was given; choose of {', '.join(FORMATS)}.")
    written: list[Drawn] = []
    taken: set[str] = set()
    with venues.style(style, columns=2):
        for drawing in drawings(results):
            name = unused(drawing.name, taken)
            files = [expanded(out) / f"{name}.{kind.lstrip('.')}" for kind in formats]
            for file in files:
                save_figure(drawing.figure, file, results=drawing.results, title=drawing.sentence)
            for file in files:
                if file.suffix == ".pdf":
                    file.with_suffix(".tex").write_text(latex(file.name, drawing.sentence))
            written.append(Drawn(files[0], drawing.sentence))
    if not written:
        raise ValueError(
            f"Nothing to draw among {', '.join(results) or 'no results'}; measure a surface, a "
            "line, a walk or a path first."
        )
    return written


@dataclass(frozen=True)
class _Drawing:
    name: str
    figure: Figure
    sentence: str
    results: dict[str, Result]


def drawings(results: Mapping[str, Result]) -> Iterator[_Drawing]:
    """Every figure that can be drawn of these results, in order."""
    for name, surface in _all(results, Surface).items():
        paths = {n: p for n, p in _runs(results, Projection).items() if belongs(p, surface)}
        for metric in surface.metrics:
            yield _surface(name, surface, metric, paths)
    walks, paths = _runs(results, Walk), _runs(results, PathMetrics)
    if walks:
        yield _walks(walks, paths)
    if paths:
        yield _paths(paths)
    for name, profile in _all(results, Profile).items():
        yield _profile(name, profile)
    for name, barriers in _all(results, Barriers).items():
        yield _barriers(name, barriers)
    yield from _others(results)
    for name, figure, sentence, shown in curvature_drawings(results):
        yield _Drawing(slug(name), figure, sentence, shown)


def _surface(name: str, surface: Surface, metric: str, paths: dict[str, Projection]) -> _Drawing:
    labels = [legend_label(path, surface) for path in paths.values()]
    figure = Figure(figsize=map_size(surface, labels))
    plot_surface(surface, paths=list(paths.values()), metric=metric, ax=figure.add_subplot())
    sentence = surface_sentence(surface, metric, list(paths.values()))
    suffix = "" if metric == surface.metrics[0] else f"-{metric}"
    return _Drawing(slug(name + suffix), figure, sentence, {name: surface, **paths})


def _walks(walks: dict[str, Walk], paths: dict[str, PathMetrics]) -> _Drawing:
    """Loss between states, cosine of updates and distance, stacked over windows of steps."""
    shown = list(walks.values())
    names = [w.name for w in shown]
    mine = {n: p for n, p in paths.items() if p.name in names}
    columns, quantities = windows(shown), ("cosine", "distance") if mine else ()
    figure = Figure()
    width, height = figure.get_size_inches()
    figure.set_size_inches(width, height * (0.9 + 0.45 * len(quantities)))
    grid = figure.subplots(
        1 + len(quantities), len(columns), sharex="col", sharey="row", squeeze=False
    )
    for column, (first, last) in enumerate(columns):
        plot_walk([within(w, first, last) for w in shown], ax=grid[0, column])
        for row, quantity in enumerate(quantities, start=1):
            plot_path(list(mine.values()), quantity=quantity, smooth=1, ax=grid[row, column])
        grid[0, column].set_xlim(first, last)
        if column:
            grid[0, column].set_title("", loc="left")
    for ax in grid.flat:
        ax.label_outer()
    share_legend(figure)
    sentence = walk_sentence(shown, with_paths=bool(mine))
    return _Drawing("walk", figure, sentence, {**walks, **mine})


def _paths(paths: dict[str, PathMetrics]) -> _Drawing:
    shown = list(paths.values())
    figure = Figure()
    width, height = figure.get_size_inches()
    figure.set_size_inches(width, 1.3 * height)
    for place, quantity in enumerate(("angle", "update_norm", "distance", "path_length"), 1):
        plot_path(shown, quantity=quantity, ax=figure.add_subplot(2, 2, place))
    share_legend(figure)
    return _Drawing("path", figure, path_sentence(shown), dict(paths))


def _profile(name: str, profile: Profile) -> _Drawing:
    figure = Figure()
    for place, metric in enumerate(profile.metrics, 1):
        plot_profile(profile, metric=metric, ax=figure.add_subplot(1, len(profile.metrics), place))
    for ax in figure.axes[1:]:
        ax.set_title("", loc="left")
    share_legend(figure)
    return _Drawing(slug(name), figure, profile_sentence(profile), {name: profile})


def _others(results: Mapping[str, Result]) -> Iterator[_Drawing]:
    for name, layers in _all(results, LayerMetrics).items():
        figure = Figure()
        plot_layers(layers, ax=figure.add_subplot())
        share_legend(figure)
        sentence = f"Updates over weights of {layers.name}, tensor by tensor."
        yield _Drawing(slug(name), figure, sentence, {name: layers})
    for name, sizes in _all(results, GradientHistogram).items():
        figure = Figure()
        plot_gradient_histogram(sizes, ax=figure.add_subplot())
        first, last = sizes.quantiles([0.5])[0, [0, -1]]
        sentence = f"Sizes of the gradient's entries of {sizes.name}: median {first:.2g} at step "
        sentence += f"{sizes.step[0]}, {last:.2g} at step {sizes.step[-1]}."
        yield _Drawing(slug(name), figure, sentence, {name: sizes})
    for name, statistics in _all(results, WalkStatistics).items():
        figure = Figure()
        plot_walk_statistics(statistics, ax=figure.add_subplot())
        sentence = f"Shares of segments of the walk of {statistics.name} with a property."
        yield _Drawing(slug(name), figure, sentence, {name: statistics})
    for name, diagnosis in _all(results, Diagnosis).items():
        figure = Figure()
        plot_diagnosis(diagnosis, ax=figure.add_subplot())
        sentence = f"What stands out in {diagnosis.name}: {'; '.join(diagnosis.sentences())}."
        yield _Drawing(slug(name), figure, sentence, {name: diagnosis})
    for name, rate in _all(results, AdaptiveRate).items():
        figure = Figure()
        plot_adaptive_rate(rate, ax=figure.add_subplot())
        sentence = "The variance of Adam's adaptive rate, simulated and in closed form."
        yield _Drawing(slug(name), figure, sentence, {name: rate})


def _barriers(name: str, barriers: Barriers) -> _Drawing:
    """Both published definitions of every metric side by side."""
    figure = Figure()
    width, rows = figure.get_size_inches()[0], len(barriers.metrics)
    figure.set_size_inches(width, 0.4 * width * rows)
    definitions: tuple[Barrier, ...] = ("frankle2020", "entezari2022")
    for place, (metric, definition) in enumerate(product(barriers.metrics, definitions), 1):
        ax = figure.add_subplot(rows, 2, place)
        plot_barriers(barriers, definition=definition, metric=metric, ax=ax)
        if place > 1:
            ax.set_title("", loc="left")
    return _Drawing(slug(name), figure, barriers_sentence(barriers), {name: barriers})


def _all(results: Mapping[str, Result], kind: type[R]) -> dict[str, R]:
    return {name: result for name, result in results.items() if isinstance(result, kind)}


def _runs(results: Mapping[str, Result], kind: type[Named]) -> dict[str, Named]:
    """Results of one kind, one per run, in the order of legends."""
    found = _all(results, kind)
    return dict(sorted(found.items(), key=lambda item: rank(item[1].optimizer or item[1].name)))
