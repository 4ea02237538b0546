"""One inner loop of Lookahead: fast weights run ahead, the slow weights go part of the way.

After Zhang et al. 2019 (arXiv:1907.08610, figure 1): the plane through the first, the middle and
the last fast weights, with test accuracy. The last fast weights are not recorded, for the slow
step replaces them; they follow from it: θ_k = φ + (φ' − φ) / α.
"""

from __future__ import annotations

import numpy as np
from gallery import Script
from matplotlib.figure import Figure

import landscape as ls
from landscape.plots.style import styled

K, ALPHA, STEPS, LR = 10, 0.5, 300, 0.2


def main() -> None:
    script = Script("fig_lookahead_plane", __doc__)
    options = {"k": K, "alpha": ALPHA}
    run = script.run("mlp", "lookahead", steps=STEPS, lr=LR, batch_size=32, options=options)
    end = run.steps[-1] // K * K
    slow, slow_next = run.state(run.nearest(end - K)), run.state(run.nearest(end))
    last = slow + (slow_next - slow) / ALPHA
    fast = [run.state(run.nearest(step)) for step in range(end - K, end)] + [last]
    plane = ls.plane_through(slow, fast[K // 2], last)
    name, task = script.task("mlp")
    objective = ls.Objective(
        task.model, task.loss, task.test, metrics=task.metrics, settings={"task": f"{name}, test"},
        samples=50 if script.smoke else 5000,
    )  # fmt: skip
    surface = script.measured(
        "surface/lookahead",
        lambda: ls.loss_surface(
            objective, plane, extent=(-0.4, 1.3, -0.5, 1.2), resolution=5 if script.smoke else 35
        ),
    )
    with styled("paper"):
        figure = Figure(figsize=(4.4, 3.6))
        ax = ls.plot_surface(surface, metric="error", ax=figure.add_subplot())
        path = np.array([plane.coordinates(theta)[0] for theta in fast])
        ax.plot(*path.T, color="white", linewidth=2.5)
        ax.plot(*path.T, "o--", color="#0072B2", markeredgecolor="white", label="fast weights")
        ax.plot(
            [0, 0], [0, ALPHA], "s-", color="#D55E00", linewidth=2.5, markeredgecolor="white",
            label="slow step",
        )  # fmt: skip
        ax.set(xlabel="towards the middle fast weights", ylabel="towards the last fast weights")
        ax.legend(loc="lower right", frameon=True, framealpha=0.9)
        error = [float(objective.at(theta).mean[1, 0]) for theta in (slow, last, slow_next)]
        script.save(
            figure,
            f"k = {K}, α = {ALPHA}, steps {end - K} to {end}. Test error: {error[0]:.2%} at the "
            f"old slow weights, {error[1]:.2%} at the last fast and {error[2]:.2%} at the new slow "
            "weights.",
        )


if __name__ == "__main__":
    main()
