"""SAM and ASAM: descend along the gradient of the worst point nearby."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import Optimizer

from landscape.optim.around import Around
from landscape.optim.hyperparameters import check_range


class SAM(Around):
    r"""Sharpness-aware minimization (Foret et al. 2021, arXiv:2010.01412).

    With the gradient g at w over all parameters together,

        ê = ρ g / ‖g‖                                            (SAM)
        ê = ρ T² g / ‖T g‖,  T = diag(|w| + η)                   (ASAM, `adaptive`)

    and the inner optimizer makes its step at w with the gradient at w + ê. ASAM is Kwon et al.
    2021, arXiv:2102.11600. `step` needs a closure that clears the gradients, computes the loss
    and calls ``backward()``; it is called twice, and the loss at w is returned. Afterwards
    ``p.grad`` is the gradient at w + ê. A step that an error or an interrupt ends leaves the
    weights as they were before it. Running statistics of batch norm see both calls.

    Args:
        inner: The optimizer that makes the step.
        rho: ρ; the papers use 0.05 for SAM and 0.5 for ASAM.
        adaptive: Use ASAM's neighbourhood, which does not change with the scale of the weights.
        eta: η of ASAM.

    Raises:
        ValueError: If a hyper-parameter is out of range.

    >>> w = torch.nn.Parameter(torch.tensor([1.0]))
    >>> optimizer = SAM(torch.optim.SGD([w], lr=0.5), rho=0.1)
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     (w**2 / 2).sum().backward()
    ...     return w**2 / 2
    >>> loss = optimizer.step(closure)  # the gradient at 1 + 0.1 is 1.1
    >>> round(w.item(), 3)
    0.45
    """

    adaptive: bool
    eta: float
    rho: float

    def __init__(
        self, inner: Optimizer, *, rho: float = 0.05, adaptive: bool = False, eta: float = 0.01
    ) -> None:
        check_range("rho", rho, 0)
        check_range("eta", eta, 0)
        super().__init__(inner)
        self.rho, self.adaptive, self.eta = rho, adaptive, eta

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One update.

        Raises:
            ValueError: If there is no closure.
        """
        if closure is None:
            raise ValueError(
                "SAM needs the gradient at two points: call step(closure), where closure clears "
                "the gradients, computes the loss, calls backward() and returns the loss."
            )
        with torch.enable_grad():
            loss = closure()
        moved = [p for g in self.param_groups for p in g["params"] if p.grad is not None]
        origin = [p.clone() for p in moved]
        try:
            self._ascend(moved)
            with torch.enable_grad():
                closure()
            _assign(moved, origin)
            self.inner[0].step()
        except BaseException:  # also an interrupt: the weights are as before the step
            _assign(moved, origin)
            raise
        return loss

    def _ascend(self, moved: list[Any]) -> None:
        """Go to w + ê."""
        scales = [p.abs() + self.eta if self.adaptive else torch.ones_like(p) for p in moved]
        scaled = [s * p.grad for p, s in zip(moved, scales, strict=True)]
        norm = torch.stack([s.norm() for s in scaled]).norm()
        if norm > 0:
            for p, gradient, scale in zip(moved, scaled, scales, strict=True):
                p.add_(gradient * scale * (self.rho / norm))


def _assign(tensors: list[Tensor], values: list[Tensor]) -> None:
    for tensor, value in zip(tensors, values, strict=True):
        tensor.copy_(value)
