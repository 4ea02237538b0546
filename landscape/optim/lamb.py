"""LAMB: Adam's direction, with a step as long as the layer's weights allow."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch.optim.optimizer import Optimizer, ParamsT

from landscape.optim.hyperparameters import check_betas, check_range


class LAMB(Optimizer):
    r"""Layer-wise adaptive moments (You et al. 2020, arXiv:1904.00962, algorithm 2).

    For every tensor w with gradient g, at its step t:

        m ← β₁ m + (1 - β₁) g          m̂ = m / (1 - β₁ᵗ)
        v ← β₂ v + (1 - β₂) g²         v̂ = v / (1 - β₂ᵗ)
        u = m̂ / (√v̂ + ε) + λ w
        w ← w - γ φ(‖w‖) u / ‖u‖

    so that without clipping ‖Δw‖ = γ ‖w‖, and with λ = 0 the scale of the gradient cancels (up to
    ε). φ clips the norm to `clip`; by default it does nothing. `bias_correction=False` uses m and
    v as they are, as the first versions of the paper did.

    Where it departs: a tensor of zeros would stay at zero for ever; where ‖w‖ or ‖u‖ is 0 the
    factor φ(‖w‖)/‖u‖ is 1. It is also 1 in a parameter group with ``adapt=False``, which makes
    the group AdamW; the authors' code does so for biases and normalization.

    Args:
        params: Parameters or groups.
        lr: γ.
        betas: β₁ and β₂.
        eps: ε.
        weight_decay: λ.
        bias_correction: Whether m and v are corrected.
        clip: Smallest and largest value of φ.
        adapt: Whether the ratio is used.

    Raises:
        ValueError: If a hyper-parameter is out of range.

    >>> w = torch.nn.Parameter(torch.tensor([3.0, 4.0]))
    >>> w.grad = torch.tensor([0.0, 0.5])
    >>> LAMB([w], lr=0.1).step()
    >>> w.data
    tensor([3.0000, 3.5000])
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        bias_correction: bool = True,
        clip: tuple[float, float] = (0.0, math.inf),
        adapt: bool = True,
    ) -> None:
        check_range("lr", lr, 0)
        check_betas(betas)
        check_range("eps", eps, 0)
        check_range("weight_decay", weight_decay, 0)
        if not 0 <= clip[0] <= clip[1]:
            raise ValueError(f"clip must be two norms, 0 ≤ smallest ≤ largest; got {clip}.")
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "bias_correction": bias_correction,
                "clip": clip,
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
            beta1, beta2 = group["betas"]
            for w in group["params"]:
                if w.grad is None:
                    continue
                state = self.state[w]
                if not state:
                    state.update(step=0, m=torch.zeros_like(w), v=torch.zeros_like(w))
                state["step"] += 1
                m = state["m"].lerp_(w.grad, 1 - beta1)
                v = state["v"].mul_(beta2).addcmul_(w.grad, w.grad, value=1 - beta2)
                if group["bias_correction"]:
                    m = m / (1 - beta1 ** state["step"])
                    v = v / (1 - beta2 ** state["step"])
                update = m / (v.sqrt() + group["eps"]) + group["weight_decay"] * w
                if group["adapt"]:
                    update = update * _ratio(w, update, group["clip"])
                w.sub_(update, alpha=group["lr"])
        return loss


def _ratio(w: torch.Tensor, update: torch.Tensor, clip: tuple[float, float]) -> torch.Tensor:
    weight, length = w.norm(), update.norm()
    ratio = weight.clamp(*clip) / length
    return torch.where((weight > 0) & (length > 0), ratio, torch.ones_like(weight))
