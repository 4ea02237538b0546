"""LARS: one learning rate per tensor, from the ratio of weight to gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.optim.optimizer import Optimizer, ParamsT

from landscape.optim.hyperparameters import check_range


class LARS(Optimizer):
    r"""Layer-wise adaptive rate scaling (You, Gitman & Ginsburg 2017, arXiv:1708.03888).

    For every tensor w with gradient g:

        λ = η ‖w‖ / (‖g‖ + β ‖w‖)
        v ← μ v + γ λ (g + β w)
        w ← w - v

    with trust coefficient η (`trust`), weight decay β and momentum μ. The learning rate γ stands
    inside the velocity, as in the paper; most libraries multiply by it outside, which differs as
    soon as γ changes. With μ = β = 0 a step has the length ‖Δw‖ = γ η ‖w‖.

    Where it departs: the paper's ratio keeps a tensor of zeros at zero for ever, and is undefined
    where ‖g‖ + β ‖w‖ = 0; there λ = η. A parameter group with ``adapt=False`` also has λ = η;
    later practice does so for biases and normalization.

    Args:
        params: Parameters or groups.
        lr: γ.
        momentum: μ.
        weight_decay: β.
        trust: η.
        adapt: Whether the ratio is used.

    Raises:
        ValueError: If a hyper-parameter is out of range.

    >>> w = torch.nn.Parameter(torch.tensor([3.0, 4.0]))
    >>> w.grad = torch.tensor([0.0, 0.5])
    >>> LARS([w], lr=1.0, momentum=0.0, trust=0.1).step()
    >>> w.data
    tensor([3.0000, 3.5000])
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1.0,
        *,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        trust: float = 0.001,
        adapt: bool = True,
    ) -> None:
        check_range("lr", lr, 0)
        check_range("momentum", momentum, 0, 1)
        check_range("weight_decay", weight_decay, 0)
        check_range("trust", trust, 0)
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "weight_decay": weight_decay,
                "trust": trust,
                "adapt": adapt,
            },
        )

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One update; `closure`, if given, computes the loss and the gradients."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for w in group["params"]:
                if w.grad is None:
                    continue
                rate = group["lr"] * group["trust"]
                if group["adapt"]:
                    rate = rate * _ratio(w, w.grad, group["weight_decay"])
                direction = w.grad.add(w, alpha=group["weight_decay"])
                state = self.state[w]
                if "velocity" not in state:
                    state["velocity"] = torch.zeros_like(w)
                velocity = state["velocity"].mul_(group["momentum"]).add_(direction * rate)
                w.sub_(velocity)
        return loss


def _ratio(w: torch.Tensor, gradient: torch.Tensor, weight_decay: float) -> torch.Tensor:
    weight = w.norm()
    below = gradient.norm() + weight_decay * weight
    return torch.where((weight > 0) & (below > 0), weight / below, torch.ones_like(weight))
