"""Panels below the curves that appear when something was measured.

To add one: a file here with a function that turns the page's results into what the panel shows, or
None; a file in ``js/`` with ``(parent, given) => panel``; one line in `PANELS` and one in
``js/panels.js``, both under the same name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from landscape.base.result import Result
from landscape.explorer.panels.density import density
from landscape.explorer.panels.gradients import gradients
from landscape.explorer.panels.sharpness import sharpness
from landscape.explorer.panels.trace import trace

Placed = Sequence[tuple[str, str, Result]]
PANELS: dict[str, Callable[[Placed, Sequence[str]], Any]] = {
    "sharpness": sharpness,
    "density": density,
    "trace": trace,
    "gradients": gradients,
}
"""Name of a panel to what it shows of (file, group, result) and the names of the page's runs."""


def panels_content(placed: Placed, names: Sequence[str]) -> dict[str, Any]:
    """What every panel shows that has anything to show."""
    made = {name: make(placed, names) for name, make in PANELS.items()}
    return {name: shown for name, shown in made.items() if shown}
