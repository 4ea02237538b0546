"""Adam first, SGD later: at a given step, or when the rate that SGD would need has settled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.optim.optimizer import Optimizer, ParamsT

from landscape.optim.hyperparameters import check_betas, check_range


class AdamToSGD(Optimizer):
    r"""Switch from Adam to SGD (Keskar & Socher 2017, arXiv:1712.07628, algorithm 1, SWATS).

    While Adam runs, every update p over all parameters together is compared with the gradient g:

        γ = pᵀp / (-pᵀg)              the SGD rate whose step, projected on p, is p
        λ ← β₂ λ + (1 - β₂) γ         corrected: λ̂ = λ / (1 - β₂ᵗ)

    With `switch_at=None` the switch comes when t > 1 and |λ̂ - γ| < `tolerance`; else after step
    `switch_at`. Then, with Λ = λ̂ (or `sgd_lr` when given),

        v ← β₁ v + g,    w ← w - (1 - β₁) Λ v

    A learning-rate schedule goes on: Λ is multiplied by what the schedule has done to the
    learning rate since the switch. Steps with pᵀg = 0 leave λ as it is.

    Where it departs: in the paper tolerance and Adam's ε are one number, 10⁻⁹; here they are two,
    since noise of small batches moves γ by its own size and such a tolerance is met by chance in
    10⁸ steps (the name ``swats`` stands for a tolerance of 0.01). The switch waits until λ > 0
    unless `sgd_lr` is given: momentum can point uphill, and a negative Λ would climb. Single γ
    can be huge where p is nearly across g, and then so is λ̂. Weight decay is added to the gradient,
    as torch's Adam does.

    Args:
        params: Parameters or groups.
        lr: Adam's learning rate.
        betas: β₁ and β₂.
        eps: Adam's ε.
        weight_decay: Added to the gradient, times w.
        switch_at: Step after which SGD takes over; None uses the criterion.
        sgd_lr: Λ; None uses λ̂.
        tolerance: Of the criterion.

    Attributes:
        switched_at: The last step of Adam, 0 before the switch.

    Raises:
        ValueError: If a hyper-parameter is out of range.

    >>> w = torch.nn.Parameter(torch.tensor([1.0]))
    >>> optimizer = AdamToSGD([w], lr=0.1, switch_at=1, sgd_lr=0.5)
    >>> for _ in range(2):  # Adam's first step is its rate; then w - 0.5 g
    ...     w.grad = torch.tensor([0.2])
    ...     optimizer.step()
    >>> round(w.item(), 4)
    0.89
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-9,
        weight_decay: float = 0.0,
        switch_at: int | None = None,
        sgd_lr: float | None = None,
        tolerance: float = 1e-9,
    ) -> None:
        check_range("lr", lr, 0)
        check_betas(betas)
        check_range("eps", eps, 0)
        check_range("weight_decay", weight_decay, 0)
        check_range("tolerance", tolerance, 0)
        if switch_at is not None:
            check_range("switch_at", switch_at, 1)
        if sgd_lr is not None:
            check_range("sgd_lr", sgd_lr, 0)
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "switch_at": switch_at,
                "sgd_lr": sgd_lr,
                "tolerance": tolerance,
                # What the switch knows; the same in every group, so that it is saved with them.
                "t": 0,
                "switched_at": 0,
                "average": 0.0,
                "rate": 0.0,
                "adam_lr": lr,
            },
        )

    @property
    def switched_at(self) -> int:
        """The last step of Adam, 0 before the switch."""
        return self.param_groups[0]["switched_at"]

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One update; `closure`, if given, computes the loss and the gradients."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        first = self.param_groups[0]
        t = first["t"] + 1
        if first["switched_at"]:
            self._sgd()
            found: dict[str, Any] = {}
        else:
            found = self._watch(*self._adam(t), t)
        for group in self.param_groups:
            if found.get("switched_at"):
                group["adam_lr"] = group["lr"]
            group.update(t=t, **found)
        return loss

    def _adam(self, t: int) -> tuple[float, float]:
        """Adam's update p; returns pᵀp and pᵀg."""
        square = product = 0.0
        for group, p, gradient in self._gradients():
            beta1, beta2 = group["betas"]
            state = self.state[p]
            if not state:
                state.update(m=torch.zeros_like(p), v=torch.zeros_like(p))
            m = state["m"].lerp_(gradient, 1 - beta1)
            v = state["v"].mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
            rate = group["lr"] * (1 - beta2**t) ** 0.5 / (1 - beta1**t)
            update = -rate * m / (v.sqrt() + group["eps"])
            p.add_(update)
            square += float((update * update).sum())
            product += float((update * gradient).sum())
        return square, product

    def _watch(self, square: float, product: float, t: int) -> dict[str, Any]:
        """What the step tells about the switch, to be stored in every group."""
        group = self.param_groups[0]
        beta2, average = group["betas"][1], group["average"]
        settled = False
        if product:
            gamma = -square / product
            average = beta2 * average + (1 - beta2) * gamma
            settled = t > 1 and abs(average / (1 - beta2**t) - gamma) < group["tolerance"]
        at, given = group["switch_at"], group["sgd_lr"]
        due = settled if at is None else t >= at
        found: dict[str, Any] = {"average": average}
        if due and (average > 0 or given is not None):
            projected = average / (1 - beta2**t)
            found.update(switched_at=t, rate=projected if given is None else given)
        return found

    def _sgd(self) -> None:
        for group, p, gradient in self._gradients():
            beta1 = group["betas"][0]
            state = self.state[p]
            if "velocity" not in state:
                state.clear()
                state["velocity"] = torch.zeros_like(p)
            velocity = state["velocity"].mul_(beta1).add_(gradient)
            scheduled = group["lr"] / group["adam_lr"] if group["adam_lr"] else 0.0
            p.sub_(velocity, alpha=(1 - beta1) * group["rate"] * scheduled)

    def _gradients(self) -> Any:
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    yield group, p, p.grad.add(p, alpha=group["weight_decay"])
