"""Vectors put in the order of the model that is measured, tensor by tensor, by name."""

from __future__ import annotations

from typing import Any

import numpy as np

from landscape.base.layout import Entry, Layout
from landscape.base.vector import flat_vector, layout_of
from landscape.objective.problem import Problem


def matched_point(problem: Problem, given: Any) -> np.ndarray:
    """One point, an array or a tensor, in the order of the problem's model, shape (P,).

    Raises:
        ValueError: If it belongs to another model, or is a run, a model or the like.
    """
    found = matched_parameters(problem, flat_vector(given), moves=False)
    if np.shape(found) != (problem.layout.size,):
        raise ValueError(
            f"The model has {problem.layout.size} trainable parameters; the network has shape "
            f"{np.shape(found)}. They belong to another model."
        )
    return found


def matched_parameters(problem: Problem, vector: np.ndarray, *, moves: bool) -> np.ndarray:
    """A vector in the order of the problem's model; `moves` says that it is a direction.

    Vectors without a layout are taken to be in that order. Imported checkpoints may hold, among
    their parameters, what the model holds as buffers or does not train: such tensors are left out
    where they do not move and are the model's own.

    Raises:
        ValueError: If it belongs to another model, or moves what the model does not train.
    """
    theirs, mine = layout_of(vector), problem.layout
    if theirs is None:
        return vector
    found = mine.pairs(theirs)
    taken = {entry.name for entry in found.values()}
    more = Layout(tuple(entry for entry in theirs if entry.name not in taken))
    if len(found) == len(mine) and len(more):
        fixed = {
            **dict(problem.model.named_parameters()),
            **dict(problem.model.named_buffers()),
        }
        fixed = {n: t for n, t in fixed.items() if n not in found}
        held = Layout.joined(Entry(n, tuple(t.shape), 0, "norm") for n, t in fixed.items())
        pairs = held.pairs(more)
        if len(pairs) == len(more):
            for name, entry in pairs.items():
                values = np.asarray(vector)[..., entry.slice]
                own = fixed[name].detach().cpu().double().numpy().reshape(-1)
                if values.any() if moves else not np.allclose(values, own, rtol=1e-5, atol=1e-8):
                    raise ValueError(
                        f"{entry.name} is a parameter in this run, and in the model a buffer or "
                        f"not trained, with {'a value that stays' if moves else 'another value'}; "
                        "import the checkpoints with the model (model=model, or --task), or put "
                        "the state into the model first (landscape.restore)."
                    )
            return np.concatenate(
                [np.asarray(vector)[..., found[entry.name].slice] for entry in mine], axis=-1
            )
    return np.asarray(mine.matched(vector))


def matched_buffers(
    problem: Problem, vector: np.ndarray | None, *, moves: bool
) -> np.ndarray | None:
    """The same for buffers; those that are not stored are the model's own, which stay.

    Raises:
        ValueError: If they belong to another model.
    """
    theirs = layout_of(vector)
    if vector is None or theirs is None:
        return vector
    mine = problem.buffers_layout
    found = mine.pairs(theirs)
    if len(found) < len(theirs):
        raise ValueError(f"The buffers belong to another model: {mine.differences(theirs)}.")
    own = dict(problem.model.named_buffers())
    parts = []
    for entry in mine:
        if entry.name in found:
            parts.append(np.asarray(vector)[..., found[entry.name].slice])
        else:
            value = own[entry.name].detach().cpu().double().numpy().reshape(-1)
            still = np.zeros_like(value) if moves else value
            parts.append(np.broadcast_to(still, (*vector.shape[:-1], entry.size)))
    return np.concatenate(parts, axis=-1) if parts else np.asarray(vector)
