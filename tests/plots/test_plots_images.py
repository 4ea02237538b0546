"""Whole pictures against kept ones: what no assertion on an artist sees, such as overlap and order.

Each test returns a figure, which pytest-mpl compares with ``tests/plots/baseline/NAME.png``.
After a change that is meant, look at the new pictures and keep them:
``pytest tests/plots/test_plots_images.py --mpl-generate-path=tests/plots/baseline``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure
from test_plots import BOWL, make_metrics, make_path, make_profile, make_surface, make_walk

import landscape as ls
from landscape.optim.registry import OPTIMIZERS
from landscape.plots.render import render_surface
from landscape.plots.style import look

# Text is set differently by other versions: 3.10 differs by 16 to 63 on every picture.
pytestmark = pytest.mark.skipif(
    not mpl.__version__.startswith("3.11."), reason="the kept pictures are matplotlib 3.11's"
)

# Root mean square over pixels and channels, of 255. The same build draws the same bytes; one run
# in another colour, other dashes, no halo or no hatching change a picture by 4.6 and up.
picture = pytest.mark.mpl_image_compare(tolerance=3, savefig_kwargs={"dpi": 64})


@contextlib.contextmanager
def printed(name: str, *, columns: int = 1) -> Iterator[None]:
    """A style in the letters that matplotlib brings: others differ between machines."""
    with ls.style(name, columns=columns), mpl.rc_context({"font.family": ["DejaVu Sans"]}):
        yield


@picture
def test_contours_with_paths() -> Figure:
    other = replace(
        make_path("SGD", "sgd"), coordinates=np.array([[-1, 0.1], [1.0, 0.2], [2.0, 0.7]])
    )
    with printed("paper"):
        figure = Figure(figsize=(3.4, 3.1))
        ls.plot_surface(make_surface(BOWL), paths=[make_path(), other], ax=figure.add_subplot())
    return figure


@picture
def test_contours_with_holes() -> Figure:
    """Hatched: not measured; crossed: not a number; pointed colour bar: clipped."""
    values, computed = BOWL.copy(), np.ones(BOWL.shape, bool)
    values[2, 2], values[3, 5], values[4, 7] = np.nan, np.inf, 1e9
    values[0], computed[0] = np.nan, False
    with printed("paper"):
        figure = Figure(figsize=(3.6, 2.6))
        ls.plot_surface(
            make_surface(values, computed=computed), ceiling=1.0, ax=figure.add_subplot()
        )
    return figure


@picture
def test_relief_with_path() -> Figure:
    x, y = np.meshgrid(np.linspace(-2, 4, 13), np.linspace(0, 1, 9))
    hills = make_surface(0.2 + (x / 3) ** 2 + (y - 0.4) ** 2 + 0.3 * np.sin(3 * x) * y)
    with printed("paper"):
        figure = Figure(figsize=(4, 2.8))
        render_surface(
            hills, paths=[make_path()], pixels=240, view=(40, -60), bar=True,
            ax=figure.add_subplot(),
        )  # fmt: skip
    return figure


@picture
def test_profiles_with_bands() -> Figure:
    error = np.abs(np.linspace(-0.3, 0.3, 42)).reshape(2, 1, 21)
    with printed("paper"):
        figure = Figure(figsize=(3.4, 2.4))
        ls.plot_profile(make_profile(standard_error=error), ax=figure.add_subplot())
    return figure


@picture
def test_walk_in_windows() -> Figure:
    with printed("paper", columns=2):
        values = make_walk().values + np.linspace(0.1, 0.3, 5)[:, None, None]
        first = ls.plot_walk(
            [make_walk(), replace(make_walk(), name="Adam", optimizer="adam", values=values)]
        )
        figure = first.figure
        figure.set_size_inches(5, 2.4)
    return figure


@picture
def test_path_quantities() -> Figure:
    runs = [make_metrics(), make_metrics("Adam", "adam", every=5)]
    with printed("paper", columns=2):
        figure = Figure(figsize=(5, 2.7))
        for ax, quantity in zip(figure.subplots(1, 2), ("angle", "update_norm"), strict=True):
            ls.plot_path(runs, quantity=quantity, smooth=3, ax=ax)
    return figure


@picture
def test_looks_of_optimizers() -> Figure:
    """The colour, dash and marker that belong to each name."""
    with printed("paper"):
        figure = Figure(figsize=(2.4, 4.6))
        ax = figure.add_subplot()
        for row, name in enumerate(OPTIMIZERS):
            style = look(name)
            ax.plot([0, 1, 2], [row] * 3, marker=style.marker, **style.line)
        ax.set_yticks(range(len(OPTIMIZERS)), list(OPTIMIZERS), fontsize=5)
        ax.invert_yaxis()
    return figure
