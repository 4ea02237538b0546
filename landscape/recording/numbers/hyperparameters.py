"""Learning rate and momentum of an optimizer as they stand."""

from __future__ import annotations

from typing import Any

from torch import Tensor


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
