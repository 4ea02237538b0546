"""Six optimizers walk over one terrain: their paths on the relief of the loss.

The joint PCA plane of six runs that start from the same weights and see the same data, with the
paths dropped onto it. What a run had for loss is in general not the terrain's height under its
path, for no run lies in the plane: the legend says how far it is from it at most. Height and colour
are logarithmic.

No original: reliefs with paths are common as decoration; here each run's distance from the plane
is told, and parts behind the relief are faint instead of left out.
"""

from __future__ import annotations

import numpy as np
from fig_optimizers_on_plane import MODEL, STEPS, on_plane
from gallery import Script
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

import landscape as ls
from landscape.plots.repeats import told
from landscape.plots.style import looks

SIX = ("sgd", "momentum", "adam", "radam", "lamb", "lookahead")


def main() -> None:
    script = Script("fig_optimizers_terrain", __doc__)
    surface, paths = on_plane(script, "pca", SIX, (7, 5) if script.smoke else (51, 51))
    objective = script.objective(MODEL, samples=2000)
    with ls.style("neurips", columns=2):
        figure = Figure(figsize=(5.5, 4.0))
        ls.render_surface(
            surface, paths=paths, base=True, bar=True, height=0.4, view=(38, -60),
            pixels=200 if script.smoke else 1400, ax=figure.add_subplot(),
        )  # fmt: skip
        handles = [
            Line2D(
                [], [], color=style.color, marker=style.marker,
                label=f"{path.name}: {np.fmax.reduce(path.residual):.2g}",
            )
            for path, style in zip(paths, looks([p.optimizer for p in paths]), strict=True)
        ]  # fmt: skip
        figure.legend(
            handles=handles, loc="outside lower center", ncols=3,
            title="Run: largest distance from the plane (hollow: start, solid: end; faint: behind)",
        )  # fmt: skip
        ends = []
        for name in SIX:
            seeds = script.repeats(MODEL, name, steps=STEPS, every=2)
            losses = [float(objective.at(run.final).mean[0, 0]) for run in seeds]
            ends.append(f"{seeds[0].name} {told(losses)}")
        script.save(
            figure,
            f"{STEPS} steps each; {len(surface.alpha)} × {len(surface.beta)} points. The plane "
            f"holds {surface.explained.sum():.0%} of the variation of the six runs (of random "
            f"walks: {surface.explained_null.sum():.0%}). Paths of one seed; loss at the last "
            f"states themselves, median and range of {len(script.seeds)} seeds: {', '.join(ends)}.",
        )


if __name__ == "__main__":
    main()
