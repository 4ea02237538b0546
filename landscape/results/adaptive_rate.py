"""The variance of Adam's adaptive learning rate."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float64, Int64

from landscape.base.result import Result


@dataclass(frozen=True, kw_only=True, eq=False)
class AdaptiveRate(Result):
    """The adaptive rate ψ_t = √((1 - β₂ᵗ) / v_t) for gradients that are independent N(0, 1).

    What it is not: measured on a network, whose gradients are neither Gaussian nor independent.

    Attributes:
        step: Steps t, shape (step,).
        simulated: Sample variance of ψ_t. Up to about t = 4 the true variance is infinite, and
            any finite number here is an accident of the sample.
        standard_error: Of `simulated`, from the sample's fourth moment (which is infinite below
            about t = 8).
        closed_form: Variance of a scaled inverse χ variable with ρ_t degrees of freedom, which
            takes the exponential average for a plain one and so is up to 12 % too large near
            t = 1.5 / (1 - β₂); NaN where ρ_t ≤ 4, as RAdam leaves it.
        first_order: Its approximation ρ / (2 (ρ - 2) (ρ - 4)).
        degrees: ρ_t.
        rectification: RAdam's factor r_t; NaN where ρ_t ≤ 4.
        settings: β₂, samples, seed.
        provenance: Software, command, time.

    >>> import landscape as ls
    >>> rate = ls.adaptive_rate_variance(steps=[10, 100], samples=2000)
    >>> rate.step.tolist(), rate.simulated.shape
    ([10, 100], (2,))
    """

    schema: ClassVar[str] = "landscape/adaptive-rate"

    step: Int64[np.ndarray, " step"]
    simulated: Float64[np.ndarray, " step"]
    standard_error: Float64[np.ndarray, " step"]
    closed_form: Float64[np.ndarray, " step"]
    first_order: Float64[np.ndarray, " step"]
    degrees: Float64[np.ndarray, " step"]
    rectification: Float64[np.ndarray, " step"]
    settings: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)

    @property
    def rectified(self) -> np.ndarray:
        """Simulated variance of r_t ψ_t, the rate RAdam uses; nearly constant."""
        return self.rectification**2 * self.simulated
