"""Whose running statistics a measurement uses, and a warning where they are another state's."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.base.statistics import KEY, digest_of, recorded_with, without
from landscape.base.vector import layout_of
from landscape.objective.policies.statistics import own_digest

if TYPE_CHECKING:
    from landscape.objective.objective import Objective

_ANOTHER = "another state"


def whose(
    objective: Objective, settings: Mapping[str, Any], buffers: np.ndarray | None = None
) -> dict[str, Any]:
    """The settings of a place, in which ``statistics`` says whose a measurement there uses.

    Args:
        objective: What measures; the policy is its own.
        settings: Of a line or plane; what was recorded with its states is in them.
        buffers: What it measures with; None: the model's.
    """
    told, known = without(settings), _known(settings)
    if objective.batch_norm != "frozen" or not known:
        return told
    if buffers is None:
        held = own_digest(objective.model, objective.buffers_layout)
    else:
        held = digest_of(layout_of(buffers) or objective.buffers_layout, buffers)
    found = next((one.get("of") for one in known if one.get("hash") == held), None)
    if held is None or (found is None and buffers is not None):
        return told
    return {**told, KEY: found or _ANOTHER}


def warn_if_foreign(
    objective: Objective,
    settings: Mapping[str, Any],
    buffers: np.ndarray | None = None,
    *,
    stacklevel: int = 3,
) -> None:
    """Warn where a place is measured with statistics that are not those of its points.

    Around runs (`pca_plane`) those of any of them will do, and are named; through single networks
    (`line_between`, `plane_through`) each has its own, and is another network with others.

    Args:
        objective: What measures.
        settings: Of the line or plane.
        buffers: Where they are given, it was said whose are meant.
        stacklevel: As for `warnings.warn`.
    """
    known = _known(settings)
    if buffers is not None or objective.batch_norm != "frozen" or not known:
        return
    held = own_digest(objective.model, objective.buffers_layout)
    foreign = [str(one.get("of")) for one in known if one.get("hash") != held]
    around = "runs" in settings
    if held is None or not foreign or (around and len(foreign) < len(known)):
        return
    if len(known) == 1 or around:
        remedy = "call ls.restore(model, trajectory) before, or say with buffers= whose are meant"
    else:
        remedy = 'give buffers= of both ends of a line, or measure with batch_norm="recalibrated"'
    few = "; ".join(foreign[:3]) + ("; …" if len(foreign) > 3 else "")
    warnings.warn(
        f"The batch-norm statistics of {few} are not those that the model holds, and that all is "
        f"measured with: {remedy}.",
        stacklevel=stacklevel,
    )


def warn_if_any_foreign(objective: Objective, vectors: Sequence[Any], remedy: str) -> None:
    """Warn where one of several recorded states is measured with statistics that are not its own.

    Args:
        objective: What measures.
        vectors: The states; those that come from no run are not looked at.
        remedy: What to do.
    """
    if objective.batch_norm != "frozen":
        return
    told = [recorded_with(vector) for vector in vectors]
    wrong = [one[KEY][0]["of"] for one in told if whose(objective, one).get(KEY) == _ANOTHER]
    if wrong:
        warnings.warn(
            f"The batch-norm statistics of {'; '.join(wrong[:3])} are not those that the model "
            f"holds, and that all is measured with: {remedy}.",
            stacklevel=4,
        )


def _known(settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What was recorded with a place; files may hold anything."""
    known = settings.get(KEY)
    return [one for one in known if isinstance(one, dict)] if isinstance(known, list) else []
