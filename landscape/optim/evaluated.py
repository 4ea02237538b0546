"""The weights to evaluate, where these are not the ones the optimizer steps."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from landscape.optim.lookahead import Lookahead


def evaluated_weights(optimizer: torch.optim.Optimizer) -> dict[Tensor, Tensor]:
    """Weights to evaluate for those parameters where they differ from the parameters.

    Lookahead: the slow weights. Schedule-Free (Defazio et al. 2024, arXiv:2405.15682): the average
    x, from the stored y = (1 - β) z + β x. SPlus (Frans et al. 2025, arXiv:2506.07254): the
    bias-corrected moving average. Those of pytorch-optimizer are known, too. Nothing is changed,
    unlike by the ``eval()`` and ``train()`` of such optimizers, which do not come back to the same
    bits; while such an optimizer is in its evaluation mode, the parameters are what to evaluate.

    Args:
        optimizer: Any optimizer.

    Returns:
        Parameter to weights; empty where the parameters themselves are to be evaluated.
    """
    if isinstance(optimizer, Lookahead):
        return optimizer.slow_weights()
    found: dict[Tensor, Tensor] = {}
    for group in optimizer.param_groups:
        training = group.get("train_mode", getattr(optimizer, "train_mode", False))
        for p in group["params"]:
            state: dict[str, Any] = optimizer.state.get(p, {})
            if "slow_params" in state:
                found[p] = state["slow_params"]
            elif training and "ema" in state:
                found[p] = state["ema"] * (1 / (1 - group["ema_rate"] ** group["step"]))
            elif training and "z" in state:
                found[p] = torch.lerp(p.detach(), state["z"], 1 - 1 / _beta(optimizer, group))
    return found


def _beta(optimizer: torch.optim.Optimizer, group: dict[str, Any]) -> float:
    """β of Schedule-Free, which a wrapper around another optimizer holds itself."""
    held = getattr(optimizer, "momentum", None)
    if held is not None and hasattr(optimizer, "train_mode"):
        return held
    return group["momentum"] if "momentum" in group else group["betas"][0]
