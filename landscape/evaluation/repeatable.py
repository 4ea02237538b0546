"""Before a long measurement: does the same point give the same value twice?"""

from __future__ import annotations

import torch
from torch import Tensor

from landscape.evaluation.data import HeldData, map_tensors
from landscape.evaluation.sequential import sequential
from landscape.evaluation.work import Work

_LOOK = 8
_HALF = 2e-2  # means of a few values with eight bits
_TOLERANCE = 1e-4  # float32 in other batches rounds otherwise; randomness moves far more


def check_repeatable(work: Work, data: HeldData, *, rebatch: bool) -> None:
    """Measure one point on a few samples twice, and once more in smaller batches.

    Args:
        work: The borrowed model and its points.
        data: The samples.
        rebatch: Whether the size of the batches is free, and so must not matter.

    Raises:
        ValueError: If the values differ or the samples were changed; the message says why.
    """
    look = data.batches(min(_LOOK, data.batch_size) if rebatch else None, most=_LOOK)[:1]
    kept: list[Tensor] = []
    map_tensors(look[0][0], lambda t: kept.append(t.clone()) or t)
    origin = torch.zeros(1, len(work.directions)).numpy()
    with sequential(work) as measure:
        first, second = measure(origin, look), measure(origin, look)
        now: list[Tensor] = []
        map_tensors(look[0][0], lambda t: now.append(t) or t)
        if not all(torch.equal(a, b) or (a != a).any() for a, b in zip(kept, now, strict=True)):
            raise ValueError(
                "The loss changes its batch in place, so every pass sees other data; copy what "
                "it changes, for example x = x - mean instead of x -= mean."
            )
        for row, name in enumerate(work.metrics):
            a, b = first[row, 0, 0] / first[row, 0, 2], second[row, 0, 0] / second[row, 0, 2]
            if not _close(a, b, work.rounding):
                raise ValueError(
                    f"{name!r} gives {a.item():.6g} and then {b.item():.6g} at the same point: "
                    "something random is active (dropout applied in evaluation mode, or noise or "
                    "augmentation inside the loss). Make it deterministic in evaluation mode."
                )
        batch, count = look[0]
        if rebatch and count > 1:
            half = count // 2
            parts = [(slice(half), half), (slice(half, None), count - half)]
            halves = [(map_tensors(batch, lambda t, p=p: t[p]), size) for p, size in parts]
            third = measure(origin, halves)
            for row, name in enumerate(work.metrics):
                a, b = first[row, 0, 0] / first[row, 0, 2], third[row, 0, 0] / third[row, 0, 2]
                if not _close(a, b, work.rounding):
                    raise ValueError(
                        f"{name!r} depends on how samples are put into batches ({a.item():.6g} "
                        f"and {b.item():.6g} for two sizes); give batch_size= to fix it."
                    )


def _close(a: Tensor, b: Tensor, rounding: torch.dtype) -> bool:
    tolerance = _HALF if rounding == torch.bfloat16 else _TOLERANCE
    return torch.allclose(a, b, rtol=tolerance, atol=1e-5, equal_nan=True)
