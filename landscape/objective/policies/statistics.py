"""Whose running statistics a measurement uses, and a warning where they are another state's."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.base.statistics import KEY, digest_of, recorded_with, without
from landscape.base.vector import layout_of

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
        held = own_digest(objective)
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
    """Warn where the model's statistics are of none of the states that a place was made from.

    Args:
        objective: What measures.
        settings: Of the line or plane.
        buffers: Where they are given, it was said whose are meant.
        stacklevel: As for `warnings.warn`.
    """
    if buffers is None and whose(objective, settings).get(KEY) == _ANOTHER:
        names = [str(one.get("of")) for one in _known(settings)]
        few = "; ".join(names[:3]) + ("; …" if len(names) > 3 else "")
        warnings.warn(
            f"The model does not hold the batch-norm statistics recorded with what is measured "
            f"({few}), and it is measured with the model's own: call ls.restore(model, trajectory) "
            "before, or say with buffers= whose are meant.",
            stacklevel=stacklevel + 1,
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
            f"The model does not hold the batch-norm statistics recorded with {wrong[0]}"
            f"{f' and {len(wrong) - 1} more' if len(wrong) > 1 else ''}, and measures all with its "
            f"own: {remedy}.",
            stacklevel=4,
        )


def own_digest(objective: Objective) -> str | None:
    """Which running statistics the model holds now; None: it has none."""
    return digest_of(objective.buffers_layout, own_buffers(objective))


def own_buffers(objective: Objective) -> np.ndarray:
    """The model's floating-point buffers as a flat vector, float64, shape (B,)."""
    named = dict(objective.model.named_buffers())
    held = [named[e.name].detach().cpu().double().flatten() for e in objective.buffers_layout]
    return np.concatenate(held) if held else np.zeros(0)


def _known(settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What was recorded with a place; files may hold anything."""
    known = settings.get(KEY)
    return [one for one in known if isinstance(one, dict)] if isinstance(known, list) else []
