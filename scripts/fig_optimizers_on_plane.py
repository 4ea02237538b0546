"""The optimizers of one article on one plane: a joint PCA of all their runs.

All start from the same weights and see the same data; colours and markers belong to the optimizer.
Left: the joint PCA of all of them, where one run sets the scale. Right: the joint PCA of the
others, a plane of its own. The legend gives how far each run is from the planes at most.

No original: Li et al. 2018 (figure 9) have one run on one PCA plane; a second plane shows what one
far run would press together.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from gallery import Script
from matplotlib.figure import Figure

import landscape as ls
from landscape.plots.levels import contour_levels
from landscape.plots.repeats import told

OPTIMIZERS = ("gd", "sgd", "momentum", "adagrad", "adam", "radam", "lamb", "lookahead")
MODEL, STEPS = "mlp", 400


def all_repeats(script: Script) -> list[list[ls.Trajectory]]:
    return [script.repeats(MODEL, name, steps=STEPS, every=2) for name in OPTIMIZERS]


def measure(script: Script) -> tuple[ls.Surface, list[ls.Projection]]:
    return on_plane(script, "pca", OPTIMIZERS, (7, 5) if script.smoke else (45, 33))


def on_plane(
    script: Script, plane: str, names: Sequence[str], resolution: tuple[int, int]
) -> tuple[ls.Surface, list[ls.Projection]]:
    """The joint PCA plane of the named runs: its surface, and their paths."""
    runs = [script.run(MODEL, name, steps=STEPS, every=2) for name in names]
    objective = script.objective(MODEL, samples=2000)
    found = ls.pca_plane(runs)
    surface = script.measured(
        f"surface/{plane}",
        lambda: ls.loss_surface(objective, found, extent="trajectory", resolution=resolution),
    )
    paths = [
        script.measured(f"projection/{plane}/{name}", lambda run=run: ls.project(run, found))
        for name, run in zip(names, runs, strict=True)
    ]
    return surface, paths


def farthest(surface: ls.Surface, paths: Sequence[ls.Projection]) -> int:
    """The run without which the box around the paths is smallest."""

    def without(k: int) -> float:
        rest = np.concatenate([path.coordinates for i, path in enumerate(paths) if i != k])
        return float(np.prod(np.ptp(rest, axis=0)))

    return min(range(len(paths)), key=without)


def main() -> None:
    script = Script("fig_optimizers_on_plane", __doc__)
    surface, paths = measure(script)
    alone = farthest(surface, paths)
    others = [name for k, name in enumerate(OPTIMIZERS) if k != alone]
    size = (7, 5) if script.smoke else (41, 41)
    closer, close_paths = on_plane(script, "pca-of-the-others", others, size)
    objective = script.objective(MODEL, samples=2000)
    repeats = all_repeats(script)
    levels = contour_levels(np.concatenate([s.loss.ravel() for s in (surface, closer)]))
    with ls.style("neurips", columns=2):
        figure = Figure(figsize=(5.5, 3.4))
        left, right = figure.subplots(1, 2)
        ls.plot_surface(surface, paths=paths, levels=levels, ax=left)
        ls.plot_surface(closer, paths=close_paths, levels=levels, ax=right)
        left.child_axes[0].remove()
        off: dict[str, list[float]] = {name: [] for name in OPTIMIZERS}
        for path in (*paths, *close_paths):
            off[path.optimizer].append(float(np.fmax.reduce(path.residual)))
        handles = left.get_legend().legend_handles
        for ax in (left, right):
            ax.get_legend().remove()
            for name in [a for a in ax.texts if a.get_gid() == "name" and ax is left]:
                if name.get_text() != paths[alone].name:
                    name.remove()  # they are legible on the right
        told_off = [
            f"{path.name}: {', '.join(f'{far:.2g}' for far in off[path.optimizer])}"
            for path in paths
        ]
        figure.legend(
            handles, told_off, loc="outside lower center", ncols=3,
            title="Run: largest distance from the left plane, from the right one "
            "(hollow: start, solid: end)",
        )  # fmt: skip
        ends = ", ".join(
            f"{seeds[0].name} {told([float(objective.at(r.final).mean[0, 0]) for r in seeds])}"
            for seeds in repeats
        )
        shares = [
            f"{s.explained.sum():.0%} (of random walks: {s.explained_null.sum():.0%})"
            for s in (surface, closer)
        ]
        script.save(
            figure,
            f"{STEPS} steps each. The left plane holds {shares[0]} of the variation of all runs "
            f"together, the right one {shares[1]} of that of all but {paths[alone].name}. Paths of "
            f"one seed; loss at the last states themselves, not at their projections, median and "
            f"range of {len(script.seeds)} seeds: {ends}.",
        )


if __name__ == "__main__":
    main()
