"""Values on contour lines, where there is room for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.contour import QuadContourSet
from matplotlib.lines import Line2D
from matplotlib.path import Path
from matplotlib.patheffects import withStroke
from matplotlib.text import Text
from matplotlib.transforms import Bbox, IdentityTransform, Transform

from landscape.plots.room import (
    Name,
    legends_of,
    meet,
    near,
    outline,
    rectangle,
    shown_texts,
    turned,
)
from landscape.plots.venues import small_text

_LONGER = 4.0  # times as long as its label is a line that carries one
_DARK = 0.18  # luminance of land that carries white text
_TRIES = 40  # places along a line
_STRAIGHT = 0.93  # chord over length of the part of the line that a label covers


class LevelLabels(Artist):
    """The labels of contour lines; which lines carry one is decided when the figure is drawn.

    A label lies along its line where that is straightest, near its middle, wholly on the land, and
    neither over another text or line nor over a run. A line that has no such place, or is too
    short, has no label: the colour bar tells its value.
    """

    zorder = 2.5

    def __init__(
        self,
        edges: QuadContourSet,
        fills: QuadContourSet,
        names: Mapping[float, str],
        land: np.ndarray,
        place: Transform,
    ) -> None:
        """Labels of some lines.

        Args:
            edges: The lines.
            fills: What lies under them.
            names: Levels to what is written on their lines.
            land: Corners of what is drawn, shape (corners, 2).
            place: From there to pixels.
        """
        super().__init__()
        self._edges, self._fills, self._names, self._place = edges, fills, names, place
        self._land = Path(np.concatenate([land, land[:1]]), closed=True)
        self._size = small_text()
        self._texts: list[Text] = []
        self.set_in_layout(False)

    def get_children(self) -> list[Artist]:
        """The labels that were drawn last."""
        return list(self._texts)

    def draw(self, renderer: Any) -> None:
        """Find the places, then draw."""
        self._texts = []
        if self.get_visible():
            self._texts = list(self._placed())
            for text in self._texts:
                text.draw(renderer)

    def _placed(self) -> Iterator[Text]:
        figure: Any = self.get_figure(root=True)
        ax: Any = self.axes
        if figure is None or ax is None:
            return
        for name in ax.findobj(Name):
            name.settle()
        land = self._land.transformed(self._place)
        taken = [outline(text) for text in shown_texts(figure)] + legends_of(ax)
        taken += [rectangle(inner.get_window_extent()) for inner in ax.child_axes]
        taken = [one for one in taken if meet(one, land)]
        runs = [line for line in ax.lines if line.get_visible() and line.get_gid() != "frame"]
        walked = [_Walked(line) for line in runs]
        on_paper = self._edges.get_transform()
        lines = {
            float(level): [
                np.asarray(line)
                for line in path.transformed(on_paper).to_polygons(closed_only=False)
            ]
            for level, path in zip(self._edges.levels, self._edges.get_paths(), strict=True)
        }
        for level, name in self._names.items():
            text = self._text(name, level)
            box = outline(text).get_extents()
            others = [Path(line) for k, some in lines.items() if k != level for line in some]
            for line in lines[level]:
                for middle, angle in _places(line, box.width):
                    own = turned(middle, box, angle)
                    if (
                        land.contains_path(turned(middle, box.padded(2.0), angle))
                        and not any(meet(own, other) for other in taken)
                        and not any(_crosses(other, own) for other in others)
                        and not any(run.meets(own) for run in walked)
                    ):
                        taken.append(own)
                        text.set(position=middle, rotation=angle)
                        yield text
                        text = self._text(name, level)
                        break

    def _text(self, name: str, level: float) -> Text:
        land: Any = self._fills.to_rgba(np.array([level]))[0]
        dark = land[:3] ** 2.2 @ (0.2126, 0.7152, 0.0722) < _DARK
        text = Text(
            0, 0, name, fontsize=self._size, ha="center", va="center", gid="level",
            color="white" if dark else "0.2",
            path_effects=[withStroke(linewidth=1.8, foreground=land)],
        )  # fmt: skip
        text.axes = self.axes
        figure: Any = self.get_figure()
        text.set_figure(figure)
        text.set_transform(IdentityTransform())
        return text


def _places(line: np.ndarray, length: float) -> Iterator[tuple[np.ndarray, float]]:
    """Middles and angles of labels along a line of pixels, where it is straightest first."""
    at = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    if at[-1] < _LONGER * length:
        return
    middles = np.linspace(length / 2, at[-1] - length / 2, _TRIES)
    first, last = (
        np.stack([np.interp(middles + half, at, column) for column in line.T], axis=1)
        for half in (-length / 2, length / 2)
    )
    chord = last - first
    straight = np.linalg.norm(chord, axis=1) / length
    angles = (np.degrees(np.arctan2(chord[:, 1], chord[:, 0])) + 90) % 180 - 90
    for k in np.lexsort((abs(middles - at[-1] / 2), -straight.round(2))):
        if straight[k] < _STRAIGHT:
            return
        yield (first[k] + last[k]) / 2, float(angles[k])


def _crosses(line: Path, own: Path) -> bool:
    """Whether a line goes through a rectangle."""
    return near(line, own) and own.intersects_path(line, filled=False)


class _Walked:
    """A line of the axes in pixels: a run, a point, a frame."""

    def __init__(self, line: Line2D) -> None:
        shown = line.get_transform().transform_path(line.get_path()).cleaned(remove_nans=True)
        self._points = np.asarray(shown.vertices)[:-1]
        self._solid = line.get_linestyle() != "None"
        marked = line.get_marker() not in ("None", None, "", " ")
        figure = line.get_figure(root=True)
        dots = figure.dpi / 72 if figure else 1.0
        self._reach = 0.5 * dots * float(line.get_markersize()) if marked else 0.0

    def meets(self, own: Path) -> bool:
        """Whether a label would hide a part of it."""
        if not len(self._points):
            return False
        box = own.get_extents().padded(self._reach)
        inside = ((self._points >= box.min) & (self._points <= box.max)).all(axis=1)
        marks = (
            Bbox.from_extents(*(p - self._reach), *(p + self._reach)) for p in self._points[inside]
        )
        if any(meet(rectangle(mark), own) for mark in marks):
            return True
        return self._solid and _crosses(Path(self._points), own)
