"""Why adaptive rates start out wild, and what RAdam does about it.

After Liu et al. 2020 (arXiv:1908.03265): when gradients are independent N(0, 1), the adaptive
rate 1/√v of Adam has a variance that is infinite in the first steps. Crosses: the variance
measured over simulated gradients; line: their first-order formula ρ / (2 (ρ − 2) (ρ − 4)).
"""

from __future__ import annotations

import numpy as np
from gallery import Script
from matplotlib.figure import Figure

from landscape.plots.style import look, styled

BETA = 0.999


def length(t: np.ndarray) -> np.ndarray:
    """ρ_t: length of the simple moving average that v_t stands for."""
    infinite = 2 / (1 - BETA) - 1
    return infinite - 2 * t * BETA**t / (1 - BETA**t)


def rectification(t: np.ndarray) -> np.ndarray:
    """r_t: what RAdam multiplies Adam's step with; 0 where ρ_t ≤ 5, no adaptive step."""
    rho, end = length(t), 2 / (1 - BETA) - 1
    inside = (rho - 4) * (rho - 2) * end / ((end - 4) * (end - 2) * rho)
    return np.where(rho > 5, np.sqrt(np.maximum(inside, 0)), 0)


def main() -> None:
    script = Script("fig_radam_variance", __doc__)
    count, steps = (200, 300) if script.smoke else (20_000, 3000)
    draw, v = np.random.default_rng(0), np.zeros(count)
    at = np.unique(np.geomspace(6, steps, 25).astype(int))
    measured = []
    for t in range(1, steps + 1):
        v = BETA * v + (1 - BETA) * draw.standard_normal(count) ** 2
        if t in at:
            measured.append(float(np.var(np.sqrt((1 - BETA**t) / v))))
    t = np.arange(1.0, steps + 1)
    rho = length(t)
    variance = np.where(rho > 4, rho / (2 * (rho - 2) * np.maximum(rho - 4, 1e-9)), np.nan)
    with styled("paper", columns=2):
        figure = Figure(figsize=(7, 2.8))
        left, right = figure.subplots(1, 2)
        left.loglog(t, variance, color="black", label="first-order formula")
        left.loglog(at, measured, "x", color=look("adam").color, label="simulated")
        left.set(xlabel="step", ylabel="variance of the adaptive rate")
        left.legend()
        right.semilogx(t, rectification(t), **look("radam").line, label="RAdam")
        right.semilogx(t, np.ones_like(t), **look("adam").line, label="Adam")
        right.set(xlabel="step", ylabel="factor on the adaptive step")
        right.legend()
        error = np.abs(np.interp(at[-8:], t, variance) / measured[-8:] - 1).max()
        script.save(
            figure,
            f"β₂ = {BETA}. Variance at step 500, formula: {np.interp(500, t, variance):.2e}; "
            f"largest relative difference to {count} simulated gradients over the last eight "
            f"crosses: {error:.0%}. RAdam's factor at steps 10 and {steps}: "
            f"{rectification(t)[9]:.3f} and {rectification(t)[-1]:.2f}.",
        )


if __name__ == "__main__":
    main()
