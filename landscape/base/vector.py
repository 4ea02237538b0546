"""Vectors that know which slice of them is which tensor, so that two of them meet by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from landscape.base.layout import Layout


class Vector(np.ndarray):
    """An array whose last axis is a flat parameter vector with a known layout.

    It is an ordinary array in every other way. Elementwise arithmetic of two of them pairs the
    tensors by name, in the order of the first, and refuses those of different models; what picks
    or reorders elements gives a plain array, whose order only its maker knows.

    Args:
        array: Shape (..., P).
        layout: The layout of the last axis; None gives an array without one.

    Attributes:
        recorded: Tells by what the statistics are known that belong to this point; None for what is
            no recorded state, or model's, as it is.

    >>> import json
    >>> layout = Layout.from_json(json.dumps([
    ...     {"name": "w", "shape": [2], "offset": 0, "kind": "weight", "filter_axis": 0},
    ...     {"name": "b", "shape": [1], "offset": 2, "kind": "bias", "filter_axis": 0}]))
    >>> turned = Layout((layout.entries[1].at(0), layout.entries[0].at(1)))
    >>> (Vector(np.array([1, 2, 3]), layout) + Vector(np.array([30, 10, 20]), turned)).tolist()
    [11, 22, 33]
    """

    layout: Layout | None
    recorded: Callable[[], dict[str, Any] | None] | None

    def __new__(cls, array: np.ndarray, layout: Layout | None) -> Vector:
        """See the class."""
        found = np.asarray(array).view(cls)
        found.layout = layout
        return found

    def __array_finalize__(self, source: Any) -> None:
        """Views and copies keep the layout while the last axis has its length."""
        layout = getattr(source, "layout", None)
        fits = layout is not None and self.ndim and self.shape[-1] == layout.size
        self.layout = layout if fits else None
        self.recorded = None

    def __reduce__(self) -> Any:
        """The layout travels to other processes."""
        return Vector, (self.view(np.ndarray), self.layout)

    def __getitem__(self, index: Any) -> Any:
        """Rows keep the layout; anything else is a plain array or a number."""
        rows = index is None or (self.ndim == 2 and isinstance(index, int | slice | np.integer))
        found = self.view(np.ndarray)[index]
        return Vector(found, self.layout) if rows else found

    def __repr__(self) -> str:
        """The shape and the norm; the numbers of a network would fill a screen."""
        if self.layout is None or self.ndim > 2:
            return repr(self.view(np.ndarray))
        rows = f"{self.shape[0]} × " if self.ndim == 2 else ""
        size = f"{rows}{self.layout.size:,} parameters in {len(self.layout)} tensors"
        norm = float(np.linalg.norm(self.view(np.ndarray).astype(np.float64)))
        return f"Vector({size}, {self.dtype}, norm {norm:.4g})"

    def take(self, *args: Any, **kwargs: Any) -> Any:
        """Elements in another order: a plain array."""
        return self.view(np.ndarray).take(*args, **kwargs)

    def __array_ufunc__(
        self, ufunc: Any, method: str, *inputs: Any, out: Any = None, **kwargs: Any
    ) -> Any:
        """Pair by name, compute on plain arrays, and give the result the layout."""
        layouts = [x.layout for x in (*(out or ()), *inputs) if isinstance(x, Vector)]
        layout = next((known for known in layouts if known is not None), None)
        plain = [_plain(x if layout is None else layout.matched(x)) for x in inputs]
        if out is not None:
            kwargs["out"] = tuple(_plain(x) for x in out)
        found = getattr(ufunc, method)(*plain, **kwargs)
        if out is not None:
            return out[0] if len(out) == 1 else out
        if method != "__call__" or layout is None or not isinstance(found, np.ndarray):
            return found
        return Vector(found, layout) if found.ndim and found.shape[-1] == layout.size else found


def layout_of(array: Any) -> Layout | None:
    """The layout of an array that knows it."""
    layout = getattr(array, "layout", None)
    return layout if isinstance(layout, Layout) else None  # a tensor's is another thing


def flat_vector(given: Any) -> np.ndarray:
    """A network's flat vector as an array; tensors are taken, too.

    Raises:
        ValueError: If it is a run, a model or the like; it says what to give instead.
    """
    if hasattr(given, "detach"):
        given = given.detach().cpu().numpy()
    if isinstance(given, np.ndarray):
        return given
    own = "its last state, run.final"
    if not hasattr(given, "final"):
        own = "flat weights, such as Objective(model, ...).parameters()"
    raise ValueError(f"Got a {type(given).__name__} as a network; give {own}.")


def _plain(value: Any) -> Any:
    return value.view(np.ndarray) if isinstance(value, Vector) else value
