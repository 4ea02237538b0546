"""Whether a way gives the plain numbers on all samples.

Ways are compared on a few samples before they are timed. A model may treat others otherwise: read
the weights of a layer itself where an input is large, say. So the first points that are measured by
a way are compared with the plain strategy once more, at one point, over all samples.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from landscape.objective.metrics import agree
from landscape.objective.strategies.choice import Choice

_TURNED = 1e-3  # of what is counted may turn by rounding, as the class of a sample that is between


def to_confirm(choice: Choice) -> bool:
    """Whether a way computes otherwise than the plain one, which can be asked."""
    return choice.strategy != "streamed" and (choice.strategy != "sequential" or choice.threads > 1)


def telling(coordinates: np.ndarray, totals: Tensor) -> int | None:
    """The point farthest from the origin at which the loss is finite; None if there is none."""
    finite = totals[0, :, 0].isfinite().cpu().numpy()
    if not finite.any():
        return None
    return int(np.where(finite, np.linalg.norm(coordinates, axis=1), -1.0).argmax())


def confirms(found: Tensor, plain: Tensor, rounding: torch.dtype) -> bool:
    """Whether totals at a point, shape (metrics, 1, 6), have the same means up to rounding."""
    for a, b in zip(found, plain, strict=True):
        counted = bool((b[..., 0] == b[..., 0].round()).all())
        turned = (a[..., 0] - b[..., 0]).abs() <= 1 + _TURNED * b[..., 2].abs()
        if not (agree(a, b, rounding) or (counted and bool(turned.all()))):
            return False
    return True
