"""Shampoo: a full-matrix preconditioner along every dimension of a tensor."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import Optimizer, ParamsT

from landscape.optim.hyperparameters import check_range


class Shampoo(Optimizer):
    r"""Preconditioned stochastic gradient descent (Gupta et al. 2018, arXiv:1802.09568).

    For a matrix W with gradient G (algorithm 1; tensors of k dimensions as in algorithm 2, with
    one matrix for each and the exponent -1/2k; a vector is full-matrix AdaGrad):

        L ← L + G Gᵀ        R ← R + Gᵀ G        both begin as ε I
        W ← W - γ L^(-1/4) G R^(-1/4)

    L and R are singular but for ε I, and ε added to sums of squares far above it is lost in
    rounding: the inverse root of what is left is rounding too, differs between processors and may
    be infinite. So only the sums are kept, and ε is added to their eigenvalues, as if that were
    exact. Where it departs: eigenvalues below d λ η, with d × d the matrix, λ its largest
    eigenvalue and η the machine epsilon of the weights, are rounding and raised to that.

    Gradients that are not finite give weights that are not finite, as with any other optimizer.

    Args:
        params: Parameters or groups. Their dimensions d must allow matrices of d × d.
        lr: γ.
        matrix_eps: ε, above 0.
        momentum: μ; the preconditioned gradient U becomes m ← μ m + U and the step is -γ m.
        weight_decay: λ; λ W is added to G.
        weight_decouple: λ γ W is taken off W instead.
        preconditioning_compute_steps: The inverse roots are computed at the first step and then
            each time this many have been made.

    Raises:
        ValueError: If a hyper-parameter is out of range.

    One step from zero along a matrix of rank one, G = 6 u vᵀ, is γ u vᵀ, whatever its length:

    >>> w = torch.nn.Parameter(torch.zeros(2, 2))
    >>> w.grad = torch.full((2, 2), 3.0)
    >>> Shampoo([w], lr=1.0).step()
    >>> w.data
    tensor([[-0.5000, -0.5000],
            [-0.5000, -0.5000]])
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 0.1,
        *,
        matrix_eps: float = 1e-6,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        weight_decouple: bool = False,
        preconditioning_compute_steps: int = 1,
    ) -> None:
        check_range("lr", lr, 0)
        check_range("momentum", momentum, 0, 1)
        check_range("weight_decay", weight_decay, 0)
        if not 0 < matrix_eps < math.inf:
            raise ValueError(f"matrix_eps must be above 0 and finite; got {matrix_eps}.")
        if preconditioning_compute_steps < 1:
            raise ValueError(
                "preconditioning_compute_steps must be at least 1; got "
                f"{preconditioning_compute_steps}."
            )
        super().__init__(
            params,
            {
                "lr": lr,
                "matrix_eps": matrix_eps,
                "momentum": momentum,
                "weight_decay": weight_decay,
                "weight_decouple": weight_decouple,
                "preconditioning_compute_steps": preconditioning_compute_steps,
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
                if w.grad is not None:
                    w.sub_(self._update(w, w.grad, group), alpha=group["lr"])
        return loss

    def _update(self, w: Tensor, gradient: Tensor, group: dict[str, Any]) -> Tensor:
        decay = group["weight_decay"] * w
        update = gradient if group["weight_decouple"] else gradient + decay
        update = self._preconditioned(update.reshape(w.shape or (1,)), w, group).reshape(w.shape)
        state = self.state[w]
        if group["momentum"]:
            before = state.get("momentum", torch.zeros_like(w))
            update = state["momentum"] = group["momentum"] * before + update
        return update + decay if group["weight_decouple"] else update

    def _preconditioned(self, gradient: Tensor, w: Tensor, group: dict[str, Any]) -> Tensor:
        state, order = self.state[w], 2 * gradient.ndim
        step = state.setdefault("step", 0)
        state["step"] = step + 1
        update = gradient
        for k, size in enumerate(gradient.shape):
            rows = gradient.movedim(k, 0).reshape(size, -1)
            total = state.setdefault(f"sum_{k}", gradient.new_zeros(size, size))
            total.addmm_(rows, rows.mT)
            if step % group["preconditioning_compute_steps"] == 0:
                state[f"root_{k}"] = _inverse_root(total, order, group["matrix_eps"])
            update = torch.tensordot(state[f"root_{k}"], update.movedim(k, 0), 1).movedim(0, k)
        return update


def _inverse_root(total: Tensor, order: int, eps: float) -> Tensor:
    """(total + ε I)^(-1/order) of a positive semidefinite matrix."""
    if not total.isfinite().all():
        return torch.full_like(total, math.nan)
    values, vectors = torch.linalg.eigh(total.double())
    rounding = len(total) * values[-1].clamp(min=0) * torch.finfo(total.dtype).eps
    powers = (values.clamp(min=rounding) + eps).pow(-1 / order)
    return ((vectors * powers) @ vectors.mT).to(total.dtype)
