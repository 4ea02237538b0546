"""Sketch: a seeded random projection of every step to k numbers, for models too large to store.

Each parameter is added, with a random sign, to one of k buckets chosen at random (the count
sketch). Inner products survive without bias: for x, y in R^P and their sketches Sx, Sy,

    E[Sx·Sy] = x·y,    Var[Sx·Sy] = (‖x‖²‖y‖² + (x·y)² - 2 Σ x_i² y_i²) / k,

so a distance has a relative standard error of at most 1/√(2k) and a cosine c one of about
(1 - c²)/√k: 4 % and 6 % at k = 256, 2 % and 3 % at k = 1024. It costs one addition per
parameter and step, and 2 bytes of memory per parameter (4 from k = 16,384 on, and on a GPU), or
none where nothing else is recorded of a large model.

Sources: Charikar, Chen, Farach-Colton 2002 (count sketch); Weinberger et al. 2009,
arXiv:0902.2206 (variance of hashed inner products).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from landscape.base.runs.trajectory import Trajectory


_BLOCK = 2**20  # parameters that are looked at together


class Sketch:
    """A random projection from R^size to R^k.

    Args:
        size: Number of parameters.
        k: Number of buckets.
        seed: Fixes buckets and signs.
        device: Where the vectors are.
        held: Whether buckets and signs are held; `of` draws them anew each time where they are not.
    """

    def __init__(
        self,
        size: int,
        k: int,
        *,
        seed: int = 0,
        device: str | torch.device = "cpu",
        held: bool = True,
    ) -> None:
        self.k, self._seed, self._places = k, seed, torch.empty(0)
        if not held:
            return
        small = 2 * k < 2**15 and torch.device(device).type != "cuda"
        places = np.empty(size, np.int16 if small else np.int32)
        generator = np.random.default_rng(seed)
        for part in _blocks(size):
            places[part] = self._drawn(generator, part)
        self._places = torch.from_numpy(places).to(device)

    def _drawn(self, generator: np.random.Generator, part: slice) -> np.ndarray:
        """The next places: bucket b with a positive sign is b, with a negative one b + k.

        However many are drawn together, they are the same.
        """
        return generator.integers(0, 2 * self.k, part.stop - part.start, dtype=np.int64)

    @staticmethod
    def checked(k: int | None, seed: int) -> tuple[int, int] | None:
        """Size and seed; None where there is no sketch.

        Raises:
            ValueError: If the size is below 2.
        """
        if k is not None and k < 2:
            raise ValueError(f"sketch must be at least 2; got {k}.")
        return None if k is None else (k, seed)

    def __call__(self, vector: Tensor, origin: Tensor) -> Tensor:
        """The sketch of `vector` - `origin`, float64, shape (k,)."""
        if vector.is_cuda:
            sums = vector.new_zeros(2 * self.k, dtype=torch.float64)
            sums.index_add_(0, self._places, (vector - origin).double())
        else:  # on one thread: the others belong to the training
            counts = np.zeros(2 * self.k)
            for part in _blocks(len(vector)):
                away = (vector[part] - origin[part]).numpy()
                counts += np.bincount(self._places[part].numpy(), away, minlength=2 * self.k)
            sums = torch.from_numpy(counts)
        return sums[: self.k] - sums[self.k :]

    def of(self, tensors: Iterable[Tensor]) -> Tensor:
        """The sketch of a vector given as its tensors on the CPU, one after the other: no copy."""
        counts, generator = np.zeros(2 * self.k), np.random.default_rng(self._seed)
        for tensor in tensors:
            held = tensor.detach()
            flat = (held.to_dense() if held.is_sparse else held).reshape(-1)
            for part in _blocks(len(flat)):
                places, values = self._drawn(generator, part), flat[part].double().numpy()
                counts += np.bincount(places, values, minlength=2 * self.k)
        sums = torch.from_numpy(counts)
        return sums[: self.k] - sums[self.k :]


def _blocks(size: int) -> Iterator[slice]:
    for start in range(0, size, _BLOCK):
        yield slice(start, min(size, start + _BLOCK))


class SketchedPath:
    """Distances and angles of a run recorded with ``sketch=k``, each with its standard error.

    Args:
        trajectory: The run.

    Raises:
        ValueError: If it was recorded without a sketch.

    Attributes:
        points: The sketch of θ_t - θ_0 for every step t, shape (updates + 1, k).

    >>> import torch
    >>> import landscape as ls
    >>> model = torch.nn.Linear(2, 1)
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    >>> with ls.Recorder("run.h5", model, optimizer, sketch=8) as recorder:
    ...     for _ in range(3):
    ...         optimizer.zero_grad()
    ...         model(torch.ones(4, 2)).square().mean().backward()
    ...         optimizer.step()
    >>> ls.SketchedPath(ls.Trajectory("run.h5")).points.shape
    (4, 8)
    """

    def __init__(self, trajectory: Trajectory) -> None:
        rows = trajectory.sketch
        if rows is None:
            raise ValueError(f"{trajectory.path} holds no sketch; record with sketch=256.")
        self.points: np.ndarray = np.concatenate([np.zeros((1, rows.shape[1])), rows])
        self.k: int = rows.shape[1]

    def __repr__(self) -> str:
        return f"SketchedPath({len(self.points) - 1} updates, {self.k} projections)"

    def distance(self, a: int, b: int) -> tuple[float, float]:
        """‖θ_a - θ_b‖ between two steps and the estimate's standard error."""
        estimate = float(np.linalg.norm(self.points[a] - self.points[b]))
        return estimate, estimate / np.sqrt(2 * self.k)

    def cosine(self, a: tuple[int, int], b: tuple[int, int]) -> tuple[float, float]:
        """cos∠(θ_a1 - θ_a0, θ_b1 - θ_b0) for two pairs of steps and its standard error."""
        x, y = (self.points[end] - self.points[start] for start, end in (a, b))
        norms = np.linalg.norm(x) * np.linalg.norm(y)
        estimate = float(x @ y / norms) if norms > 0 else np.nan
        return estimate, (1 - estimate**2) / np.sqrt(self.k)
