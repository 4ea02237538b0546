"""Motion: how far and in which direction every optimizer step goes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from landscape.base.layout import Layout

NAMES = ("update_norm", "update_cosine", "gradient_norm", "gradient_cosine", "distance")
_RUN = 8192  # elements per float32 dot product, so that its rounding stays below 1e-7
_BLOCK = 1 << 15  # elements of a step that are worked on at once
_TOGETHER = 1 << 17  # elements of several steps that are; they stay in the processor's cache

_Pieces = Sequence[tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class _Block:
    """A piece of the flat vector: several whole tensors, or whole runs of one, or its rest.

    Attributes:
        part: Where it lies.
        tensors: Which tensors it holds.
        starts: Where each of them starts in it.
    """

    part: slice
    tensors: slice
    starts: list[int]

    @property
    def runs(self) -> bool:
        """Whether it holds whole runs of one tensor."""
        return len(self.starts) == 1 and (self.part.stop - self.part.start) % _RUN == 0


class Motion:
    """Sums of products over each tensor, from which norms and cosines follow exactly.

    It is given the parameters and gradients of any number of consecutive steps at once, looks at
    the last ones again at the next call, and keeps the last update. Products are made in the
    precision of the vectors: in float32, entries below about 1e-19 in size lose digits or count as
    zero, and from about 1e19 the sums are infinite.

    Args:
        layout: Where each tensor lies in the flat vectors.
        initial: θ_0, the point that distances are measured from, shape (P,).
        current: The parameters before the first step to come.
        update: The update that led to `current`, if known.
    """

    def __init__(
        self,
        layout: Layout,
        initial: np.ndarray,
        current: np.ndarray,
        update: np.ndarray | None = None,
    ) -> None:
        self._blocks, self._tensors, self._initial = list(_blocks(layout)), len(layout), initial
        self._before = current, np.zeros_like(current)  # the last parameters and gradient
        self._known = [update is not None, False]  # the last update, the last gradient
        self._update = np.zeros_like(current) if update is None else update.copy()
        self._room = np.empty(7 * _TOGETHER, current.dtype)  # updates, those before, 5 products

    def sums(self, thetas: Sequence[np.ndarray], gradients: Sequence[np.ndarray]) -> np.ndarray:
        """Products of the steps to `thetas`, taken along `gradients`.

        Args:
            thetas: The parameters after each of K consecutive steps, as one or several pieces of
                shape (k, P) or (P,); the last must not change until the next call.
            gradients: The gradients that the steps started from, in the same pieces.

        Returns:
            u·u, u·u', g·g, g·g', d·d for each step and tensor, with the update u, the gradient g,
            their predecessors and d = θ - θ_0; NaN where there is no predecessor; float64, shape
            (K, 5, tensors).
        """
        pieces = [
            (np.atleast_2d(a), np.atleast_2d(b)) for a, b in zip(thetas, gradients, strict=True)
        ]
        steps = [step for piece in pieces for step in zip(*piece, strict=True)]
        found = np.zeros((len(steps), 5, self._tensors))
        with np.errstate(over="ignore", invalid="ignore"):
            for block in self._blocks:
                sums = found[:, :, block.tensors]
                if block.runs:
                    self._add_step_by_step(sums, block, steps)
                else:
                    self._add_together(sums, block, pieces)
        for row, known in ((1, self._known[0]), (3, self._known[1])):
            if not known:
                found[0, row] = np.nan
        self._known = [True, True]
        self._before = steps[-1]
        return found

    def _add_step_by_step(self, found: np.ndarray, block: _Block, steps: _Pieces) -> None:
        part, width = block.part, block.part.stop - block.part.start
        rooms = self._room[: 3 * width].reshape(3, width)
        initial, last_update = self._initial[part], self._update[part]
        last_theta, last_gradient = (last[part] for last in self._before)
        for number, (theta, gradient) in enumerate(steps):
            theta, gradient = theta[part], gradient[part]
            update = np.subtract(theta, last_theta, out=rooms[number % 2])
            distance = np.subtract(theta, initial, out=rooms[2])
            pairs = (
                (update, update),
                (update, last_update),
                (gradient, gradient),
                (gradient, last_gradient),
                (distance, distance),
            )
            found[number] += _dots(pairs)
            last_theta, last_update, last_gradient = theta, update, gradient
        self._update[part] = last_update

    def _add_together(self, found: np.ndarray, block: _Block, pieces: _Pieces) -> None:
        part, width = block.part, block.part.stop - block.part.start
        most = _TOGETHER // width
        rooms = self._room[: 7 * most * width].reshape(7, most, width)
        initial, last_update = self._initial[part], self._update[part]
        last_theta, last_gradient = (last[part] for last in self._before)
        done = 0
        for turn, (theta, gradient) in enumerate(_cut(pieces, part, most)):
            count = len(theta)
            update, products = rooms[turn % 2, :count], rooms[2:, :count]
            _each(np.subtract, theta, last_theta, update)
            np.multiply(update, update, out=products[0])
            _each(np.multiply, update, last_update, products[1])
            np.multiply(gradient, gradient, out=products[2])
            _each(np.multiply, gradient, last_gradient, products[3])
            distance = np.subtract(theta, initial, out=products[4])
            np.multiply(distance, distance, out=distance)
            found[done : done + count] += _sums(products, block.starts).swapaxes(0, 1)
            done += count
            last_theta, last_update, last_gradient = theta[-1], update[-1], gradient[-1]
        self._update[part] = last_update


def _cut(pieces: _Pieces, part: slice, most: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The same part of all steps, at most so many of them together."""
    for theta, gradient in pieces:
        for start in range(0, len(theta), most):
            steps = slice(start, start + most)
            yield theta[steps, part], gradient[steps, part]


