"""Whose batch-norm statistics: those recorded with a state, known again by their numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from landscape.base.layout import Layout
from landscape.base.provenance import fingerprint

KEY = "statistics"  # of settings: what was recorded with a place, then whose a result uses
_MODEL = "the model that was measured"
_EACH = ("as recorded", "recorded, interpolated")  # every state has its own
_RUNNING = ("running_mean", "running_var")


def digest_of(layout: Layout, buffers: np.ndarray) -> str | None:
    """A short text that tells the running statistics among flat buffers from others.

    The order of the tensors, the names of wrappers and the precision make no difference. None:
    there are no running statistics.

    >>> entry = '{"name": "1.running_mean", "shape": [2], "offset": 0, "kind": "norm"}'
    >>> layout = Layout.from_json(f"[{entry}]")
    >>> digest_of(layout, np.ones(2)) == digest_of(layout, np.ones(2, "float32"))
    True
    """
    held = [np.asarray(buffers)[e.slice] for e in layout if e.name.endswith(_RUNNING)]
    return fingerprint(np.sort(np.concatenate(held).astype(np.float32))) if held else None


def recorded_with(*vectors: Any) -> dict[str, Any]:
    """A setting of a line or plane: what was recorded with the states that it was made from.

    Args:
        *vectors: Those that come from a trajectory know; see `Trajectory.statistics`.
    """
    asked = [getattr(vector, "recorded", None) for vector in vectors]
    found = [told for ask in asked if ask is not None and (told := ask()) is not None]
    return {KEY: found} if found else {}


def without(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings that say nothing of statistics; the hash of the buffers tells measurements apart."""
    return {name: value for name, value in settings.items() if name != KEY}


def said_of(settings: Mapping[str, Any], paths: Sequence[Mapping[str, Any]] = ()) -> str:
    """Whose running statistics frozen batch norms used; empty where nothing is known.

    Args:
        settings: Of the result.
        paths: Those of the runs that are shown on it.

    >>> said_of({"batch_norm": "frozen", "statistics": "SGD, step 300"})
    'SGD, step 300'
    >>> said_of({"batch_norm": "frozen"}, [{}, {}])
    'the model that was measured, for all runs'
    """
    buffers = settings.get("buffers")
    if settings.get("batch_norm") != "frozen" or buffers in _EACH:
        return ""
    for told in (settings.get(KEY), *(path.get(KEY) for path in paths)):
        names = told if isinstance(told, list) else [told]
        if texts := dict.fromkeys(name for name in names if isinstance(name, str)):
            return "; ".join(texts)
    if len(paths) > 1:
        return f"{_MODEL}, for all runs"
    return _MODEL if buffers == "the model's" else ""
