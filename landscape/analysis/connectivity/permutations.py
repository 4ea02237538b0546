"""Groups of units that may be permuted without changing the function of a network."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from landscape.base.layout import Layout

TOLERANCE = 1e-10  # largest change of an output in double precision, relative to the largest output


@dataclass(frozen=True)
class Place:
    """An axis of a tensor that a group orders: seen as (`repeat`, units, `block`).

    Attributes:
        name: The tensor, a parameter or a buffer.
        axis: Its axis.
        repeat: Copies of the units along the axis; 3 for fused query, key and value.
        block: Neighbouring elements that belong to one unit: pixels behind a flattened
            convolution, elements of a head.
    """

    name: str
    axis: int
    repeat: int = 1
    block: int = 1

    def split(self, tensor: np.ndarray, units: int) -> np.ndarray:
        """The tensor as (units, everything else)."""
        first = np.moveaxis(tensor, self.axis, 0)
        parts = first.reshape(self.repeat, units, self.block, -1)
        return np.moveaxis(parts, 1, 0).reshape(units, -1)

    def index(self, order: np.ndarray) -> np.ndarray:
        """The order of the axis' elements when the units come in this order."""
        units, block = len(order), self.block
        inner = (order[:, None] * block + np.arange(block)).reshape(-1)
        return (np.arange(self.repeat)[:, None] * units * block + inner).reshape(-1)


@dataclass(frozen=True)
class Group:
    """Units that are permuted together, wherever they are written or read."""

    name: str
    units: int
    places: tuple[Place, ...]


@dataclass(frozen=True)
class Permutable:
    """What of a network may be permuted.

    Attributes:
        groups: The free groups.
        pinned: What keeps its order though it might have another, and why.
    """

    groups: tuple[Group, ...]
    pinned: tuple[str, ...] = ()


def permute(
    tensors: Mapping[str, np.ndarray], group: Group, order: np.ndarray
) -> dict[str, np.ndarray]:
    """The tensors, those of a group with their units in another order."""
    found = dict(tensors)
    for place in group.places:
        if place.name in found:
            found[place.name] = np.take(found[place.name], place.index(order), axis=place.axis)
    return found


def tensors_of(vector: np.ndarray, layout: Layout) -> dict[str, np.ndarray]:
    """The tensors of a flat vector."""
    plain = np.asarray(vector)
    return {e.name: plain[e.slice].reshape(e.shape) for e in layout}


def flat(tensors: Mapping[str, np.ndarray], layout: Layout, dtype: Any) -> np.ndarray:
    """Tensors as a flat vector."""
    return np.concatenate([tensors[e.name].reshape(-1) for e in layout]).astype(dtype)


def twin_of(model: nn.Module) -> nn.Module:
    """A copy of a model in evaluation mode.

    Raises:
        ValueError: If it is compiled.
    """
    if isinstance(model, torch.jit.ScriptModule) or hasattr(model, "_orig_mod"):
        raise ValueError(
            f"The units of a {type(model).__name__} cannot be followed; give the Objective the "
            "model that was compiled, which has the same weights."
        )
    # Tensors that were computed (pruned or normalized weights) refuse to be copied.
    computed = [
        value
        for module in model.modules()
        for value in vars(module).values()
        if isinstance(value, Tensor) and not value.is_leaf
    ]
    return copy.deepcopy(model, {id(t): t.detach().clone() for t in computed}).eval()


@torch.no_grad()
def shuffle(model: nn.Module, permutable: Permutable, *, seed: int = 0) -> None:
    """Give the units of every group of a model another, random order, in place."""
    random = np.random.default_rng(seed)
    named = dict((*model.named_parameters(), *model.named_buffers()))
    for group in permutable.groups:
        order = random.permutation(group.units)
        if (order == np.arange(group.units)).all():  # two units keep theirs half of the time
            order = np.roll(order, 1)
        for place in group.places:
            tensor, index = named[place.name], torch.from_numpy(place.index(order))
            tensor.copy_(tensor.index_select(place.axis, index.to(tensor.device)))


@torch.no_grad()
def check_function(
    model: nn.Module, permutable: Permutable, inputs: Sequence[Any], *, seed: int = 0
) -> float:
    """The largest relative change of an output when all groups are permuted at random.

    In double precision, in evaluation mode, on a copy of the model.

    Raises:
        ValueError: If it is above 1e-10: the groups are not symmetries of this network.
    """
    twin = twin_of(model).double()
    arguments, keywords = _in_double(inputs)
    generator = torch.Generator().manual_seed(seed)
    grouped = {place.name for group in permutable.groups for place in group.places}
    for name, tensor in (*twin.named_parameters(), *twin.named_buffers()):
        # Fresh networks have zero biases, equal scales and constant matrices, on which a mistake
        # does not show.
        if tensor.is_floating_point() and name in grouped:
            size = float(tensor.abs().mean()) if tensor.dim() > 1 else 0.0
            noise = torch.rand(tensor.shape, generator=generator).to(tensor)
            tensor.add_(0.2 * size * (noise - 0.5) if size else 0.1 * noise)
    with _InDouble():
        before = first_tensor(twin(*arguments, **keywords)).clone()
    shuffle(twin, permutable, seed=seed)
    with _InDouble():
        after = first_tensor(twin(*arguments, **keywords))
    error = float((after - before).abs().max() / before.abs().max().clamp_min(1e-300))
    if not error <= TOLERANCE:
        raise ValueError(
            f"Permuting the units of this {type(model).__name__} changes its output by {error:.1e} "
            "of its size, so the groups that were traced are no symmetries of it; it cannot be "
            "aligned."
        )
    return error


def first_tensor(output: Any) -> Tensor:
    """The logits, the only tensor or the first one of a model's output."""
    if isinstance(output, Tensor):
        return output
    if hasattr(output, "logits"):
        return output.logits
    values = output.values() if isinstance(output, Mapping) else output
    return first_tensor(next(iter(values)))


class _InDouble(TorchFunctionMode):
    """Models that ask for single precision inside (RMS norms, softmax) get double precision."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        def wide(value: Any) -> Any:
            return torch.float64 if value is torch.float32 else value

        func = Tensor.double if func is Tensor.float else func
        named = {key: wide(value) for key, value in (kwargs or {}).items()}
        return func(*map(wide, args), **named)


def _in_double(inputs: Sequence[Any]) -> Any:
    def double(value: Any) -> Any:
        return value.double() if isinstance(value, Tensor) and value.is_floating_point() else value

    arguments, keywords = inputs
    return tuple(map(double, arguments)), {k: double(v) for k, v in keywords.items()}
