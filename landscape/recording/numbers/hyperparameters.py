"""Learning rate, momentum and options of an optimizer as they stand."""

from __future__ import annotations

from typing import Any

from torch import Tensor

_OPTIONS = (  # what decides how an update follows from gradients and the learning rate
    "betas", "eps", "weight_decay", "momentum", "dampening", "nesterov", "alpha", "centered",
    "amsgrad", "maximize", "decoupled_weight_decay",
)  # fmt: skip


def hyperparameters(optimizer: Any) -> dict[str, float | Tensor]:
    """Learning rate and momentum (Adam: β1) of every parameter group, where they exist.

    Returns:
        ``lr`` and ``momentum`` of the first group, ``lr.1`` and ``momentum.1`` of the second, ….

    >>> import torch
    >>> w = torch.nn.Parameter(torch.zeros(2))
    >>> hyperparameters(torch.optim.Adam([{"params": [w], "lr": 0.5}]))
    {'lr': 0.5, 'momentum': 0.9}
    """
    found: dict[str, float | Tensor] = {}
    for number, group in enumerate(getattr(optimizer, "param_groups", ())):
        end = f".{number}" if number else ""
        momentum = group.get("momentum", group.get("betas", (None,))[0])
        for name, value in (("lr", group.get("lr")), ("momentum", momentum)):
            if isinstance(value, Tensor):
                found[name + end] = value.detach().clone()
            elif value is not None:
                found[name + end] = float(value)
    return found


def options_of(optimizer: Any) -> dict[str, Any]:
    """The options of its first parameter group that a file should say, beside the learning rate.

    >>> import torch
    >>> w = torch.nn.Parameter(torch.zeros(2))
    >>> options_of(torch.optim.RMSprop([w], lr=0.1, alpha=0.9))["alpha"]
    0.9
    """
    group = next(iter(getattr(optimizer, "param_groups", ())), {})
    found = {name: group[name] for name in _OPTIONS if name in group}
    return {name: value for name, value in found.items() if _plain(value)}


def _plain(value: Any) -> bool:
    if isinstance(value, tuple | list):
        return all(map(_plain, value))
    return isinstance(value, bool | int | float)
