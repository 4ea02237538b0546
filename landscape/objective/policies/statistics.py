"""The running statistics that a model holds now."""

from __future__ import annotations

import numpy as np
from torch import nn

from landscape.base.layout import Layout
from landscape.base.statistics import digest_of


def own_digest(model: nn.Module, layout: Layout) -> str | None:
    """Which running statistics a model holds; None: it has none.

    Args:
        model: The model.
        layout: Of its floating-point buffers.
    """
    return digest_of(layout, own_buffers(model, layout))


def own_buffers(model: nn.Module, layout: Layout) -> np.ndarray:
    """A model's floating-point buffers as a flat vector, float64, shape (B,)."""
    named = dict(model.named_buffers())
    held = [named[entry.name].detach().cpu().double().flatten() for entry in layout]
    return np.concatenate(held) if held else np.zeros(0)
