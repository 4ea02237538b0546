"""Lookahead: fast weights run ahead, slow weights follow part of the way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import Optimizer

from landscape.optim.around import Around
from landscape.optim.hyperparameters import check_range


class Lookahead(Around):
    r"""k steps forward, 1 step back (Zhang et al. 2019, arXiv:1907.08610, algorithm 1).

    Slow weights φ start where the fast weights θ start. The inner optimizer moves θ; after every
    k-th step

        φ ← φ + α (θ - φ)
        θ ← φ

    The parameters of the model are the fast weights; `slow_weights` gives φ. They agree right
    after every k-th step. The last fast weights before that are seen by a step hook of the inner
    optimizer, ``lookahead.inner[0].register_step_post_hook``.

    The inner optimizer's own state (momentum, moments) is kept from one loop to the next, which
    is the paper's default.

    Args:
        inner: The optimizer that moves the fast weights.
        k: Fast steps per slow step.
        alpha: α, the part of the way that the slow weights go, in (0, 1].

    Raises:
        ValueError: If a hyper-parameter is out of range.

    >>> w = torch.nn.Parameter(torch.tensor([1.0]))
    >>> lookahead = Lookahead(torch.optim.SGD([w], lr=0.5), k=1, alpha=0.5)
    >>> w.grad = torch.tensor([1.0])
    >>> lookahead.step()
    >>> w.data
    tensor([0.7500])
    """

    alpha: float
    k: int

    def __init__(self, inner: Optimizer, *, k: int = 5, alpha: float = 0.5) -> None:
        check_range("k", k, 1)
        if not 0 < alpha <= 1:
            raise ValueError(f"alpha must be above 0 and at most 1; got {alpha}.")
        super().__init__(inner)
        self.k, self.alpha = k, alpha
        for group in self.param_groups:
            for p in group["params"]:
                self.state[p] = {"slow": p.detach().clone(), "ahead": 0}

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One fast step, and the slow step when it is due."""
        loss = self.inner[0].step(closure) if closure else self.inner[0].step()
        for group in self.param_groups:
            for p in group["params"]:
                state = self.state[p]
                state["ahead"] += 1
                if state["ahead"] == self.k:
                    state["ahead"] = 0
                    state["slow"].lerp_(p, self.alpha)
                    p.copy_(state["slow"])
        return loss

    def slow_weights(self) -> dict[Tensor, Tensor]:
        """Every parameter with its slow weights φ."""
        return {p: state["slow"] for p, state in self.state.items()}
