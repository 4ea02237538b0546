"""Correlations of the units of two networks over the data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from landscape.analysis.connectivity.permutations import Group, Place, twin_of
from landscape.objective.lending.loan import random_state_kept
from landscape.objective.lending.reach import generators_kept

if TYPE_CHECKING:
    from landscape.objective.objective import Objective

_SAMPLES = 2048  # of the objective's data at most, equally far apart


def correlations(
    objective: Objective,
    a: np.ndarray,
    b: np.ndarray,
    groups: Sequence[Group],
    buffers: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """Per group the correlation of each unit of a with each of b, shape (units, units).

    Units are seen where layers write them, before their activation; the correlations of several
    layers that write one group are added.
    """
    first, second = written(objective, a, groups), written(objective, b, groups, buffers)
    found = {}
    for group in groups:
        scores = np.zeros((group.units, group.units))
        # A layer that is called twice is there twice, in the same order.
        pairs = zip(first.get(group.name, []), second.get(group.name, []), strict=True)
        for (place, one), (_, other) in pairs:
            each = (_standardised(one).T @ _standardised(other)) / len(one)
            parts = each.reshape(
                *(place.repeat, group.units, place.block),
                *(place.repeat, group.units, place.block),
            )
            scores += np.einsum("rubrvb->uv", parts)
        found[group.name] = scores
    return found


def writers(model: nn.Module, groups: Sequence[Group]) -> dict[str, tuple[str, Place]]:
    """Layers that write a group: module name to group and place."""
    found = {}
    for name, module in model.named_modules():
        axis = 1 if type(module).__name__ == "Conv1D" else 0
        linear = isinstance(module, nn.Linear | nn.modules.conv._ConvNd) or axis
        for group in groups if linear else ():
            for place in group.places:
                if place.name == f"{name}.weight" and place.axis == axis:
                    found[name] = group.name, place
    return found


@torch.no_grad()
def written(
    objective: Objective,
    vector: np.ndarray,
    groups: Sequence[Group],
    buffers: np.ndarray | None = None,
) -> dict[str, list[tuple[Place, np.ndarray]]]:
    """What the layers that write each group give on the data, shape (samples, axis)."""
    model = network(objective, vector, buffers)
    found: dict[str, list[tuple[Place, np.ndarray]]] = {}

    def keep(group: str, place: Place) -> Any:
        def hook(module: nn.Module, given: Any, output: Tensor) -> None:
            found.setdefault(group, []).append((place, rows(module, output).cpu().numpy()))

        return hook

    modules = dict(model.named_modules())
    for name, (group, place) in writers(model, groups).items():
        modules[name].register_forward_hook(keep(group, place))
    run(objective, model)
    return found


def rows(module: nn.Module, output: Tensor) -> Tensor:
    """A layer's output as (samples and places, units), in double precision."""
    last = output.movedim(1, -1) if isinstance(module, nn.modules.conv._ConvNd) else output
    return last.reshape(-1, last.shape[-1]).double()


def network(
    objective: Objective, vector: np.ndarray, buffers: np.ndarray | None = None
) -> nn.Module:
    """A copy of the objective's model with these parameters, in evaluation mode."""
    model = twin_of(objective.model).to(objective.device)
    named = dict((*model.named_parameters(), *model.named_buffers()))
    held = [(objective.layout, objective.matched(vector))]
    held += [] if buffers is None else [(objective.buffers_layout, buffers)]
    for layout, values in held:
        plain = np.array(values)
        for e in layout:
            named[e.name].data.copy_(torch.from_numpy(plain[e.slice].reshape(e.shape)))
    return model


@torch.no_grad()
def run(objective: Objective, model: nn.Module) -> None:
    """One forward pass on samples from all over the data; of data that cannot be cut, a batch."""
    data = objective.data
    if data.joined and data.size > _SAMPLES:
        index = torch.linspace(0, data.size - 1, _SAMPLES, dtype=torch.float64).round().long()
        batch = data.take(index.to(objective.device))
    else:
        batch = data.batches(_SAMPLES, most=_SAMPLES)[0][0]
    try:
        call_loss(objective, model, batch)
    except RuntimeError as error:
        if "does not require grad" not in str(error):
            raise
        raise ValueError(
            "The loss differentiates, and units are looked at without gradients; give an Objective "
            "whose loss only calls the model, or align by weights."
        ) from error


def call_loss(objective: Objective, model: nn.Module, batch: Any) -> Any:
    """What the loss returns for a batch; what it draws at random is the same in every call."""
    metric = next(iter(objective.metrics.values()))
    with random_state_kept(objective.device), generators_kept([metric]):
        return metric(model, batch)


def _standardised(x: np.ndarray) -> np.ndarray:
    centred = x - x.mean(axis=0)
    scale = centred.std(axis=0)
    return centred / np.where(scale > 1e-12, scale, np.inf)
