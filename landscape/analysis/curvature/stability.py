"""Up to which sharpness an optimizer is stable on a quadratic, from what its run says of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

_NAMES = {  # names of the registry and of torch's classes
    "gd": "sgd", "sgd": "sgd", "momentum": "sgd", "nesterov": "sgd",
    "adam": "adam", "adamw": "adamw", "rmsprop": "rmsprop",
}  # fmt: skip


@dataclass(frozen=True)
class Stability:
    """An optimizer's condition for stability, on the largest eigenvalue.

    Attributes:
        text: The condition, for a legend; empty where none is known.
        factor: The threshold times the learning rate; NaN where it is unknown.
        kind: ``sgd``, ``adam``, ``adamw``, ``rmsprop``, or empty.
        beta: Decay of the first moment, or momentum.
        decay: Decay of the second moment.
        eps: Added to its root.
        weight_decay: λ of the L2 penalty (of AdamW: of the decay beside it).
    """

    text: str
    factor: float
    kind: str = ""
    beta: float = 0.0
    decay: float = 0.0
    eps: float = 0.0
    weight_decay: float = 0.0

    @property
    def adaptive(self) -> bool:
        """Whether the condition is on the preconditioned Hessian."""
        return self.kind in ("adam", "adamw", "rmsprop")

    def preconditioner(self, second_moment: np.ndarray, step: int) -> np.ndarray:
        """The diagonal P_t that the optimizer divides by in its update `step` + 1.

        With bias correction (Adam) it has the factor 1 - β₁^t, as in Cohen et al. 2022.
        """
        v = second_moment.astype(np.float64)
        if self.kind == "rmsprop":
            return np.sqrt(v) + self.eps
        first, second = 1 - self.beta**step, 1 - self.decay**step
        return first * (np.sqrt(v / second) + self.eps)


def stability_of(run: Mapping[str, Any], scalars: Mapping[str, np.ndarray]) -> Stability:
    """The condition of a recorded run.

    GD 2/η; heavy ball (2 + 2β)/η; Nesterov (2 + 2β)/(η (1 + 2β)); Adam (2 + 2β₁)/(η (1 - β₁)) and
    RMSprop 2/η on P^-½ H P^-½. Options that a run does not say are torch's defaults.

    Source: Cohen et al. 2021, arXiv:2103.00065; Cohen et al. 2022, arXiv:2207.14484.

    >>> stability_of({"optimizer": "momentum", "options": {"momentum": 0.9}}, {}).factor
    3.8
    >>> round(stability_of({"optimizer": "Adam"}, {}).factor, 9)
    38.0
    """
    kind = _NAMES.get(str(run.get("optimizer", "")).lower(), "")
    given = run.get("options")
    options: dict[str, Any] = dict(given) if isinstance(given, Mapping) else {}
    if kind == "adam" and options.get("decoupled_weight_decay"):
        kind = "adamw"
    odd = [o for o in ("maximize", "amsgrad", "centered") if options.get(o)]
    if not kind or odd or "lr.1" in scalars:
        return Stability("", np.nan)
    decay = float(options.get("weight_decay", 1e-2 if kind == "adamw" else 0.0))
    recorded = scalars.get("momentum", np.zeros(0))
    known = recorded[np.isfinite(recorded)]
    if kind in ("adam", "adamw"):
        beta, beta2 = options.get("betas", (float(known[0]) if len(known) else 0.9, 0.999))
        factor = (2 + 2 * beta) / (1 - beta)
        eps = float(options.get("eps", 1e-8))
        return Stability(
            f"{factor:.3g} / lr (Adam, preconditioned)", factor, kind, beta, beta2, eps, decay
        )
    beta = float(options.get("momentum", known[0] if len(known) else 0.0))
    factor = 2 + 2 * beta
    if kind == "rmsprop":
        alpha, eps = float(options.get("alpha", 0.99)), float(options.get("eps", 1e-8))
        text = f"{factor:.3g} / lr (RMSprop, preconditioned)"
        return Stability(text, factor, kind, beta, alpha, eps, decay)
    named = "gradient descent" if not beta else f"momentum {beta:g}"
    if options.get("nesterov"):
        factor, named = factor / (1 + 2 * beta), f"Nesterov {beta:g}"
    elif beta:
        factor /= 1 - float(options.get("dampening", 0.0))
    return Stability(f"{factor:.3g} / lr ({named})", factor, kind, beta, weight_decay=decay)
