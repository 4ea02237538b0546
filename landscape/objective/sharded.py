"""Measure a model of which every process holds a part: FSDP2, tensor parallel.

Every process makes the same calls on the same data, and gets the same numbers. At a point each
writes into the shards that it holds, of whose directions it makes no other rows, and runs the
losses as they are: the model gathers what it needs. At the end each puts its shards back, bit for
bit, from a copy of them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from landscape.base.layout import Entry
from landscape.base.progress import Progress
from landscape.objective.data.held import HeldData
from landscape.objective.family import Family, combine
from landscape.objective.lending.loan import alone
from landscape.objective.metrics import sums
from landscape.objective.problem import Problem

_BLOCK = 2**20  # elements that are written together


def is_sharded(model: nn.Module) -> bool:
    """Whether some weights are shards of tensors that no process holds whole."""
    return any(hasattr(p, "full_tensor") for p in model.parameters())


def check_not_sharded(model: nn.Module) -> None:
    """Refuse what needs all weights at once.

    Raises:
        ValueError: If some are shards.
    """
    if is_sharded(model):
        raise ValueError(
            "Of a model in shards on several processes (FSDP2, tensor parallel) the loss at "
            "points is measured, nothing that needs all weights at once: gather it for that."
        )


@dataclass(frozen=True)
class Shard:
    """What this process holds of a parameter.

    Attributes:
        entry: The whole tensor.
        held: The part in use, which is written.
        own: A copy of it as it was.
        where: Which part, along every axis.
        holders: How many processes hold the same part.
    """

    entry: Entry
    held: Tensor
    own: Tensor
    where: tuple[slice, ...]
    holders: int

    @torch.no_grad()
    def place(self, family: Family, point: list[float], dtype: torch.dtype) -> np.ndarray:
        """Write the values at a point, each rounded once.

        Returns:
            Σ (rounded - θ)² and Σ (θ - θ(0))².
        """
        lost = np.zeros(2)
        first = self.where[0].start if self.where else 0
        for rows in _blocks(self.held):
            own = self.entry.rows(self.own, rows)
            there = slice(first + rows.start, first + rows.stop)

            def part(k: int | None, there: slice = there) -> Tensor:
                found = family.part(k, self.entry, there, self.own)
                return found[(slice(None), *self.where[1:])] if self.where else found

            lazy = family.origin is None
            origin = own.to(dtype) if lazy else part(None)
            theta = torch.empty_like(origin)
            steps = [(k, c) for k, c in enumerate(point[: len(family.directions)]) if c]
            combine(theta, origin, [part(k) for k, _ in steps], [c for _, c in steps])
            held = self.entry.rows(self.held, rows)
            held.copy_(theta)
            if held.dtype != dtype:
                lost[0] += float((held.to(dtype) - theta).square_().sum(dtype=torch.float64))
                lost[1] += float((theta - origin).square_().sum(dtype=torch.float64))
        return lost / self.holders


def measure_sharded(
    problem: Problem,
    family: Family,
    data: HeldData,
    coordinates: np.ndarray,
    totals: Tensor,
    computed: np.ndarray,
    *,
    check: Callable[[], None],
    progress: Progress | None,
) -> np.ndarray | None:
    """Fill in totals and the mask, one point after another.

    Args:
        problem: What is measured.
        family: Where.
        data: The samples, the same in every process.
        coordinates: Shape (points, K).
        totals: To be filled in, shape (metrics, points, 6).
        computed: Set where a point was measured, shape (points,).
        check: Called between batches; raises to stop.
        progress: Told of finished points.

    Returns:
        The share of the displacement that rounding took, by point; None where none was rounded.

    Raises:
        ValueError: If the weights cannot be written, or the loss is not the same twice.
    """
    if problem.batch_norm != "frozen" or family.buffers is not None:
        raise ValueError("Of a model in shards on several processes the buffers stay as they are.")
    if family.buffer_directions is not None or problem.precision not in ("single", "native"):
        raise ValueError(
            "A model in shards on several processes is measured in its own types, with its own "
            f"buffers; precision is {problem.precision!r}. Leave it out."
        )

    @torch.no_grad()
    def values() -> Tensor:
        _shard_again(problem.model)
        found = []
        for batch, samples in data.batches():
            check()
            each = problem.metrics.items()
            found.append(torch.stack([sums(n, m(problem.model, batch), samples) for n, m in each]))
        return torch.stack(found).sum(0)

    lost = np.zeros((len(coordinates), 2))
    with _lent(problem.model), _shards(problem) as shards:
        if not torch.equal(values(), values()):
            raise ValueError(
                "The loss is not the same twice at the same point: something random is active. "
                "Make it deterministic in evaluation mode."
            )
        for index, point in enumerate(coordinates):
            for shard in shards:
                lost[index] += shard.place(family, point.tolist(), problem.dtype)
            totals[:, index] = values()
            computed[index] = True
            if progress is not None:
                progress.advance(1)
    together = torch.from_numpy(lost)
    torch.distributed.all_reduce(together)
    if not together.any():
        return None
    return (together[:, 0] / together[:, 1].clamp_min(1e-300)).sqrt().numpy()


@contextlib.contextmanager
def _lent(model: nn.Module) -> Iterator[None]:
    """Inside, the model is in evaluation mode, and nobody else's."""
    with alone([*model.modules(), *model.parameters()]):
        modes = [(module, module.training) for module in model.modules()]
        for module in model.modules():
            module.training = False
        try:
            yield
        finally:
            for module, training in modes:
                module.training = training


