"""Room for text: where two texts of a figure touch, and names that go where none does.

All of it is decided when a figure is drawn, for only then is known how large it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.path import Path
from matplotlib.text import Annotation, Text
from matplotlib.ticker import Locator
from matplotlib.transforms import Bbox, BboxTransformTo

_LEADING = 0.15  # of a font's size is empty above a text, and below
_SIDES = (
    (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1), (0, 1), (0, -1),
    (1, 2), (1, -2), (-1, 2), (-1, -2), (1, 3), (1, -3), (-1, 3), (-1, -3),
)  # fmt: skip
_BESIDE = tuple((1, up) for k in range(1, 7) for up in (0.5 * (k - 1), -0.5 * (k - 1)))


def outline(text: Text, *, pad: float = 0.0) -> Path:
    """The rectangle of a text, which may be turned, as a closed path of pixels.

    Args:
        text: One that is part of a drawn figure.
        pad: Pixels added all around.
    """
    box = level = Text.get_window_extent(text)
    angle = text.get_rotation()
    if angle % 180:
        told, text.stale_callback = text.stale_callback, None  # nothing of it changes
        text.set_rotation(0)
        level = Text.get_window_extent(text)
        text.set_rotation(angle)
        text.stale_callback = told
    middle, free = box.get_points().mean(axis=0), _LEADING * _pixels(text)
    return turned(middle, level.padded(pad, pad - free), angle)


def turned(middle: np.ndarray, level: Bbox, angle: float) -> Path:
    """A rectangle as large as `level` around `middle`, turned by degrees."""
    half = np.array([level.width, level.height]) / 2
    cosine, sine = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    corners = half * np.array([(-1, -1), (1, -1), (1, 1), (-1, 1), (-1, -1)])
    return Path(middle + corners @ np.array([[cosine, sine], [-sine, cosine]]), closed=True)


def _pixels(text: Text) -> float:
    """The size of a text's font."""
    figure = text.get_figure(root=True)
    return float(text.get_fontsize()) * (figure.dpi if figure else 72.0) / 72


def rectangle(box: Bbox) -> Path:
    """A box as a closed path."""
    return Path.unit_rectangle().transformed(BboxTransformTo(box))


def meet(first: Path, second: Path) -> bool:
    """Whether two closed paths share pixels."""
    return near(first, second) and first.intersects_path(second, filled=True)


def near(first: Path, second: Path) -> bool:
    """Whether the boxes around two paths share pixels."""
    one, other = np.asarray(first.vertices), np.asarray(second.vertices)
    low, high = np.maximum(one.min(axis=0), other.min(axis=0)), one.max(axis=0)
    return bool((low <= np.minimum(high, other.max(axis=0))).all())


def shown_texts(figure: Figure, without: Iterable[Text] = ()) -> list[Text]:
    """The texts that are seen in a figure, but for those `without`."""
    found: list[Text] = []
    _collect(figure, set(map(id, without)), found)
    return found


def _collect(artist: Any, without: set[int], found: list[Text]) -> None:
    if not artist.get_visible() or id(artist) in without:
        return
    if isinstance(artist, Text) and artist.get_text().strip() and artist.get_color() != "none":
        found.append(artist)
    children = artist.get_children()
    if isinstance(artist, Axis):  # ticks beyond its ends are not drawn
        low, high = sorted(artist.get_view_interval())
        room = 1e-9 * (high - low)
        ticks = [*artist.get_major_ticks(), *artist.get_minor_ticks()]
        outside = [tick for tick in ticks if not low - room <= tick.get_loc() <= high + room]
        children = [child for child in children if child not in outside]
    if isinstance(artist, Axes) and not artist.axison:
        children = [child for child in children if not isinstance(child, Axis)]
    for child in children:
        _collect(child, without, found)