def _each(function: np.ufunc, rows: np.ndarray, before: np.ndarray, out: np.ndarray) -> None:
    """Apply a function to each row and the one before it."""
    function(rows[0], before, out=out[0])
    if len(rows) > 1:
        function(rows[1:], rows[:-1], out=out[1:])


def last_sums(layout: Layout, update: np.ndarray) -> np.ndarray:
    """What `Motion.sums` gave for a step of which only the update is known, (5, tensors)."""
    found = np.full((5, len(layout)), np.nan)
    found[0] = 0.0
    with np.errstate(over="ignore"):
        for block in _blocks(layout):
            part = update[block.part]
            sums = _dots([(part, part)])[0] if block.runs else _sums(part * part, block.starts)
            found[0, block.tensors] += sums
    return found


def _blocks(layout: Layout) -> Iterator[_Block]:
    """The flat vector in blocks of at most `_BLOCK` elements; larger tensors are cut.

    No block holds an empty tensor, or spans one: its sums stay zero.
    """
    pieces: list[tuple[int, int]] = []  # tensor and start
    for tensor, entry in enumerate(layout):
        end = entry.offset + entry.size
        if pieces and not entry.size:
            yield _block(pieces, end)
            pieces = []
        for start in range(entry.offset, end, _BLOCK):
            if pieces and min(start + _BLOCK, end) - pieces[0][1] > _BLOCK:
                yield _block(pieces, start)
                pieces = []
            pieces.append((tensor, start))
    if pieces:
        yield _block(pieces, layout.size)


def _block(pieces: list[tuple[int, int]], end: int) -> _Block:
    tensors, starts = zip(*pieces, strict=True)
    first = starts[0]
    whole = slice(tensors[0], tensors[-1] + 1)
    return _Block(slice(first, end), whole, [start - first for start in starts])


def _dots(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Dot products of pairs over whole runs, shape (pairs, 1)."""
    runs = [a.reshape(-1, 1, _RUN) @ b.reshape(-1, _RUN, 1) for a, b in pairs]
    return np.array(runs).sum(axis=1, dtype=np.float64)[:, 0]


def _sums(products: np.ndarray, starts: list[int]) -> np.ndarray:
    """Sums over each tensor of a block, shape (..., tensors)."""
    return np.add.reduceat(products, starts, axis=-1)  # in pairs: rounding stays below 1e-6


class Numbers:
    """Norms and cosines from the sums of `Motion`, whole and per tensor.

    Args:
        before: The sums of the step before the first; None when there is none.

    >>> first = np.array([[4.0], [np.nan], [1.0], [np.nan], [4.0]])
    >>> second = np.array([[9.0], [3.0], [1.0], [-1.0], [25.0]])
    >>> whole, layers = Numbers().of(np.stack([first, second]))
    >>> whole["update_norm"], whole["update_cosine"], layers["distance"][1]
    (array([2., 3.]), array([nan, 0.5]), array([5.]))
    """

    def __init__(self, before: np.ndarray | None = None) -> None:
        self._before = None if before is None else _with_total(before)

    def of(self, sums: np.ndarray) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """The numbers of the whole vector, shape (K,), and of each tensor, shape (K, tensors).

        ``update_norm`` ‖u‖, ``update_cosine`` cos∠(u', u), ``gradient_norm`` ‖g‖,
        ``gradient_cosine`` cos∠(g', g), ``distance`` ‖θ - θ_0‖, from sums of shape
        (K, 5, tensors).
        """
        whole = _with_total(sums)
        before = np.full_like(whole[0], np.nan) if self._before is None else self._before
        self._before = whole[-1]
        before = np.concatenate([before[None], whole[:-1]])
        update, update_dot, gradient, gradient_dot, distance = np.moveaxis(whole, 1, 0)
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            found = {
                "update_norm": np.sqrt(update),
                "update_cosine": update_dot / np.sqrt(update * before[:, 0]),
                "gradient_norm": np.sqrt(gradient),
                "gradient_cosine": gradient_dot / np.sqrt(gradient * before[:, 2]),
                "distance": np.sqrt(distance),
            }
        return (
            {name: values[:, -1] for name, values in found.items()},
            {name: values[:, :-1] for name, values in found.items()},
        )


def _with_total(sums: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return np.concatenate([sums, sums.sum(axis=-1, keepdims=True)], axis=-1)
