"""Begin with Adam, go on with SGD: where the switch leads.

After Keskar & Socher 2017 (arXiv:1712.07628), with fixed switch points. Left: mini-batch loss;
right: the paths on one joint PCA plane, over the training loss.
"""

from __future__ import annotations

from gallery import Script
from matplotlib.figure import Figure

import landscape as ls
from landscape.plots.path import running_mean
from landscape.plots.style import looks, styled

STEPS, SWITCHES = 300, (50, 100, 200)


def main() -> None:
    script = Script("fig_adam_to_sgd", __doc__)
    runs = [script.run("mlp", "adam", steps=STEPS), script.run("mlp", "sgd", steps=STEPS)]
    for at in (3, 5, 8) if script.smoke else SWITCHES:
        options = {"switch_at": at, "sgd_lr": 0.1}
        name = f"Adam → SGD at {at}"
        runs.append(script.run("mlp", "adam-sgd", steps=STEPS, options=options, name=name))
    objective = script.objective("mlp", samples=2000)
    plane = ls.pca_plane(runs)
    surface = script.measured(
        "surface/pca",
        lambda: ls.loss_surface(
            objective, plane, extent="trajectory", resolution=5 if script.smoke else 31
        ),
    )
    paths = [
        script.measured(f"projection/{run.name}", lambda run=run: ls.project(run, plane))
        for run in runs
    ]
    with styled("paper", columns=2):
        figure = Figure(figsize=(7, 3.6))
        left, right = figure.subplots(1, 2, width_ratios=(2, 3))
        styles = looks([path.optimizer for path in paths])
        for run, style in zip(runs, styles, strict=True):
            metrics = script.measured(f"path/{run.name}", lambda run=run: ls.path_metrics(run))
            left.plot(metrics.step, running_mean(metrics.losses, 15), **style.line)
        left.set(xlabel="optimizer step", ylabel="mini-batch loss (mean of 15)", yscale="log")
        left.set_yticks((0.3, 0.5, 1, 2), ("0.3", "0.5", "1", "2"))
        left.minorticks_off()
        ls.plot_surface(surface, paths=paths, ax=right)
        right.set_aspect("auto")
        first, second = surface.explained
        right.set(xlabel=f"PC 1 ({first:.0%} of variation)", ylabel=f"PC 2 ({second:.0%})")
        ends = [f"{r.name} {float(objective.at(r.final).mean[0, 0]):.3f}" for r in runs]
        script.save(figure, f"Training loss at the end: {', '.join(ends)}.")


if __name__ == "__main__":
    main()
