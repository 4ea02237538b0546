"""Norms by which random directions are made comparable with the weights that they start from."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from landscape.base.layout import Entry, Layout


def of_filters(layout: Layout, entry: Entry, vector: np.ndarray) -> np.ndarray:
    """The norm of each filter (Li et al. 2018, arXiv:1712.09913, section 4)."""
    return layout.filter_norms(entry, vector)


def of_tensor(layout: Layout, entry: Entry, vector: np.ndarray) -> np.ndarray:
    """The norm of the whole tensor."""
    del layout
    return np.linalg.norm(vector[entry.slice].astype(np.float64))  # pyright: ignore[reportReturnType]


NORMS: dict[str, Callable[[Layout, Entry, np.ndarray], np.ndarray]] = {
    "filter": of_filters,
    "layer": of_tensor,
}
"""Name to the norms of one tensor of a flat vector; they broadcast against its shape."""


def check_normalization(name: str) -> None:
    """Refuse a normalization that there is not.

    Raises:
        ValueError: If it is neither one of `NORMS` nor ``gaussian`` nor ``none``.
    """
    known = (*NORMS, "gaussian", "none")
    if name not in known:
        listed = ", ".join(map(repr, known))
        raise ValueError(f"normalization must be one of {listed}; not {name!r}.")


def normalize(direction: np.ndarray, origin: np.ndarray, layout: Layout, name: str) -> None:
    """Give a direction, in place, the norms of the origin.

    Those of its tensors or their parts; with ``gaussian`` that of all it moves; ``none`` leaves it.
    """
    if name == "none":
        return
    if name == "gaussian":
        moved = origin[direction != 0].astype(np.float64)
        direction *= np.linalg.norm(moved) / np.linalg.norm(direction)
        return
    norms = NORMS[name]
    for entry in layout:
        tensor = direction[entry.slice].reshape(entry.shape)
        mine, wanted = norms(layout, entry, direction), norms(layout, entry, origin)
        # An ignored tensor has norm zero and stays zero.
        tensor *= np.divide(wanted, mine, out=np.zeros_like(wanted), where=np.asarray(mine) > 0)
