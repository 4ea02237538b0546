"""Ways to run a loss so that it can be differentiated twice, and what cannot."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from landscape.objective.metrics import Metric, sum_and_weight
from landscape.objective.strategies.memory import out_of_memory


class _PlainWeightNorm(TorchFunctionMode):
    """Weight normalization by plain operations: torch's kernel has a wrong second derivative.

    Off by more than the derivative itself in double precision (torch 2.13, processor), silently.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if func is getattr(torch, "_weight_norm", None):
            return _weight_norm(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def _weight_norm(v: Tensor, g: Tensor, dim: int = 0) -> Tensor:
    return v * (g / torch.norm_except_dim(v, 2, dim))


@contextlib.contextmanager
def twice_differentiable(model: nn.Module) -> Iterator[None]:
    """Inside, attention, recurrent, compiled and weight-normalized nets differentiate twice."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(_PlainWeightNorm())
        stack.enter_context(torch.enable_grad())
        kernels = torch.nn.attention
        stack.enter_context(kernels.sdpa_kernel(kernels.SDPBackend.MATH))
        if torch.backends.cudnn.is_available() and any(
            isinstance(module, nn.RNNBase) for module in model.modules()
        ):
            stack.enter_context(torch.backends.cudnn.flags(enabled=False))
        if "torch._dynamo" in sys.modules:  # something may be compiled
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        yield


@contextlib.contextmanager
def refused() -> Iterator[None]:
    """Inside, autograd's errors say what they mean for whoever wants a Hessian."""
    try:
        yield
    except (RuntimeError, NotImplementedError) as problem:
        if out_of_memory(problem):
            raise
        text = " ".join(str(problem).split())
        raise ValueError(
            f"The loss cannot be differentiated twice: {text[:300]} (An operation with a kernel "
            "of its own, such as fused attention or a custom autograd function, has no second "
            "derivative; use its plain version.)"
        ) from problem


def differentiable_sum(
    loss: Metric, model: nn.Module, batch: Any, samples: int
) -> tuple[Tensor, Tensor]:
    """The loss of a batch as a sum that depends on the parameters, and its weight.

    Raises:
        ValueError: If it does not, or the weight does.
    """
    total, weight = sum_and_weight(loss(model, batch), samples)
    if weight.requires_grad:
        raise ValueError(
            "The loss has no Hessian here: its weight depends on the parameters; return a pair "
            "(sum, weight) whose weight is detached."
        )
    if not total.requires_grad:
        raise ValueError(
            "The loss has no Hessian: it does not depend on the parameters in a way that autograd "
            "sees (no_grad, detach, item or numpy inside it?)"
        )
    return total, weight


def dense(tensor: Tensor) -> Tensor:
    """A tensor without sparseness."""
    return tensor.to_dense() if tensor.is_sparse else tensor
