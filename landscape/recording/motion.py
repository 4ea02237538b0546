"""Motion: how far and in which direction every optimizer step goes, measured as it happens."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from landscape.layout import Layout

NAMES = ("update_norm", "update_cosine", "gradient_norm", "gradient_cosine", "distance")
_PIECE = 65536  # elements per float32 dot product, so that its rounding stays near 1e-7


class Motion:
    """Sums of products over each tensor, from which norms and cosines follow exactly.

    It keeps the initial and the previous parameters, the previous update and the previous
    gradient, on the device of the parameters: about six vectors of their size.

    Args:
        layout: Where each tensor lies in the flat vectors.
        initial: θ_0, the point that distances are measured from, shape (P,).
        current: The parameters before the first step to come.
        update: The update that led to `current`, if known.
    """

    def __init__(
        self, layout: Layout, initial: Tensor, current: Tensor, update: Tensor | None = None
    ) -> None:
        self._sizes = [entry.size for entry in layout]
        self._lengths = torch.tensor(self._sizes, device=initial.device)
        self._initial, self._theta = initial.clone(), current.clone()
        self._update, self._gradient = update, torch.empty(0)

    def before(self) -> np.ndarray | None:
        """What `sums` returned for the step into `current`, as far as it is known."""
        if self._update is None:
            return None
        found = np.full((5, len(self._sizes)), np.nan)
        found[0] = self._dot(self._update, self._update).cpu()
        return found

    def sums(self, theta: Tensor, gradient: Tensor | None) -> Tensor:
        """Products of the step to `theta`, taken along `gradient`; float64, shape (5, tensors).

        Rows: u·u, u·u', g·g, g·g', d·d with the update u, the gradient g, their predecessors and
        d = θ - θ_0; NaN where there is no predecessor or no gradient.
        """
        update = theta - self._theta
        unknown = torch.full((len(self._sizes),), torch.nan, dtype=torch.float64)
        unknown = unknown.to(theta.device)
        rows = [self._dot(update, update)]
        rows.append(unknown if self._update is None else self._dot(update, self._update))
        if gradient is None:
            rows += [unknown, unknown]
            self._gradient = torch.empty(0)
        else:
            rows.append(self._dot(gradient, gradient))
            known = self._gradient.shape == gradient.shape
            rows.append(self._dot(gradient, self._gradient) if known else unknown)
            self._gradient = gradient.clone()
        distance = theta - self._initial
        rows.append(self._dot(distance, distance))
        self._update = update
        self._theta.copy_(theta)
        return torch.stack(rows)

    def _dot(self, a: Tensor, b: Tensor) -> Tensor:
        """Σ a·b over each tensor, float64."""
        if a.is_cuda:
            product = a.double() * b
            return torch.segment_reduce(product, "sum", lengths=self._lengths, unsafe=True)
        x, y = a.numpy(), b.numpy()
        sums, start = [], 0
        for size in self._sizes:
            end = start + size
            parts = range(start, end, _PIECE)
            sums.append(sum(float(x[i:j] @ y[i:j]) for i in parts for j in (min(i + _PIECE, end),)))
            start = end
        return torch.tensor(sums, dtype=torch.float64)


class Numbers:
    """Norms and cosines from the sums of `Motion`, whole and per tensor.

    Args:
        before: The sums of the step before the first; None when there is none.

    >>> numbers = Numbers()
    >>> first = np.array([[4.0], [np.nan], [1.0], [np.nan], [4.0]])
    >>> numbers.of(first)[0]["update_norm"]
    2.0
    >>> numbers.of(np.array([[9.0], [3.0], [1.0], [-1.0], [25.0]]))[0]["update_cosine"]
    0.5
    """

    def __init__(self, before: np.ndarray | None = None) -> None:
        self._before = None if before is None else _with_total(before)

    def of(self, sums: np.ndarray) -> tuple[dict[str, float], dict[str, np.ndarray]]:
        """The numbers of the whole vector and those of each tensor, shape (tensors,).

        ``update_norm`` ‖u‖, ``update_cosine`` cos∠(u', u), ``gradient_norm`` ‖g‖,
        ``gradient_cosine`` cos∠(g', g), ``distance`` ‖θ - θ_0‖.
        """
        whole = _with_total(sums)
        update, update_dot, gradient, gradient_dot, distance = whole
        before = np.full_like(whole, np.nan) if self._before is None else self._before
        self._before = whole
        with np.errstate(invalid="ignore", divide="ignore"):
            found = {
                "update_norm": np.sqrt(update),
                "update_cosine": update_dot / np.sqrt(update * before[0]),
                "gradient_norm": np.sqrt(gradient),
                "gradient_cosine": gradient_dot / np.sqrt(gradient * before[2]),
                "distance": np.sqrt(distance),
            }
        return (
            {name: float(values[-1]) for name, values in found.items()},
            {name: values[:-1] for name, values in found.items()},
        )


def _with_total(sums: np.ndarray) -> np.ndarray:
    return np.concatenate([sums, sums.sum(axis=1, keepdims=True)], axis=1)
