"""What PCA shows of a run, and of a pure random walk that learned nothing.

After Antognini & Sohl-Dickstein 2018 (arXiv:1806.08805): a random walk in many dimensions also
puts most of its variation into two components, and its path is a smooth curve. High explained
variance is no evidence of structure.

Against the original: the same parabola of a random walk beside that of a trained net; one small
run instead of ResNet-50, and the expected shares stand at the axes.
"""

from __future__ import annotations

import numpy as np
from gallery import Script, is_recorded
from matplotlib.figure import Figure

import landscape as ls
from landscape.base.layout import Layout
from landscape.plots.style import look


def main() -> None:
    script = Script("fig_pca_null", __doc__)
    run = script.run("mlp", "sgd", steps=400, lr=0.1)
    path = script.data / f"random-walk-{len(run)}.h5"
    layout: Layout = run.layout
    if not is_recorded(path):
        draw = np.random.default_rng(0).standard_normal
        position = np.zeros(layout.size)
        told = {"name": "random walk"}
        with ls.TrajectoryWriter(path, layout, run=told, overwrite=True) as writer:
            for step in range(len(run)):
                writer.append_state(step, position.astype(np.float32))
                position += draw(layout.size)
    said, null = [], np.zeros(2)
    with ls.style("neurips", columns=2):
        figure = Figure(figsize=(5.5, 1.9))
        for place, (name, trajectory) in enumerate(
            {"SGD": run, "random walk": ls.Trajectory(path)}.items()
        ):
            plane = ls.pca_plane(trajectory, origin="mean")
            shown = script.measured(
                f"projection/{name}", lambda t=trajectory, p=plane: ls.project(t, p)
            )
            ax = figure.add_subplot(1, 2, place + 1)
            low, high = shown.coordinates.min(axis=0), shown.coordinates.max(axis=0)
            ax.plot(*shown.coordinates.T, color=look("sgd").color if place == 0 else "0.4")
            ax.plot(*shown.coordinates[0], "o", color="white", markeredgecolor="black")
            ax.plot(*shown.coordinates[-1], "o", color="black")
            share, null = np.array(plane.explained), np.array(plane.explained_null)
            middle, half = np.mean([low, high], axis=0), 0.54 * np.ptp(shown.coordinates[:, 0])
            ax.set(title=name, aspect="equal")
            ax.set_xlim(middle[0] - half, middle[0] + half)
            ax.set_ylim(middle[1] - 0.56 * half, middle[1] + 0.56 * half)
            walk = [f"random walk: {one:.1%}" for one in null]
            ax.set_xlabel(f"PC 1 ({share[0]:.1%} of variation;\n{walk[0]})")
            ax.set_ylabel(f"PC 2\n({share[1]:.1%} of variation;\n{walk[1]})")
            said.append(f"{name}: {share[0]:.1%} + {share[1]:.1%} of the variation")
        script.save(
            figure,
            f"{'. '.join(said)}. In the limit a random walk of this length gives {null[0]:.1%} + "
            f"{null[1]:.1%}. {layout.size} parameters, {len(run)} states; hollow: start.",
        )


if __name__ == "__main__":
    main()
