"""The optimizers of one article on one plane: a joint PCA of all their runs.

All start from the same weights and see the same data; colours and dashes belong to the optimizer.
The legend gives how far each run is from the plane at most.
"""

from __future__ import annotations

from gallery import Script
from matplotlib.figure import Figure

import landscape as ls
from landscape.plots.repeats import told

OPTIMIZERS = ("gd", "sgd", "momentum", "adagrad", "adam", "radam", "lamb", "lookahead")
MODEL, STEPS = "mlp", 400


def all_runs(script: Script) -> list[ls.Trajectory]:
    return [script.run(MODEL, name, steps=STEPS, every=2) for name in OPTIMIZERS]


def all_repeats(script: Script) -> list[list[ls.Trajectory]]:
    return [script.repeats(MODEL, name, steps=STEPS, every=2) for name in OPTIMIZERS]


def measure(script: Script) -> tuple[ls.Surface, list[ls.Projection]]:
    runs = all_runs(script)
    objective = script.objective(MODEL, samples=2000)
    plane = ls.pca_plane(runs)
    resolution = (7, 5) if script.smoke else (45, 33)
    surface = script.measured(
        "surface/pca",
        lambda: ls.loss_surface(objective, plane, extent="trajectory", resolution=resolution),
    )
    paths = [
        script.measured(f"projection/pca/{name}", lambda run=run: ls.project(run, plane))
        for name, run in zip(OPTIMIZERS, runs, strict=True)
    ]
    return surface, paths


def main() -> None:
    script = Script("fig_optimizers_on_plane", __doc__)
    surface, paths = measure(script)
    objective = script.objective(MODEL, samples=2000)
    repeats = all_repeats(script)
    with ls.style("neurips", columns=2):
        figure = Figure(figsize=(5.5, 3.6))
        ls.plot_surface(surface, paths=paths, ax=figure.add_subplot())
        ends = ", ".join(
            f"{seeds[0].name} {told([float(objective.at(r.final).mean[0, 0]) for r in seeds])}"
            for seeds in repeats
        )
        share = surface.explained.sum()
        script.save(
            figure,
            f"{STEPS} steps each. The plane holds {share:.0%} of the variation of all runs "
            f"together. Paths of one seed; loss at the last states themselves, not at their "
            f"projections, median and range of {len(script.seeds)} seeds: {ends}.",
        )


if __name__ == "__main__":
    main()
