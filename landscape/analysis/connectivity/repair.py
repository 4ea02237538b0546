"""REPAIR: the statistics of hidden units restored along the line between two networks."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from landscape.analysis.connectivity.activations import network, rows, run, writers
from landscape.analysis.connectivity.symmetries import permutable_of
from landscape.base.vector import Vector
from landscape.objective.policies.batchnorm import norms_of

if TYPE_CHECKING:
    from landscape.objective.objective import Objective

_DEAD = 1e-5  # standard deviation below which a unit says nothing

Statistics = dict[str, tuple[Tensor, Tensor]]


@torch.no_grad()
def repair(objective: Objective, a: np.ndarray, b: np.ndarray, alpha: np.ndarray) -> Vector:
    """Networks on the line from a to b, their hidden units with the statistics of the ends.

    At each place the pre-activation of every hidden unit is scaled and shifted so that over the
    data its mean is (1 - α) μ_a + α μ_b and its standard deviation (1 - α) σ_a + α σ_b, layer
    after layer. Scale and shift go into the layer's own weight and bias, so that what comes out
    are ordinary parameters. Units that do not vary are left alone, and so are layers without a
    bias, that share a tensor with another, or that are called more than once. The ends are exact.
    Statistics are those of 2,048 samples from all over the data, or of all where there are fewer.

    For a network with batch norm measure with ``batch_norm="recalibrated"`` instead, which does
    the same.

    Args:
        objective: The model and the data.
        a: Flat parameters, shape (P,).
        b: Those at α = 1, aligned first for a low barrier.
        alpha: Places on the line, shape (places,).

    Returns:
        Flat parameters, shape (places, P).

    Raises:
        ValueError: If the model has batch norm, no hidden layer can be repaired, or a place is off
            the line.

    Source: Jordan et al. 2023, arXiv:2211.08403.

    >>> import numpy as np
    >>> import torch
    >>> import landscape as ls
    >>> def loss(model, batch):
    ...     return (model(batch[0]) - batch[1]).square().mean(1)
    >>> data = (torch.randn(32, 2), torch.randn(32, 1))
    >>> model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Tanh(), torch.nn.Linear(3, 1))
    >>> objective = ls.Objective(model, loss, data)
    >>> a = objective.parameters()
    >>> mended = ls.repair(objective, a, -a, np.array([0.0, 0.5]))
    >>> mended.shape, np.allclose(mended[0], a, atol=1e-6)
    ((2, 13), True)
    """
    alpha = np.atleast_1d(np.asarray(alpha, np.float64))
    if alpha.ndim > 1 or not ((alpha >= 0) & (alpha <= 1)).all():
        raise ValueError("alpha must be places on the line, from 0 to 1, one row of numbers.")
    if norms_of(objective.model):
        raise ValueError(
            "The model has batch norm, whose statistics are restored by measuring with "
            "Objective(..., batch_norm='recalibrated')."
        )
    a, b = objective.matched(a), objective.matched(b)
    groups = permutable_of(objective)[0].groups
    modules = dict(objective.model.named_modules())
    uses = Counter(id(p) for _, p in objective.model.named_parameters(remove_duplicate=False))
    trained = {entry.name for entry in objective.layout}
    hidden = [
        name
        for name in writers(objective.model, groups)
        if _shifts(modules[name])
        and all(uses[id(p)] == 1 for p in modules[name].parameters())
        and {f"{name}.weight", f"{name}.bias"} <= trained
    ]
    ends = _statistics(objective, a, hidden), _statistics(objective, b, hidden)
    hidden = [name for name in hidden if name in ends[0]]
    if not hidden:
        raise ValueError(
            "No hidden layer of the model can be repaired: none is called once, has a bias, and "
            "shares no tensor with another."
        )
    found = [_repaired(objective, a, b, float(x), hidden, ends) for x in alpha]
    return Vector(np.stack(found), objective.layout)


def _shifts(module: nn.Module) -> bool:
    """Whether the layer's weight counts its units first, and it has a bias."""
    linear = isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d)
    return linear and getattr(module, "bias", None) is not None


def _statistics(objective: Objective, vector: np.ndarray, hidden: list[str]) -> Statistics:
    model, found = network(objective, vector), dict[str, list[tuple[Tensor, Tensor]]]()
    for name, module in model.named_modules():
        if name in hidden:
            module.register_forward_hook(_keeping(found, name))
    run(objective, model)
    return {name: seen[0] for name, seen in found.items() if len(seen) == 1}


def _keeping(found: dict[str, list[tuple[Tensor, Tensor]]], name: str) -> Any:
    def hook(module: nn.Module, given: Any, output: Tensor) -> None:
        seen = rows(module, output)
        found.setdefault(name, []).append((seen.mean(dim=0), seen.std(dim=0, correction=0)))

    return hook


def _repaired(
    objective: Objective,
    a: np.ndarray,
    b: np.ndarray,
    alpha: float,
    hidden: list[str],
    ends: tuple[Statistics, Statistics],
) -> np.ndarray:
    point = np.asarray((1 - alpha) * np.asarray(a) + alpha * np.asarray(b))
    if alpha in (0.0, 1.0):
        return np.asarray(b if alpha else a)
    model = network(objective, point)

    def restoring(name: str) -> Any:
        (mean_a, std_a), (mean_b, std_b) = ends[0][name], ends[1][name]
        mean, std = (1 - alpha) * mean_a + alpha * mean_b, (1 - alpha) * std_a + alpha * std_b

        def hook(module: Any, given: Any, output: Tensor) -> Tensor:
            seen = rows(module, output)
            now, spread = seen.mean(dim=0), seen.std(dim=0, correction=0)
            live = (spread > _DEAD) & (std > _DEAD)
            scale = torch.where(live, std / spread.clamp_min(_DEAD), torch.ones_like(std))
            shift = torch.where(live, mean - scale * now, torch.zeros_like(mean))
            weight, bias = module.weight.data, module.bias.data
            each = scale.view(-1, *(1,) * (weight.dim() - 1))
            weight.copy_(weight.double() * each)
            bias.copy_(bias.double() * scale + shift)
            axes = (1,) * (output.dim() - 2) if isinstance(module, nn.modules.conv._ConvNd) else ()
            whole = scale.view(-1, *axes), shift.view(-1, *axes)
            return (output.double() * whole[0] + whole[1]).to(output.dtype)

        return hook

    for name, module in model.named_modules():
        if name in hidden:
            module.register_forward_hook(restoring(name))
    run(objective, model)
    named = dict(model.named_parameters())
    dtype = objective.problem.dtype
    parts = [named[e.name].detach().reshape(-1).to("cpu", dtype) for e in objective.layout]
    return torch.cat(parts).numpy()
