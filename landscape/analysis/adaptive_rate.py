"""The variance of Adam's adaptive rate in its first steps, and RAdam's remedy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from jaxtyping import Float64, Int64

from landscape.progress import Progress
from landscape.provenance import provenance
from landscape.store import Result

_BLOCK = 4096  # samples drawn at once


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
    """

    schema: ClassVar[str] = "landscape/adaptive-rate"

    step: Int64[np.ndarray, " step"]
    simulated: Float64[np.ndarray, " step"]
    standard_error: Float64[np.ndarray, " step"]
    closed_form: Float64[np.ndarray, " step"]
    first_order: Float64[np.ndarray, " step"]
    degrees: Float64[np.ndarray, " step"]
    rectification: Float64[np.ndarray, " step"]
    settings: dict = field(default_factory=dict)
    provenance: dict = field(default_factory=dict)

    @property
    def rectified(self) -> np.ndarray:
        """Simulated variance of r_t ψ_t, the rate RAdam uses; nearly constant."""
        return self.rectification**2 * self.simulated


def adaptive_rate_variance(
    *,
    steps: Sequence[int] | np.ndarray | None = None,
    beta2: float = 0.999,
    samples: int = 20_000,
    seed: int = 0,
) -> AdaptiveRate:
    """Simulate the variance of the adaptive rate, beside the closed forms.

    Args:
        steps: Steps to report, positive; default: 40 from 1 to 2000, denser at the beginning.
        beta2: Decay of the second moment.
        samples: Independent sequences of gradients.
        seed: Of the gradients.

    Returns:
        Variances at each step.

    Raises:
        ValueError: If a step is not positive, β₂ not between 0 and 1 or there are few samples.

    Source: Liu et al. 2020, "On the variance of the adaptive learning rate and beyond",
    arXiv:1908.03265, sections 3 and 4.
    """
    if steps is None:
        steps = np.geomspace(1, 2000, 40)
    step = np.unique(np.asarray(steps).round().astype(np.int64))
    if not len(step) or step[0] < 1 or not 0 < beta2 < 1 or samples < 10:
        raise ValueError(
            f"steps must be positive, 0 < beta2 < 1 and samples at least 10; got steps from "
            f"{step[:1]}, beta2 = {beta2}, samples = {samples}."
        )
    generator = np.random.default_rng(seed)
    rates = np.empty((len(step), samples))
    with Progress("adaptive rate", samples, unit="sample") as progress:
        for start in range(0, samples, _BLOCK):
            block = slice(start, min(start + _BLOCK, samples))
            second = np.zeros(block.stop - block.start)
            row = 0
            for t in range(1, int(step[-1]) + 1):
                second *= beta2
                second += (1 - beta2) * generator.standard_normal(len(second)) ** 2
                if t == step[row]:
                    rates[row, block] = np.sqrt((1 - beta2**t) / second)
                    row += 1
            progress.advance(len(second))
    centred = rates - rates.mean(axis=1, keepdims=True)
    variance = (centred**2).sum(axis=1) / (samples - 1)
    spread = ((centred**4).mean(axis=1) - variance**2).clip(min=0)
    degrees = degrees_of_freedom(step, beta2=beta2)
    limit = 2 / (1 - beta2) - 1
    inside = np.where(degrees > 4, degrees, np.nan)
    return AdaptiveRate(
        step=step,
        simulated=variance,
        standard_error=np.sqrt(spread / samples),
        closed_form=inverse_chi_variance(inside),
        first_order=inside / (2 * (inside - 2) * (inside - 4)),
        degrees=degrees,
        rectification=np.sqrt(
            (inside - 4) * (inside - 2) * limit / ((limit - 4) * (limit - 2) * inside)
        ),
        settings={"beta2": beta2, "samples": samples, "seed": seed},
        provenance=provenance(),
    )


def degrees_of_freedom(step: np.ndarray, *, beta2: float = 0.999) -> np.ndarray:
    """ρ_t = ρ_∞ - 2 t β₂ᵗ / (1 - β₂ᵗ) with ρ_∞ = 2 / (1 - β₂) - 1, the length of the average.

    >>> degrees_of_freedom(np.array([1, 4, 5, 10**6])).round(3)
    array([1.000e+00, 3.997e+00, 4.996e+00, 1.999e+03])
    """
    power = beta2 ** np.asarray(step, np.float64)
    return 2 / (1 - beta2) - 1 - 2 * step * power / (1 - power)


def inverse_chi_variance(degrees: np.ndarray) -> np.ndarray:
    """Var ψ = ρ / (ρ - 2) - ρ 2^(2ρ - 5) / π · B((ρ - 1) / 2, (ρ - 1) / 2)² for ρ > 4, σ = 1.

    >>> inverse_chi_variance(np.array([5.0, 500.0])).round(7)
    array([0.2519561, 0.0010075])
    """
    from scipy.special import betaln

    half = (degrees - 1) / 2
    logarithm = np.log(degrees / np.pi) + (2 * degrees - 5) * np.log(2) + 2 * betaln(half, half)
    return degrees / (degrees - 2) - np.exp(logarithm)
