"""Why adaptive rates start out wild, and what RAdam does about it.

After Liu et al. 2020 (arXiv:1908.03265): for gradients that are independent N(0, 1), the adaptive
rate 1/√v of Adam has no finite variance in the first steps. RAdam takes no adaptive step there
and shrinks the later ones by a factor that keeps the variance nearly constant.

Against the original: the same simulation against the same closed form; bars are two standard
errors, which the paper does not draw.
"""

from __future__ import annotations

import numpy as np
from gallery import Script
from matplotlib.figure import Figure

import landscape as ls
from landscape.analysis.adaptive_rate import adaptive_rate_variance
from landscape.plots.adaptive_rate import plot_adaptive_rate
from landscape.plots.style import look


def main() -> None:
    script = Script("fig_radam_variance", __doc__)
    last, samples = (100, 200) if script.smoke else (4000, 20_000)
    rate = script.measured(
        "adaptive-rate",
        lambda: adaptive_rate_variance(steps=np.geomspace(5, last, 30), samples=samples),
    )
    with ls.style("neurips", columns=2):
        figure = Figure(figsize=(5.5, 2.3))
        left, right = figure.subplots(1, 2)
        plot_adaptive_rate(rate, ax=left)
        right.semilogx(rate.step, rate.rectification, **look("radam").line)
        right.set(xlabel="step", ylabel="RAdam's factor on the step", ylim=(0, 1))
        off = np.abs(rate.closed_form / rate.simulated - 1)[rate.step >= 20].max()
        low, high = (f(rate.rectified[rate.step >= 20]) for f in (np.min, np.max))
        script.save(
            figure,
            f"β₂ = 0.999, {samples} sequences; bars: two standard errors. From step 20 on the "
            f"closed form is within {off:.0%} of the simulation; there the variance falls from "
            f"{rate.simulated[rate.step >= 20][0]:.1e} to {rate.simulated[-1]:.1e} for Adam and "
            f"stays between {low:.1e} and {high:.1e} for RAdam.",
        )


if __name__ == "__main__":
    main()