def touching(figure: Figure) -> list[tuple[str, str]]:
    """Pairs of texts of a drawn figure that lie on one another.

    >>> figure = Figure(figsize=(3, 2))
    >>> texts = figure.text(0.5, 0.5, "one"), figure.text(0.52, 0.5, "two")
    >>> touching(figure)
    [('one', 'two')]
    """
    texts = shown_texts(figure)
    outlines = [outline(text) for text in texts]
    return [
        (texts[a].get_text().strip(), texts[b].get_text().strip())
        for a in range(len(texts))
        for b in range(a + 1, len(texts))
        if meet(outlines[a], outlines[b])
    ]


def legends_of(ax: Axes) -> list[Path]:
    """The rectangles of the legends in axes."""
    found = [child for child in ax.get_children() if isinstance(child, Legend)]
    return [rectangle(one.get_window_extent()) for one in found if one.get_visible()]


class Spaced(Locator):
    """Ticks of an upright axis: all that are given, or every n-th where they would touch."""

    def __init__(self, ticks: np.ndarray, size: float) -> None:
        """Increasing values, and the size of their font in points."""
        self._ticks, self._size = np.asarray(ticks), size

    def __call__(self) -> Any:
        """Those for which the axis has room as it is drawn."""
        axis: Any = self.axis
        ax = axis.axes
        up = ax.transData.transform(np.stack([0 * self._ticks, self._ticks], axis=1))[:, 1]
        least = 1.3 * self._size * ax.get_figure(root=True).dpi / 72
        for every in range(1, len(up)):
            if (np.diff(up[::every]) >= least).all():
                return self._ticks[::every]
        return self._ticks[:1]

    def tick_values(self, vmin: float, vmax: float) -> Any:
        """All of them, whatever is shown."""
        return self._ticks


class Name(Annotation):
    """The name of a point: beside it where there is room, else on another side or farther away.

    It stands to the right, unless another text, a legend, a marker or the edge of the axes is
    there; the first free place is taken, or where none is the one that meets the fewest.
    """

    def __init__(
        self,
        text: str,
        at: tuple[float, float],
        *,
        gap: float = 5.0,
        beside: bool = False,
        **look: Any,
    ) -> None:
        """The name of a point.

        Args:
            text: The name.
            at: The point.
            gap: Points between the two.
            beside: Always to the right, outside the axes if need be, for the ends of curves.
            look: As for ``Annotation``.
        """
        look = {"textcoords": "offset points", "annotation_clip": False, "clip_on": False, **look}
        super().__init__(text, at, xytext=(gap, 0), ha="left", va="center", **look)
        self._gap, self._beside = gap, beside
        self.set_in_layout(beside)

    def draw(self, renderer: Any) -> None:
        """Find a place, then draw."""
        self.settle()
        super().draw(renderer)

    def settle(self) -> None:
        """Go where there is room; values on contour lines make room by themselves."""
        figure, ax = self.get_figure(root=True), self.axes
        if figure is None or not isinstance(ax, Axes) or not self.get_visible():
            return
        texts = [one for one in shown_texts(figure, [self]) if one.get_gid() != "level"]
        others = [*map(outline, texts), *legends_of(ax)]
        marks = [line for line in ax.lines if line.get_linestyle() == "None"]
        marked = [line.get_transform().transform(line.get_xydata()) for line in marks]
        inside, met = ax.get_window_extent(), []
        sides = _BESIDE if self._beside else _SIDES
        for side in sides:
            self._stand(side)
            own = outline(self, pad=1.0)
            low, high = own.get_extents().get_points()
            out = not self._beside and ((low < inside.min).any() or (high > inside.max).any())
            hidden = sum(bool(own.contains_points(points).any()) for points in marked)
            met.append(sum(meet(own, other) for other in others) + 0.5 * (out + hidden))
            if not met[-1]:
                break
        self._stand(sides[int(np.argmin(met))])

    def _stand(self, side: tuple[int, float]) -> None:
        right, up = side
        line = float(self.get_fontsize()) * (0.85 if right else 1.0)
        self.set_horizontalalignment(("center", "left", "right")[right])
        self.xyann = self._gap * right, (line + (0 if right else 0.4 * self._gap)) * up
        unused: Any = None  # the point is in data or pixels, whose place needs no renderer
        self.update_positions(unused)