@contextlib.contextmanager
def _shards(problem: Problem) -> Iterator[list[Shard]]:
    """What this process holds of the trained parameters; put back at the end."""
    _shard_again(problem.model)
    named = dict(problem.model.named_parameters())
    found = [_shard(entry, named[entry.name]) for entry in problem.layout]
    try:
        yield found
    finally:
        with torch.no_grad():
            for shard in found:
                shard.held.copy_(shard.own)
        _shard_again(problem.model)


def _shard(entry: Entry, parameter: Tensor) -> Shard:
    world = torch.distributed.get_world_size()
    if not hasattr(parameter, "full_tensor"):
        held = parameter.detach()
        where = tuple(slice(0, n) for n in entry.shape)
        return Shard(entry, held, held.clone(), where, world)
    from torch.distributed.tensor import DTensor, Replicate
    from torch.distributed.tensor import Shard as Along
    from torch.distributed.tensor._utils import compute_local_shape_and_global_offset

    assert isinstance(parameter, DTensor)
    mesh, placements = parameter.device_mesh, parameter.placements
    if odd := [p for p in placements if type(p) not in (Along, Replicate)]:
        raise ValueError(
            f"{entry.name} lies on several processes as {odd[0]}, of which it is not known which "
            "rows are where; shard it along one axis of the mesh, or measure a gathered model."
        )
    held = parameter.to_local().detach()
    shape, start = compute_local_shape_and_global_offset(entry.shape, mesh, placements)
    where = tuple(slice(a, a + n) for a, n in zip(start, shape, strict=True))
    parts = [mesh.size(k) for k, p in enumerate(placements) if type(p) is Along]
    return Shard(entry, held, held.clone(), where, world // int(np.prod(parts, initial=1)))


def _blocks(held: Tensor) -> Iterator[slice]:
    if held.numel():
        count = len(held) if held.ndim else 1
        each = max(1, _BLOCK * count // held.numel())
        for start in range(0, count, each):
            yield slice(start, min(count, start + each))


def _shard_again(model: nn.Module) -> None:
    """Let go of what was gathered of the weights: it would be used once more as it is."""
    for module in model.modules():
        if callable(again := getattr(module, "reshard", None)):
            again()
