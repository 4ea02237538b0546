"""The variance of Adam's adaptive rate in its first steps, and RAdam's remedy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from landscape.base.progress import Progress
from landscape.base.provenance import provenance
from landscape.results.adaptive_rate import AdaptiveRate

_BLOCK = 4096  # samples drawn at once


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

    >>> import landscape as ls
    >>> rate = ls.adaptive_rate_variance(steps=[10, 100], samples=2000)
    >>> rate.step.tolist(), rate.simulated.shape
    ([10, 100], (2,))
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
