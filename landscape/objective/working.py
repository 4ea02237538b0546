"""Lend a problem's model, ready to be measured at the points of a family."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

from landscape.objective.family import Family
from landscape.objective.inspection.guarded import guard
from landscape.objective.lending.loan import borrowed
from landscape.objective.lending.reach import Reached, left_as_found
from landscape.objective.policies.batchnorm import norms_of
from landscape.objective.problem import Problem
from landscape.objective.strategies.work import Work
from landscape.objective.streaming import placed_by_modules, streams
from landscape.objective.tuning import Tuning


@contextmanager
def working(
    problem: Problem,
    family: Family,
    tuning: Tuning,
    check: Callable[[], None],
    reached: Reached | None = None,
    *,
    whole: bool = True,
    later: bool = False,
) -> Iterator[Work]:
    """Inside, the model is lent, and its metrics are called with the care that they need.

    Args:
        problem: What is measured.
        family: The points.
        tuning: What is known of evaluating it.
        check: Called between batches; raises to stop.
        reached: What the metrics reach, if that was looked up.
        whole: Whether all parameters have to be there at once, as a derivative needs them; else
            they may come and go.
        later: Whether the first batch is looked at later, by `Tuning.draws_later`.

    Raises:
        ValueError: If the metrics cannot be measured.
        RuntimeError: If the model is lent already.
    """
    streamed = not whole and streams(problem, family, tuning.asked)
    family = family if streamed else family.held(problem)
    with (
        borrowed(
            problem.model,
            problem.layout,
            problem.buffers_layout,
            device=problem.device,
            dtype=problem.dtype,
            native=problem.precision == "native",
            streamed=streamed,
        ) as loan,
        left_as_found(reached or problem.reached()),
    ):
        if problem.batch_norm == "batch":
            for norm in norms_of(problem.model):
                norm.training = True
        nature = tuning.nature(problem, loan, whole=not later)
        seed = problem.common_random_numbers
        data = tuning.batched(problem)
        learned = tuning.learned(problem)
        # A batch size that was asked for may be the only one that the loss can take.
        sample = data.batches(problem.batch_size or 2, most=2)
        with (
            guard(problem.model, problem.metrics, nature, seed=seed or 0) as (metrics, begin),
            placed_by_modules(loan, nature, metrics, problem, learned.readers)
            if streamed
            else nullcontext(),
        ):
            if loan.stream is not None:
                metrics = {name: loan.stream.watched(each) for name, each in metrics.items()}
            yield Work(
                loan,
                metrics,
                family,
                own_buffers=loan.buffers.clone(),
                sample=sample,
                check=check,
                rounding=problem.rounding,
                programs=learned.programs,
                recalibration=data.batches() if problem.batch_norm == "recalibrated" else None,
                nature=nature,
                begin=begin,
            )
