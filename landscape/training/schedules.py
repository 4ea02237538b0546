"""Learning-rate and batch-size schedules by name, on torch's schedulers.

Every learning-rate schedule but one-cycle is a factor f(t) on the optimizer's learning rate, where
t = 0, 1, ... counts the updates made before; T is the length of the run. Lengths such as `warmup`
are a fraction of T when below 1, else a number of updates.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from landscape.base.suggest import did_you_mean
from landscape.optim.hyperparameters import check_options

if TYPE_CHECKING:
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler

Factor = Callable[[int], float]


def constant(steps: int) -> Factor:
    """f(t) = 1."""
    del steps
    return lambda t: 1.0


def warmup(steps: int, *, warmup: float = 0.1) -> Factor:
    """Linear warm-up over w updates, then constant: f(t) = min(1, (t + 1)/w).

    Source: Goyal et al. 2017, arXiv:1706.02677.

    >>> [round(warmup(10, warmup=4)(t), 2) for t in range(6)]
    [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    """
    rise = _updates("warmup", warmup, steps)
    return lambda t: min(1.0, (t + 1) / rise) if rise else 1.0


def cosine(steps: int, *, warmup: float = 0.0, final: float = 0.0) -> Factor:
    """Warm-up over w updates, then half a cosine down to `final` at t = T.

    f(t) = final + (1 - final) (1 + cos π (t - w)/(T - w)) / 2 from t = w on.

    Source: Loshchilov & Hutter 2017, arXiv:1608.03983, without restarts.
    """
    rise = _updates("warmup", warmup, steps)

    def factor(t: int) -> float:
        if t < rise:
            return (t + 1) / rise
        done = min(1.0, (t - rise) / max(1, steps - rise))
        return final + (1 - final) * (1 + math.cos(math.pi * done)) / 2

    return factor


def trapezoid(steps: int, *, warmup: float = 0.1, decay: float = 0.3) -> Factor:
    """Warm-up over w updates, a highway at the full rate, a linear decay over the last d.

    f(t) = min((t + 1)/w, 1, (T - t)/d): the last update has 1/d of the rate.

    Source: Xing et al. 2018, arXiv:1802.08770.

    >>> [round(trapezoid(8, warmup=2, decay=4)(t), 2) for t in range(8)]
    [0.5, 1.0, 1.0, 1.0, 1.0, 0.75, 0.5, 0.25]
    """
    rise, fall = _updates("warmup", warmup, steps), _updates("decay", decay, steps)
    if rise + fall > steps:
        raise ValueError(
            f"warmup and decay together take {rise + fall} of {steps} updates; shorten them."
        )

    def factor(t: int) -> float:
        up = (t + 1) / rise if rise else 1.0
        down = (steps - t) / fall if fall else 1.0
        return max(0.0, min(up, 1.0, down))

    return factor


def step_decay(
    steps: int, *, milestones: tuple[float, ...] = (0.5, 0.75), gamma: float = 0.1
) -> Factor:
    """f(t) = gamma^(number of milestones at or before t); He et al. 2016, arXiv:1512.03385.

    >>> [round(step_decay(8)(t), 3) for t in range(8)]
    [1.0, 1.0, 1.0, 1.0, 0.1, 0.1, 0.01, 0.01]
    """
    places = [_updates("milestones", m, steps) for m in milestones]
    return lambda t: gamma ** sum(t >= place for place in places)


def lr_range(steps: int, *, start: float = 1e-4) -> Factor:
    """Learning-rate range test: from `start` times the rate up to it, by a constant ratio.

    f(t) = start^(1 - t/(T - 1)). The loss falls, then explodes; a good rate lies a little below
    the explosion. Smith 2017, arXiv:1506.01186 (there the rate rises linearly).
    """
    if not 0 < start <= 1:
        raise ValueError(f"start must be above 0 and at most 1; got {start}.")
    return lambda t: start ** (1 - t / max(1, steps - 1))


SCHEDULES: dict[str, Callable[..., Factor]] = {
    "constant": constant,
    "warmup": warmup,
    "cosine": cosine,
    "trapezoid": trapezoid,
    "step": step_decay,
    "range": lr_range,
}
NAMES = (*SCHEDULES, "one-cycle")


def build_schedule(
    name: str, optimizer: Optimizer, *, steps: int, options: Mapping[str, Any] | None = None
) -> LRScheduler:
    """The schedule `name` for a run of `steps` updates; call its ``step()`` after each update.

    ``one-cycle`` is torch's `OneCycleLR` (Smith & Topin 2018, arXiv:1708.07120): the optimizer's
    learning rate is the peak, and momentum (or β₁) moves against it where there is one; its
    options are those of the class, for example ``pct_start``.

    Args:
        name: One of `NAMES`.
        optimizer: Whose learning rates are scheduled.
        steps: Number of updates T.
        options: Arguments of the schedule.

    Raises:
        ValueError: If the name or an option is unknown or out of range.

    >>> import torch
    >>> import landscape as ls
    >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    >>> schedule = ls.build_schedule("warmup", optimizer, steps=10, options={"warmup": 4})
    >>> optimizer.param_groups[0]["lr"], schedule.get_last_lr()
    (0.25, [0.25])
    """
    from torch.optim.lr_scheduler import LambdaLR

    factor = factor_of(name, steps, options or {})
    if factor is None:
        return _one_cycle(optimizer, steps, dict(options or {}))
    return LambdaLR(optimizer, factor)


def factor_of(name: str, steps: int, options: Mapping[str, Any]) -> Factor | None:
    """The factor of a schedule on the learning rate; None for torch's own. It needs no torch.

    Raises:
        ValueError: If the name or an option is unknown or out of range.
    """
    if name not in NAMES:
        near = did_you_mean(name, NAMES)
        raise ValueError(f"schedule must be one of {', '.join(NAMES)}; not {name!r}.{near}")
    if name not in SCHEDULES:
        return None
    function = SCHEDULES[name]
    check_options(f"schedule {name}", options, list(inspect.signature(function).parameters)[1:])
    return function(steps, **options)


def scaled_lr(lr: float, *, batch_size: int, base: int) -> float:
    """The linear scaling rule: lr · batch_size/base (Goyal et al. 2017, arXiv:1706.02677).

    >>> scaled_lr(0.1, batch_size=1024, base=256)
    0.4
    """
    return lr * batch_size / base


def ramped_batch(step: int, *, steps: int, start: int, end: int) -> int:
    """Batch size of update `step` of a ramp that doubles `start` up to `end`.

    The run is cut into equal parts, one for each size start, 2 start, ... below `end`, and `end`.
    Smith et al. 2018, arXiv:1711.00489, grow the batch in place of a decaying learning rate.

    >>> [ramped_batch(t, steps=6, start=32, end=100) for t in range(6)]
    [32, 32, 64, 64, 100, 100]
    """
    doublings = max(0, math.ceil(math.log2(end / start)))
    return min(end, start * 2 ** (step * (doublings + 1) // steps))


def _one_cycle(optimizer: Optimizer, steps: int, options: dict[str, Any]) -> LRScheduler:
    from torch.optim.lr_scheduler import OneCycleLR

    allowed = set(inspect.signature(OneCycleLR).parameters)
    fixed = {"optimizer", "max_lr", "total_steps", "epochs", "steps_per_epoch", "last_epoch"}
    check_options("schedule one-cycle", options, sorted(allowed - fixed - {"verbose"}))
    groups = optimizer.param_groups
    moves = any(g.get("momentum") or "betas" in g for g in groups)
    rates = [float(g["lr"]) for g in groups]
    return OneCycleLR(optimizer, rates, total_steps=steps, **{"cycle_momentum": moves, **options})


def _updates(what: str, length: float, steps: int) -> int:
    if not 0 <= length <= steps:
        raise ValueError(
            f"{what} must be a fraction below 1 or a number of updates up to {steps}; got {length}."
        )
    return round(length * steps) if length < 1 else round(length)
