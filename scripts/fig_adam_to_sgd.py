"""Begin with Adam, go on with SGD: where the switch leads.

After Keskar & Socher 2017 (arXiv:1712.07628), with fixed switch points. Left: mini-batch loss,
median and range over five seeds; right: the paths of the first seed on one joint PCA plane, over
the training loss.
"""

from __future__ import annotations

from gallery import Script
from matplotlib.figure import Figure

import landscape as ls
from landscape.plots.path import running_mean
from landscape.plots.repeats import plot_repeats, told
from landscape.plots.style import looks

STEPS, SWITCHES = 300, (50, 100, 200)


def main() -> None:
    script = Script("fig_adam_to_sgd", __doc__)
    repeats = [script.repeats("mlp", name, steps=STEPS) for name in ("adam", "sgd")]
    for at in (3, 5, 8) if script.smoke else SWITCHES:
        options = {"switch_at": at, "sgd_lr": 0.1}
        name = f"Adam → SGD at {at}"
        repeats.append(script.repeats("mlp", "adam-sgd", steps=STEPS, options=options, name=name))
    runs = [seeds[0] for seeds in repeats]
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
    with ls.style("neurips", columns=2):
        figure = Figure(figsize=(5.5, 3.2))
        left, right = figure.subplots(1, 2, width_ratios=(2, 3))
        styles = looks([path.optimizer for path in paths])
        said = []
        for seeds, style in zip(repeats, styles, strict=True):
            metrics = [
                script.measured(f"path/{run.name}-{seed}", lambda run=run: ls.path_metrics(run))
                for seed, run in enumerate(seeds)
            ]
            smooth = [running_mean(one.losses, 15) for one in metrics]
            plot_repeats(metrics[0].step, smooth, style, ax=left)
            ends = [float(objective.at(run.final).mean[0, 0]) for run in seeds]
            said.append(f"{seeds[0].name} {told(ends)}")
        left.set(
            xlabel="optimizer step",
            ylabel="mini-batch loss\n(mean of 15, median and range)",
            yscale="log",
        )
        left.set_yticks((0.3, 0.5, 1, 2), ("0.3", "0.5", "1", "2"))
        left.minorticks_off()
        ls.plot_surface(surface, paths=paths, ax=right)
        script.save(
            figure,
            f"Training loss at the end, median and range of {len(script.seeds)} seeds: "
            f"{', '.join(said)}. The plane is that of the first seed.",
        )


if __name__ == "__main__":
    main()
