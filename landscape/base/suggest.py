"""What a mistyped name was probably meant to be."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(name: str, allowed: Iterable[str]) -> str:
    """A question to add to an error; empty where nothing is near.

    >>> did_you_mean("adamm", ["sgd", "adam", "nadam"])
    ' Did you mean adam?'
    >>> did_you_mean("ADAM", ["sgd", "adam"])
    ' Did you mean adam?'
    >>> did_you_mean("tensorflow", ["sgd", "adam"])
    ''
    """
    known = {one.lower(): one for one in allowed}
    near = get_close_matches(name.lower(), known, n=1, cutoff=0.6)
    return f" Did you mean {known[near[0]]}?" if near else ""
