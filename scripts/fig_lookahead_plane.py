"""One inner loop of Lookahead: fast weights run ahead, the slow weights go part of the way.

After Zhang et al. 2019 (arXiv:1907.08610, figure 1): the plane through the first, the middle and
the last fast weights, with test accuracy. The last fast weights are not recorded, for the slow
step replaces them; they follow from it: θ_k = φ + (φ' − φ) / α.

Against the original: the same plane through three fast weights with the test accuracy and the same
hook of the fast path; a small net instead of ResNet-32 on CIFAR-100, an orthonormal plane with
true distances, round levels in place, and the numbers of five seeds.
"""

from __future__ import annotations

import numpy as np
from gallery import Script
from matplotlib.figure import Figure

import landscape as ls
from landscape.plots.paths import draw_path
from landscape.plots.repeats import told

K, ALPHA, STEPS, LR = 10, 0.5, 300, 0.2


def main() -> None:
    script = Script("fig_lookahead_plane", __doc__)
    options = {"k": K, "alpha": ALPHA}
    runs = script.repeats("mlp", "lookahead", steps=STEPS, lr=LR, batch_size=32, options=options)
    end = runs[0].steps[-1] // K * K
    ends = [(run.state(run.nearest(end - K)), run.state(run.nearest(end))) for run in runs]
    lasts = [slow + (slow_next - slow) / ALPHA for slow, slow_next in ends]
    slow, last = ends[0][0], lasts[0]
    fast = [runs[0].state(runs[0].nearest(step)) for step in range(end - K, end)] + [last]
    plane = ls.plane_through(slow, last, fast[K // 2], axes="orthonormal")
    path = np.array([plane.coordinates(theta)[0] for theta in fast])
    low, high = path.min(axis=0), path.max(axis=0)
    around = np.stack([low, high]) + 0.3 * (high - low).max() * np.array([[-1], [1]])
    name, task = script.task("mlp")
    objective = ls.Objective(
        task.model, task.loss, task.test, metrics=task.metrics, settings={"task": f"{name}, test"},
        samples=50 if script.smoke else 5000,
    )  # fmt: skip
    surface = script.measured(
        "surface/lookahead",
        lambda: ls.loss_surface(
            objective, plane, extent=tuple(around.T.ravel()), resolution=5 if script.smoke else 51
        ),
    )
    with ls.style("neurips", columns=2):
        figure = Figure(figsize=(4.0, 2.4))
        ax = ls.plot_surface(surface, metric="error", ax=figure.add_subplot())
        draw_path(ax, path, "#0072B2")
        draw_path(ax, np.stack([path[0], path[0] + ALPHA * (path[-1] - path[0])]), "#D55E00", "s")
        ax.set(xlabel="distance towards the last fast weights", ylabel="distance across")
        fast_line, slow_line = (a for a in ax.lines if a.get_gid() == "path")
        ax.legend([fast_line, slow_line], ["fast weights", "slow step"], loc="lower right",
                  frameon=True, framealpha=0.9)  # fmt: skip
        error = [
            [100 * float(objective.at(theta).mean[1, 0]) for theta in thetas]
            for thetas in zip(
                *((s, e, n) for (s, n), e in zip(ends, lasts, strict=True)), strict=True
            )
        ]
        script.save(
            figure,
            f"k = {K}, α = {ALPHA}, steps {end - K} to {end}. Test error in %, median and range of "
            f"{len(runs)} seeds: {told(error[0])} at the old slow weights, {told(error[1])} at the "
            f"last fast and {told(error[2])} at the new slow weights. The surface is that of one.",
        )


if __name__ == "__main__":
    main()
