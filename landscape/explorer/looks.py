"""How the runs of one page look: as in the figures where that tells them apart, never two alike."""

from __future__ import annotations

import colorsys
import re
from collections import Counter
from collections.abc import Sequence

from matplotlib.colors import to_hex, to_rgb

from landscape.plots.style import Look, look, rank

HUES = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#8C564B", "#56B4E9", "#117733",
    "#332288", "#882255",
)  # fmt: skip
"""Colours of runs that have none of their own, in this order."""

_DASHES = ("-", "--", "-.", ":")
_MARKERS = ("o", "s", "D", "^", "v", "P", "X", "p")


def page_looks(names: Sequence[str], optimizers: Sequence[str]) -> list[Look]:
    """One look per run, all different.

    A run of an optimizer that the registry knows keeps its look when no other run has that
    optimizer. Runs of one optimizer whose names differ in one number go from dark to light; all
    others get the free colours in order, and with more runs than colours other dashes and markers.
    """
    counts = Counter(optimizers)
    alone = [counts[o] == 1 and rank(o) < rank("") for o in optimizers]
    if len(names) > 2 and len(counts) == 1 and (order := _by_one_number(names)):
        return _ramp(look(optimizers[0]), order)
    found = [look(o) if own else None for o, own in zip(optimizers, alone, strict=True)]
    taken = {(one.color, one.dash) for one in found if one}
    used = {one.color for one in found if one}
    hues = [hue for hue in HUES if hue not in used] or list(HUES)
    free = (
        Look(hue, dash, marker)
        for marker_turn in range(len(_MARKERS))
        for turn, dash in enumerate(_DASHES)
        for place, hue in enumerate(hues)
        for marker in [_MARKERS[(place + turn + marker_turn) % len(_MARKERS)]]
        if marker_turn or (hue, dash) not in taken
    )
    return [one or next(free) for one in found]


def _by_one_number(names: Sequence[str]) -> list[int] | None:
    """Places in the order of the one number in which the names differ, or None."""
    number = re.compile(r"\d+(?:\.\d+)?(?:e-?\d+)?")
    parts = [number.findall(name) for name in names]
    if len({number.sub("#", name) for name in names}) > 1:
        return None
    differ = [k for k in range(len(parts[0])) if len({p[k] for p in parts}) > 1]
    if len(differ) != 1:
        return None
    values = [float(p[differ[0]]) for p in parts]
    return [sorted(values).index(v) for v in values] if len(set(values)) == len(values) else None


def _ramp(base: Look, order: Sequence[int]) -> list[Look]:
    hue, _, saturation = colorsys.rgb_to_hls(*to_rgb(base.color))
    return [
        Look(
            to_hex(colorsys.hls_to_rgb(hue, 0.18 + 0.42 * place / (len(order) - 1), saturation)),
            _DASHES[place % 4],
            _MARKERS[place % 8],
        )
        for place in order
    ]
