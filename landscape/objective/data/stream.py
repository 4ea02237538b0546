"""Reading an iterable of batches: as far as is needed, and never until memory is full."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from landscape.base.progress import Progress
from landscape.objective.data.batches import Uncounted, counts_of
from landscape.objective.data.structure import bytes_of, everything, map_tensors, tensors_of
from landscape.objective.free_memory import free_bytes

_SHARE = 0.5  # of the memory that is free may be filled


def read(data: Iterable[Any], samples: int | None) -> tuple[list[Any], bool]:
    """The batches of an iterable.

    Args:
        data: Gives batches, perhaps without end.
        samples: Of one that does not know its length, no more than this is read; None reads all.

    Returns:
        The batches, and whether there may be others that were not read.

    Raises:
        ValueError: If there is no end in sight, or the items cannot be put into batches.
    """
    length = _length(data)
    batches: list[Any] = []
    versions: dict[int, int] = {}
    room, held, found = None, 0, 0
    with Progress("read data", length or 0, unit="batch") as progress:
        for batch in _given(data):
            batches.append(batch)
            progress.advance()
            if samples is not None and length is None:
                found += _samples(batch)
                if found >= samples:
                    return batches, True
            _check_not_overwritten(batch, versions)
            held += sum(_bytes(t) for t in everything(batch) if _takes_memory(t))
            room = free_bytes(torch.device("cpu")) if room is None else room
            if room is not None and held > _SHARE * room:
                raise ValueError(
                    f"The data does not fit in memory: {len(batches)} batches, "
                    f"{held / 2**30:.1f} GB, were read"
                    f"{'' if length else ' and there is no end in sight'}; give samples= to "
                    "measure on some of it."
                )
    return batches, False


def _given(data: Iterable[Any]) -> Iterable[Any]:
    """The batches; why they cannot be made is said in one line."""
    batches = iter(data)
    while True:
        try:
            batch = next(batches)
        except StopIteration:
            return
        except (TypeError, RuntimeError) as problem:
            if isinstance(data, torch.utils.data.DataLoader):
                said = str(problem).splitlines()[0]
                raise ValueError(
                    f"The data set's items cannot be put into batches ({said}); pass a DataLoader "
                    "with a collate_fn, or a list of batches."
                ) from problem
            raise
        yield batch


def _check_not_overwritten(batch: Any, versions: dict[int, int]) -> None:
    """Refuse a loader that fills the same memory again: all batches would be the last."""
    for tensor in tensors_of(batch):
        if _takes_memory(tensor) and tensor.layout == torch.strided and tensor.numel():
            place, version = tensor.data_ptr(), tensor._version
            if versions.setdefault(place, version) != version:
                raise ValueError(
                    "The loader writes every batch into the memory of the one before; let it "
                    "give copies, for example (x.clone() for x in loader)."
                )


def _samples(batch: Any) -> int:
    (count,) = counts_of([map_tensors(batch, lambda t: t)])
    if isinstance(count, Uncounted) and not count.known:
        raise ValueError(
            "samples= counts samples, but a batch of this stream does not say how many it holds; "
            "pass only the batches to measure on, for example list(itertools.islice(stream, 8))."
        )
    return count


def _length(data: Iterable[Any]) -> int | None:
    try:
        return len(data)  # pyright: ignore[reportArgumentType]
    except TypeError:
        return None


def _takes_memory(leaf: Any) -> bool:
    return isinstance(leaf, Tensor) and leaf.device.type == "cpu" and not leaf.is_nested


def _bytes(tensor: Tensor) -> int:
    if tensor.layout == torch.strided:
        return tensor.nbytes
    return sum(part.nbytes for part in bytes_of(tensor))  # of indices and values
