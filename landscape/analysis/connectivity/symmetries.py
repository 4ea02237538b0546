"""Which permutations of units change neither the outputs of an objective's model nor its loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from landscape.analysis.connectivity.activations import call_loss
from landscape.analysis.connectivity.families import family_of
from landscape.analysis.connectivity.permutations import (
    Permutable,
    check_function,
    shuffle,
    twin_of,
)
from landscape.analysis.connectivity.tracing import trace
from landscape.objective.metrics import mean_of

if TYPE_CHECKING:
    from landscape.objective.objective import Objective

_SAMPLES = 4
_ROUNDING = 1e-3, 1e-4  # of a loss in single precision, relative and absolute


def permutable_of(objective: Objective) -> tuple[Permutable, float]:
    """What of the objective's model may be permuted, and the error of the check.

    Raises:
        ValueError: If the model cannot be traced, or its outputs or the loss change.
    """
    model, inputs = objective.model, model_inputs(objective)
    found = family_of(model)
    if found is None:
        with torch.no_grad():
            found = trace(twin_of(model), *inputs)
    trained = {e.name for e in objective.layout} | {e.name for e in objective.buffers_layout}
    free, frozen = [], []
    for group in found.groups:
        fixed = [place.name for place in group.places if place.name not in trained]
        (frozen if fixed else free).append(group)
    told = tuple(f"{g.name}: a tensor of it is not trained" for g in frozen)
    found = Permutable(tuple(free), (*found.pinned, *told))
    error = check_function(model, found, inputs)
    _check_loss(objective, found)
    return found, error


def model_inputs(objective: Objective) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """What the loss gives to the model for a few samples."""
    caught: list[Any] = []

    def keep(module: nn.Module, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        caught.append((arguments, keywords))

    twin = twin_of(objective.model)
    handle = twin.register_forward_pre_hook(keep, with_kwargs=True)
    _loss(objective, twin)
    handle.remove()
    if not caught:
        raise ValueError("The loss does not call the model, so its units cannot be followed.")
    return caught[0]


def _check_loss(objective: Objective, permutable: Permutable) -> None:
    """Refuse permutations of units that the loss looks at, besides the model's output."""
    twin = twin_of(objective.model)
    before = _loss(objective, twin)
    shuffle(twin, permutable)
    after = _loss(objective, twin)
    narrow = 50 * torch.finfo(objective.problem.rounding).eps
    rtol, atol = (max(share, narrow) for share in _ROUNDING)
    if not torch.allclose(before, after, rtol=rtol, atol=atol, equal_nan=True):
        raise ValueError(
            f"Permuting the units of this {type(twin).__name__} changes the loss from "
            f"{float(before):.6g} to {float(after):.6g} though not the model's output: the loss "
            "looks at hidden units or single weights. Align with a loss of the output alone."
        )


@torch.enable_grad()
def _loss(objective: Objective, model: nn.Module) -> Tensor:
    """The mean loss of a few samples."""
    batch = objective.data.batches(_SAMPLES, most=_SAMPLES)[0][0]
    return mean_of(call_loss(objective, model, batch)).detach()
