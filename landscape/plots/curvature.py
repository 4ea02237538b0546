"""The curvature in a results file, as figures with a sentence each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from matplotlib.figure import Figure

from landscape.base.result import Result
from landscape.plots.curvature_map import plot_curvature_map
from landscape.plots.density import plot_density
from landscape.plots.sharpness import plot_gradient_share, plot_predicted_change, plot_sharpness
from landscape.plots.spectrum import plot_spectrum
from landscape.plots.style import rank
from landscape.results.curvature_map import CurvatureMap
from landscape.results.curvature_path import CurvaturePath
from landscape.results.spectral_density import SpectralDensity
from landscape.results.spectrum import Spectrum

DINH = "Sharpness compares points of one run, in one parametrisation (Dinh et al. 2017)."
SONG = (
    "The gradient lies along the top eigenvectors because the steps oscillate there, not because "
    "training happens there (Song et al. 2024)."
)
Drawn = tuple[str, Figure, str, dict[str, Result]]


def curvature_drawings(results: Mapping[str, Result]) -> Iterator[Drawn]:
    """Name, figure, sentence and results of every figure of curvature."""
    paths: dict[str, CurvaturePath] = {}
    for name, result in results.items():
        if isinstance(result, Spectrum):
            figure = Figure()
            plot_spectrum(result, ax=figure.add_subplot())
            ends = f"{result.top} largest and {len(result.value) - result.top} smallest"
            worst = float(np.max(result.residual))
            sentence = f"The {ends} eigenvalues of the Hessian, residuals up to {worst:.1g}. {DINH}"
            yield name, figure, sentence, {name: result}
        elif isinstance(result, SpectralDensity):
            figure = Figure()
            plot_density(result, ax=figure.add_subplot())
            sentence = f"The density of the Hessian's {result.size:,} eigenvalues. {DINH}"
            yield name, figure, sentence, {name: result}
        elif isinstance(result, CurvatureMap):
            figure = Figure()
            plot_curvature_map(result, ax=figure.add_subplot())
            sentence = f"|λmin / λmax| over a plane: {_convex(result)}. {DINH}"
            yield name, figure, sentence, {name: result}
        elif isinstance(result, CurvaturePath):
            paths[name] = result
    if paths:
        yield _along(dict(sorted(paths.items(), key=lambda p: rank(p[1].optimizer or p[1].name))))


def _convex(found: CurvatureMap) -> str:
    known = found.computed & np.isfinite(found.smallest)
    convex, up, across = int(found.convex[known].sum()), *found.computed.shape
    told = f"the loss is convex at {convex} of {int(known.sum())} points"
    return told + ("" if known.all() else f", the others of {across} × {up} are not known")


def _along(paths: dict[str, CurvaturePath]) -> Drawn:
    shown = list(paths.values())
    figure = Figure()
    width, height = figure.get_size_inches()
    measured = [p for p in shown if np.isfinite(p.measured).any()]
    figure.set_size_inches(width, height * (1.6 if measured else 0.9))
    grid = figure.add_gridspec(2 if measured else 1, 2)
    plot_sharpness(shown, ax=figure.add_subplot(grid[0, 0]))
    plot_gradient_share(shown, ax=figure.add_subplot(grid[0, 1]))
    if measured:
        plot_predicted_change(measured[0], ax=figure.add_subplot(grid[1, :]))
    last = [
        f"{p.name} {p.relative_sharpness[-1]:.2f}"
        for p in shown
        if np.isfinite(p.relative_sharpness[-1])
    ]
    ends = f"; at the end, over its threshold: {', '.join(last)}" if last else ""
    return "curvature", figure, f"Sharpness along the run{ends}. {DINH} {SONG}", dict(paths)
