"""Optimizers by name: `find` an entry of the table, `build` the optimizer of a run.

Importing this file needs no torch, so that plots can read colours from it.
"""

from __future__ import annotations

import importlib
import inspect
import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from landscape.base.distribution import install
from landscape.base.suggest import did_you_mean
from landscape.optim.entries import FROM_PYTORCH_OPTIMIZER, REFUSED, SHIPPED, OptimizerEntry
from landscape.optim.hyperparameters import check_options

if TYPE_CHECKING:
    import torch

__all__ = ["OPTIMIZERS", "OptimizerEntry", "build", "find"]

OPTIMIZERS: dict[str, OptimizerEntry] = {
    entry.name: entry for entry in (*SHIPPED, *FROM_PYTORCH_OPTIMIZER)
}
_AROUND = ("lookahead", "sam", "asam")


def find(name: str) -> OptimizerEntry:
    """The entry called `name`.

    Besides the names of `OPTIMIZERS`, ``lookahead-NAME``, ``sam-NAME`` and ``asam-NAME`` are
    built around the optimizer NAME, in its colour, dotted.

    Raises:
        ValueError: If there is none; the message lists the allowed names.

    >>> find("lookahead-nadam").title
    'Lookahead (NAdam)'
    """
    if name in OPTIMIZERS:
        return OPTIMIZERS[name]
    outer, _, inner = name.partition("-")
    if outer in _AROUND and inner in OPTIMIZERS:
        return _around(OPTIMIZERS[outer], OPTIMIZERS[inner])
    if name in REFUSED:
        raise ValueError(f"{REFUSED[name]}; choose another optimizer.")
    near = did_you_mean(name, OPTIMIZERS)
    all_of_them = f"{', '.join(list(OPTIMIZERS)[:6])}, … (`landscape list optimizers` shows all)"
    raise ValueError(
        f"optimizer must be one of {all_of_them}, or lookahead-, sam- or asam- before one of them; "
        f"not {name!r}.{near}"
    )


def build(
    name: str,
    parameters: Iterable[Any],
    *,
    lr: float | None = None,
    options: Mapping[str, Any] | None = None,
) -> torch.optim.Optimizer:
    """Make the optimizer called `name`.

    Args:
        name: A name that `find` knows.
        parameters: What it optimizes: parameters or parameter groups.
        lr: Learning rate; default: the entry's.
        options: Further arguments of the optimizer, over those of the entry. For optimizers built
            around another they go to the outer one.

    Raises:
        ValueError: If the name or an option is unknown, or a value is out of range.
        ImportError: If the optimizer's library is not installed; the message says what to do.
    """
    entry = find(name)
    cls = _implementation(entry)
    chosen = {**entry.options, **(options or {})}
    taken = set(inspect.signature(cls).parameters) - {"params", "inner"}
    check_options(name, chosen, sorted(taken))
    lr = entry.lr if lr is None else lr
    if not 0 <= lr < math.inf:
        raise ValueError(f"lr must be at least 0 and finite; got {lr}.")
    if entry.inner:
        return cls(build(entry.inner, parameters, lr=lr), **chosen)
    return cls(parameters, lr=lr, **chosen)


def _around(outer: OptimizerEntry, inner: OptimizerEntry) -> OptimizerEntry:
    if inner.closure or inner.inner or inner.evaluation:
        raise ValueError(f"{outer.name} cannot be built around {inner.name}.")
    return replace(
        outer,
        name=f"{outer.name}-{inner.name}",
        title=f"{outer.title.partition(' ')[0]} ({inner.title})",
        inner=inner.name,
        lr=inner.lr,
        color=inner.color,
        dash=":",
        extra=inner.extra,
        full_batch=inner.full_batch,
    )


def _implementation(entry: OptimizerEntry) -> Any:
    module, _, attribute = entry.target.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        if not entry.extra:
            raise
        raise ModuleNotFoundError(
            f"{entry.name} needs the extra {entry.extra!r}: {install(entry.extra)}."
        ) from error
