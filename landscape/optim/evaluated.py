"""The weights to evaluate, where these are not the ones the optimizer steps."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from landscape.optim.lookahead import Lookahead


def evaluated_weights(optimizer: torch.optim.Optimizer) -> dict[Tensor, Tensor]:
    """Weights to evaluate for those parameters where they differ from the parameters.

    Lookahead: the slow weights. Schedule-Free (Defazio et al. 2024, arXiv:2405.15682): the average
    x, from the stored y = (1 - β) z + β x. Nothing is changed, unlike by the ``eval()`` and
    ``train()`` of such optimizers, which do not come back to the same bits.

    Args:
        optimizer: Any optimizer.

    Returns:
        Parameter to weights; empty where the parameters themselves are to be evaluated.
    """
    if isinstance(optimizer, Lookahead):
        return optimizer.slow_weights()
    found: dict[Tensor, Tensor] = {}
    for group in optimizer.param_groups:
        if not group.get("train_mode"):
            continue
        beta = group["momentum"] if "momentum" in group else group["betas"][0]
        for y in group["params"]:
            state: dict[str, Any] = optimizer.state.get(y, {})
            if "z" in state:
                found[y] = torch.lerp(y.detach(), state["z"], 1 - 1 / beta)
    return found
