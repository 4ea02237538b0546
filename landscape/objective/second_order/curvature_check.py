"""Whether autograd's curvature is that of the loss: looked at once, on a few samples, in double.

A loss that detaches, rounds, copies through numpy or has a backward of its own that cannot be
differentiated can give a Hessian of something else without any error. So the directional
derivatives are compared with differences of the loss and of the gradient, at a point beside the
one asked for (at a minimum itself wrong derivatives can vanish together). Small steps in double
precision cross no kinks of rectifiers.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from contextlib import nullcontext

import numpy as np
import torch

from landscape.base.layout import Layout
from landscape.objective.family import Family, family_of
from landscape.objective.lending.interrupt import held_back
from landscape.objective.problem import Problem
from landscape.objective.second_order.hessian import Hessian
from landscape.objective.tuning import Tuning
from landscape.objective.working import working

_SAMPLES = 4
_DIRECTIONS = 2  # a failure counts when it is seen along both
_AWAY = 1e-2  # of the weights' size, from the point
_STEPS = (1e-5, 1e-7, 1e-9, 1e-3)  # of the weights' size; rounding spoils small ones, kinks large
_AGREE = 1e-2
_checked: weakref.WeakSet[Problem] = weakref.WeakSet()


def check_curvature(problem: Problem, family: Family, tuning: Tuning, point: list[float]) -> None:
    """Compare autograd with differences, once for each problem.

    Raises:
        ValueError: If the loss's first or second derivative is another one than autograd's.
    """
    if problem in _checked:
        return
    with held_back() as check, working(problem, family, tuning, check) as work:
        tuning.check_repeatable(problem, work)
        work.place(point)
        theta = work.loan.flat.double().cpu().numpy()
        buffers = work.loan.buffers.double().cpu().numpy()
    few = _in_double(problem)
    at = family_of(few, theta, np.zeros((0, theta.size)), buffers=buffers)
    with held_back() as check, working(few, at, tuning, check) as work:

        def measure(vector: np.ndarray) -> Hessian:
            work.loan.flat.copy_(torch.from_numpy(vector))
            work.place_buffers([])
            return Hessian(work, few.data, tuple(few.layout), nullcontext)

        try:
            measure(theta)
        except ValueError:
            raise
        except RuntimeError:  # a loss that does not run in double precision cannot be checked so
            return
        found = ""
        for seed in range(_DIRECTIONS):
            with np.errstate(all="ignore"):
                found = _problem(measure, theta, few.layout, seed)
            if not found:
                break
    if found:
        raise ValueError(found)
    _checked.add(problem)


def _in_double(problem: Problem) -> Problem:
    data = problem.data
    count = _SAMPLES if problem.batch_size is None else data.batch_size  # which it may need
    few = problem.on(np.arange(min(count, data.size))) if data.joined else problem
    return few.measured_by({"loss": next(iter(problem.metrics.values()))}).in_double()


def _problem(
    measure: Callable[[np.ndarray], Hessian], theta: np.ndarray, layout: Layout, seed: int
) -> str:
    """What is wrong along one random direction; empty when nothing is."""
    direction = np.random.default_rng(seed).standard_normal(theta.size)
    whole = float(np.sqrt(np.mean(theta**2))) or 1.0
    for entry in layout:
        if entry.size:
            direction[entry.slice] *= float(np.sqrt(np.mean(theta[entry.slice] ** 2))) or whole
    beside = theta + _AWAY * direction
    middle = measure(beside)
    slope, curvature = (
        float(middle.gradient @ direction),
        float(direction @ middle.matvec(direction)),
    )
    floors = 1e-5 * abs(middle.loss), 1e-5 * (abs(slope) + abs(middle.loss))
    slopes, curves = [], []
    for h in _STEPS:
        ahead, behind = (measure(beside + sign * h * direction) for sign in (1, -1))
        slopes.append((ahead.loss - behind.loss) / (2 * h))
        curves.append(float((ahead.gradient - behind.gradient) @ direction) / (2 * h))
        if _agrees(slope, slopes, floors[0]) and _agrees(curvature, curves, floors[1]):
            return ""
    if not _agrees(slope, slopes, floors[0]):
        return (
            "autograd does not see all of the loss: along a random direction its slope is "
            f"{slopes[0]:.4g} by differences and {slope:.4g} by autograd. Something inside the "
            "loss is detached, rounded or straight-through, so the loss has no Hessian here; write "
            "it without that."
        )
    return (
        "autograd does not see all curvature of the loss: along a random direction it is "
        f"{curves[0]:.4g} by differences of the gradient and {curvature:.4g} by autograd. "
        "Something inside the loss has a backward pass that cannot be differentiated; use "
        "plain operations."
    )


def _agrees(value: float, others: list[float], floor: float) -> bool:
    if not np.isfinite([value, *others]).all():
        return True  # nothing can be said
    return any(abs(value - o) <= _AGREE * max(abs(value), abs(o)) + floor for o in others)
