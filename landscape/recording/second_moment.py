"""The running mean of squared gradients that an adaptive optimizer divides by."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from landscape.base.layout import Layout

_KEYS = ("exp_avg_sq", "square_avg")  # of Adam and its kin, of RMSprop


def second_moment(optimizer: torch.optim.Optimizer, model: nn.Module) -> np.ndarray:
    """The present second moments of every trained parameter, as one flat vector, shape (P,).

    Keep them by step beside a recorded run, for the preconditioned sharpness of
    `landscape.curvature_path`. Parameters that were not stepped yet have zeros.

    Raises:
        ValueError: If the optimizer keeps none (it is not adaptive in this way).

    >>> w = nn.Linear(2, 1, bias=False)
    >>> adam = torch.optim.Adam(w.parameters(), betas=(0.9, 0.5))
    >>> w.weight.grad = torch.tensor([[2.0, 4.0]])
    >>> adam.step()
    >>> second_moment(adam, w).tolist()
    [2.0, 8.0]
    """
    named = dict(model.named_parameters())
    parts, seen = [], False
    for entry in Layout.of(model):
        state = optimizer.state.get(named[entry.name], {})
        held = next((state[key] for key in _KEYS if key in state), None)
        seen = seen or held is not None
        part = torch.zeros(entry.size) if held is None else held.detach().cpu().reshape(-1)
        parts.append(part.double() if part.dtype == torch.float64 else part.float())
    if not seen:
        raise ValueError(
            f"{type(optimizer).__name__} holds no second moments ({' or '.join(_KEYS)}); step it "
            "once, or leave them out for an optimizer that has none."
        )
    return torch.cat(parts).numpy()
