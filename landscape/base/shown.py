"""How objects show themselves: a line for a terminal, a small table for a notebook."""

from __future__ import annotations

import base64
import html
import importlib
import sys
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

LONGEST = 200  # characters of a representation
_MOST = 60  # characters of one value in it, and four times as many in a table
_CELL = "text-align:left"


def short(kind: str, *facts: object) -> str:
    """The representation of an object: its kind and as many facts as 200 characters hold.

    >>> short("Objective", "3 parameters", "loss of 4 samples")
    'Objective(3 parameters, loss of 4 samples)'
    """
    shown: list[str] = []
    for fact in map(str, facts):
        if len(kind) + len(", ".join([*shown, fact])) > LONGEST - 5:
            shown.append("…")
            break
        shown.append(fact)
    return f"{kind}({', '.join(shown)})"


def brief(value: Any, most: int = _MOST) -> str:
    """A value in few characters: arrays by shape and range, tables by their keys.

    >>> brief(np.array([[1.0, 2.5], [np.nan, 7.0]]))
    'float64[2, 2] 1 … 7, 1 not finite'
    """
    if isinstance(value, np.ndarray):
        text = f"{value.dtype}[{', '.join(map(str, value.shape))}]" + _range(np.asarray(value))
    elif isinstance(value, Mapping):
        text = f"{{{', '.join(map(str, value))}}}"
    elif isinstance(value, float):
        text = f"{value:.4g}"
    else:
        text = repr(value)
    text = " ".join(text.split())
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _range(values: np.ndarray) -> str:
    if values.dtype == bool:
        return f" {int(values.sum()):,} of {values.size:,} true"
    if not values.size or values.dtype.kind not in "fiu":
        return ""
    good = values[np.isfinite(values)]
    missing = values.size - good.size
    ends = f" {good.min():.4g} … {good.max():.4g}" if good.size else ""
    return ends + (f", {missing:,} not finite" if missing else "")


def percent(share: float) -> str:
    """A share in whole per cent, but what is not all is not called all of it, nor a little none.

    >>> [percent(share) for share in (0.0, 0.0004, 0.004, 0.37, 0.996, 0.9996, 1.0)]
    ['0%', '<0.1%', '0.4%', '37%', '99.6%', '99.9%', '100%']
    """
    left = 1 - share
    if 1e-6 < left < 0.005:
        return f"{min(share, 0.999):.1%}"
    if 1e-6 < share < 0.005:
        return f"{share:.1%}" if share >= 0.001 else "<0.1%"
    return f"{share:.0%}"


def table(title: str, rows: Iterable[tuple[str, str]], picture: bytes | None = None) -> str:
    """A small HTML table without styles or scripts of its own, and a picture below it."""
    lines = "".join(
        f"<tr><th style='{_CELL}'>{html.escape(name)}</th>"
        f"<td style='{_CELL}'>{html.escape(text)}</td></tr>"
        for name, text in rows
    )
    shown = f"<b>{html.escape(title)}</b><table>{lines}</table>"
    if picture is None:
        return shown
    data = base64.b64encode(picture).decode("ascii")
    return f'{shown}<img alt="{html.escape(title)}" src="data:image/png;base64,{data}">'


def picture_of(result: Any) -> bytes | None:
    """A PNG of a result, where matplotlib is loaded already and there is something to draw."""
    if "matplotlib" not in sys.modules:
        return None
    plot = importlib.import_module("landscape").plot
    try:
        return plot(result).png()
    except ValueError:  # nothing is drawn of such a result
        return None
