"""Lend a model to a Hessian at one point."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

import numpy as np
import torch

from landscape.base.layout import Entry, Layout
from landscape.objective.family import Family
from landscape.objective.lending.interrupt import held_back
from landscape.objective.policies.batchnorm import norms_of
from landscape.objective.policies.precision import arithmetic
from landscape.objective.problem import Problem
from landscape.objective.second_order.curvature_check import check_curvature
from landscape.objective.second_order.hessian import Hessian
from landscape.objective.tuning import Tuning
from landscape.objective.working import working

_PRECISIONS = ("single", "double")  # others round too much, or differ between tensors


@contextlib.contextmanager
def hessian_of(
    problem: Problem,
    family: Family,
    tuning: Tuning,
    point: np.ndarray,
    *,
    tensors: str | None = None,
) -> Iterator[Hessian]:
    """Lend the model to a Hessian at a point of a family; see `Objective.hessian`."""
    if problem.precision not in _PRECISIONS:
        kinds = sorted({str(p.dtype).removeprefix("torch.") for p in problem.model.parameters()})
        raise ValueError(
            "A Hessian needs the precision of 'single' or 'double'; here it is "
            f"{problem.precision!r} (parameters: {', '.join(kinds)}). Make the objective with "
            "precision='single'."
        )
    if problem.batch_norm == "recalibrated":
        raise ValueError(
            "batch_norm='recalibrated' estimates the statistics anew at every point, so the loss "
            "has no Hessian that products at one point give; use frozen, or batch."
        )
    entries = chosen_tensors(problem.layout, tensors)

    def around() -> contextlib.AbstractContextManager[None]:
        return arithmetic(problem.precision, problem.device)

    place = np.asarray(point, np.float64).tolist()
    with torch.inference_mode(False):
        check_curvature(problem, family, tuning, place)
        with held_back() as check, working(problem, family, tuning, check) as work:
            for norm in norms_of(problem.model):
                norm.track_running_stats = norm.track_running_stats and not norm.training
            work.place(place)
            data = tuning.batched(problem)
            operator = Hessian(work, data, entries, around, rebatch=problem.may_rebatch)
            try:
                yield operator
            finally:
                operator.close()


def chosen_tensors(layout: Layout, pattern: str | None) -> tuple[Entry, ...]:
    """The tensors whose names a regular expression finds; None takes all.

    Raises:
        ValueError: If it finds none, or is no regular expression.
    """
    if pattern is None:
        return tuple(layout)
    try:
        found = tuple(entry for entry in layout if re.search(pattern, entry.name))
    except re.error as error:
        raise ValueError(f"tensors={pattern!r} is no regular expression: {error}.") from None
    if not found:
        names = ", ".join(entry.name for entry in layout)
        raise ValueError(f"tensors={pattern!r} names none of the trained tensors: {names}.")
    return found
