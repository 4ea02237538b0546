"""How runs are told apart on the page: the colour, dash and marker of every optimizer."""

from __future__ import annotations

import colorsys
import zlib
from collections import Counter
from collections.abc import Sequence

from landscape.optim.registry import OPTIMIZERS

_SPARE_COLORS = ("#E69F00", "#999999", "#8C564B", "#117733", "#882255", "#332288")
_DASHES = ("-", "--", "-.", ":")
_MARKERS = ("o", "s", "D", "^", "v", "P", "X", "p")


def looks(optimizers: Sequence[str]) -> list[dict[str, str]]:
    """Colour, dash (as in matplotlib) and marker of runs, given the optimizer of each.

    An optimizer always has the same look. Several runs of one optimizer share its hue, from dark
    to light, and differ in dash and marker.
    """
    counts, seen, found = Counter(optimizers), Counter[str](), []
    for optimizer in optimizers:
        color, dash, marker = _look(optimizer)
        count, place = counts[optimizer], seen[optimizer]
        seen[optimizer] += 1
        if count > 1:
            color = _shade(color, 0.2 + 0.5 * place / (count - 1))
            dash, marker = _DASHES[place % len(_DASHES)], _MARKERS[place % len(_MARKERS)]
        found.append({"color": color, "dash": dash, "marker": marker})
    return found


def _look(optimizer: str) -> tuple[str, str, str]:
    for place, (name, entry) in enumerate(OPTIMIZERS.items()):
        if optimizer in (name, entry.title):
            return entry.color, entry.dash, _MARKERS[place % len(_MARKERS)]
    number = zlib.crc32(optimizer.encode())
    return (
        _SPARE_COLORS[number % len(_SPARE_COLORS)],
        _DASHES[number // 7 % len(_DASHES)],
        _MARKERS[number // 31 % len(_MARKERS)],
    )


def _shade(color: str, lightness: float) -> str:
    red, green, blue = (int(color[i : i + 2], 16) / 255 for i in (1, 3, 5))
    hue, _, saturation = colorsys.rgb_to_hls(red, green, blue)
    rgb = colorsys.hls_to_rgb(hue, lightness, saturation)
    return "#" + "".join(f"{round(255 * part):02x}" for part in rgb)
