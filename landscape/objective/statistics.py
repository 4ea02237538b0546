"""Whose running statistics a measurement uses, and a warning where they are another state's."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.base.statistics import KEY, digest_of, without
from landscape.base.vector import layout_of
from landscape.results.construction import Construction

if TYPE_CHECKING:
    from landscape.objective.problem import Problem

ANOTHER = "another state"


def whose(
    problem: Problem, settings: Mapping[str, Any], buffers: np.ndarray | None = None
) -> dict[str, Any]:
    """The settings of a place, in which ``statistics`` says whose a measurement there uses.

    Args:
        problem: What is measured; the policy is its own.
        settings: Of a line or plane; what was recorded with its states is in them.
        buffers: What it measures with; None: the model's.
    """
    told, known = without(settings), known_with(settings)
    if problem.batch_norm != "frozen" or not known:
        return told
    if buffers is None:
        held = own_digest(problem)
    else:
        held = digest_of(layout_of(buffers) or problem.buffers_layout, buffers)
    found = next((one.get("of") for one in known if one.get("hash") == held), None)
    if held is None or (found is None and buffers is not None):
        return told
    return {**told, KEY: found or ANOTHER}


def warn_if_foreign(
    problem: Problem,
    settings: Mapping[str, Any],
    buffers: np.ndarray | None = None,
    *,
    stacklevel: int = 3,
) -> None:
    """Warn where a place is measured with statistics that are not those of its points.

    Around runs (`pca_plane`) those of any of them will do, and are named; through single networks
    (`line_between`, `plane_through`) each has its own, and is another network with others.

    Args:
        problem: What is measured.
        settings: Of the line or plane.
        buffers: Where they are given, it was said whose are meant.
        stacklevel: As for `warnings.warn`.
    """
    known = known_with(settings)
    if buffers is not None or problem.batch_norm != "frozen" or not known:
        return
    held = own_digest(problem)
    foreign = [str(one.get("of")) for one in known if one.get("hash") != held]
    around = Construction.of(settings).runs is not None
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


def own_digest(problem: Problem) -> str | None:
    """Which running statistics the model holds now; None: it has none."""
    return digest_of(problem.buffers_layout, own_buffers(problem))


def own_buffers(problem: Problem) -> np.ndarray:
    """The model's floating-point buffers as a flat vector, float64, shape (B,)."""
    named = dict(problem.model.named_buffers())
    held = [named[e.name].detach().cpu().double().flatten() for e in problem.buffers_layout]
    return np.concatenate(held) if held else np.zeros(0)


def known_with(settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What was recorded with a place, one for each state; files may hold anything."""
    known = settings.get(KEY)
    return [one for one in known if isinstance(one, dict)] if isinstance(known, list) else []
