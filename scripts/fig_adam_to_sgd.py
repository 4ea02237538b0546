"""Begin with Adam, go on with SGD: where the switch leads.

After Keskar & Socher 2017 (arXiv:1712.07628), with fixed switch points. Above: mini-batch loss,
median and range over five seeds; below: the paths of the first seed on one joint PCA plane, over
the training loss.

Against the original: the same question and the same curves over training; a small network instead
of DenseNet, training loss instead of test error, five seeds instead of one, and the paths on a
plane, which the paper does not have.
"""

from __future__ import annotations

import numpy as np
from gallery import Script
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

import landscape as ls
from landscape.plots.frame import plane_transform
from landscape.plots.path import running_mean
from landscape.plots.paths import draw_path
from landscape.plots.repeats import plot_repeats, told
from landscape.plots.style import Look, look

STEPS, SWITCHES = 300, (50, 100, 200)
SWITCHED = (("#332288", "-", "D"), ("#117733", "-", "^"), ("#882255", "-", "v"))


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
            objective, plane, extent="trajectory", resolution=5 if script.smoke else (61, 41)
        ),
    )
    paths = [
        script.measured(f"projection/{run.name}", lambda run=run: ls.project(run, plane))
        for run in runs
    ]
    with ls.style("neurips", columns=2):
        figure = Figure(figsize=(5.5, 3.8))
        above, below = figure.subplots(2, 1, height_ratios=(1, 1))
        styles = [look("adam"), look("sgd"), *(Look(*one) for one in SWITCHED)]
        said = []
        for seeds, style in zip(repeats, styles, strict=True):
            metrics = [
                script.measured(f"path/{run.name}-{seed}", lambda run=run: ls.path_metrics(run))
                for seed, run in enumerate(seeds)
            ]
            smooth = [running_mean(one.losses, 15) for one in metrics]
            plot_repeats(metrics[0].step, smooth, style, ax=above)
            ends = [float(objective.at(run.final).mean[0, 0]) for run in seeds]
            said.append(f"{seeds[0].name} {told(ends)}")
        above.set(
            xlabel="optimizer step",
            ylabel="mini-batch loss\n(mean of 15)",
            yscale="log",
        )
        above.set_yticks((0.3, 0.5, 1, 2), ("0.3", "0.5", "1", "2"))
        above.minorticks_off()
        ls.plot_surface(surface, ax=below)
        place = plane_transform(surface, below)
        for path, style in zip(paths, styles, strict=True):
            draw_path(below, path.coordinates, style.color, style.marker, transform=place)
        far = max(float(np.fmax.reduce(path.residual)) for path in paths)
        handles = [
            Line2D([], [], color=style.color, marker=style.marker, label=path.name)
            for path, style in zip(paths, styles, strict=True)
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=5, handlelength=1.5,
                      title="hollow: start, solid: end")  # fmt: skip
        script.save(
            figure,
            f"Training loss at the end, median and range of {len(script.seeds)} seeds: "
            f"{', '.join(said)}. The plane is that of the first seed, its runs are up to "
            f"{far:.2g} away from it.",
        )


if __name__ == "__main__":
    main()
