"""Muon for matrices, AdamW for everything else, as one optimizer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.optim.optimizer import ParamsT

from landscape.optim.around import Around


class MuonAdamW(Around):
    r"""Orthogonalized momentum for matrices (Jordan 2024; Liu et al. 2025, arXiv:2502.16982).

    Every tensor of two dimensions is moved by `torch.optim.Muon`, W ← W - γ s O, where O is the
    momentum with all its singular values made nearly 1 by a Newton-Schulz iteration in bfloat16
    and s = 0.2 √max(rows, columns), which gives updates of AdamW's size; biases, normalization
    and convolutions are moved by `torch.optim.AdamW`. So one learning rate γ serves both.

    Where it departs: embeddings and output layers, which Jordan leaves to AdamW, are matrices
    like the others; give them a group with ``muon=False`` to leave them to AdamW.

    Args:
        params: Parameters or groups; a group may hold ``muon=False``.
        lr: γ.
        weight_decay: Decoupled weight decay of both.
        momentum: Muon's momentum.

    Raises:
        ValueError: If a hyper-parameter is out of range or torch is older than 2.9.

    >>> w = torch.nn.Parameter(torch.zeros(2, 2))
    >>> optimizer = MuonAdamW([w], lr=0.1)
    >>> w.grad = torch.diag(torch.tensor([5.0, 0.1]))
    >>> optimizer.step()  # both singular values of the step are near each other
    >>> (w[0, 0] / w[1, 1]).item() < 2
    True
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-3,
        *,
        weight_decay: float = 0.01,
        momentum: float = 0.95,
    ) -> None:
        if not hasattr(torch.optim, "Muon"):
            raise ValueError(f"muon needs torch 2.9 or newer; this is {torch.__version__}.")
        given: list[Any] = list(params)
        groups = given if given and isinstance(given[0], dict) else [{"params": given}]
        matrices: list[dict[str, Any]] = []
        others: list[dict[str, Any]] = []
        for group in groups:
            rest = {key: value for key, value in group.items() if key not in ("params", "muon")}
            tensors = group["params"]
            tensors = [tensors] if isinstance(tensors, torch.Tensor) else list(tensors)
            for part, wanted in ((matrices, True), (others, False)):
                held = [p for p in tensors if (group.get("muon", True) and p.ndim == 2) == wanted]
                if held:
                    part.append({**rest, "params": held})
        parts: list[torch.optim.Optimizer] = []
        if matrices:
            parts.append(
                torch.optim.Muon(
                    matrices,
                    lr=lr,
                    weight_decay=weight_decay,
                    momentum=momentum,
                    adjust_lr_fn="match_rms_adamw",
                )
            )
        if others or not matrices:
            parts.append(torch.optim.AdamW(others, lr=lr, weight_decay=weight_decay))
        super().__init__(*parts)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One update; `closure`, if given, computes the loss and the gradients."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for optimizer in self.inner:
            optimizer.step()
        return loss
