"""The surface around the weights, measured anew along training.

The same two random directions at every step, scaled to the filters of that step's weights
(Li et al. 2018, arXiv:1712.09913, section 4): the plane moves with the run, so this shows how the
surroundings change, not the path. Colours, levels and heights are the same in every frame.

No original: the paper compares networks, not steps; all panels share levels, and that the plane
moves with the run is said.
"""

from __future__ import annotations

import numpy as np
from fig_optimizers_on_plane import MODEL, STEPS
from gallery import Script
from matplotlib.figure import Figure

import landscape as ls
from landscape.plots.levels import contour_levels


def main() -> None:
    script = Script("fig_surface_along_training", __doc__)
    run = script.run(MODEL, "adam", steps=STEPS, every=2)
    objective = script.objective(MODEL, samples=1000)
    count, resolution = (3, 5) if script.smoke else (32, 31)
    early_denser = np.linspace(0, 1, count) ** 2 * (len(run) - 1)
    steps = run.steps[np.unique(early_denser.round().astype(int))]
    found = [
        script.measured(
            f"surface/step-{step}",
            lambda step=step: ls.surfaces_along(
                objective, run, steps=[step], resolution=resolution
            )[0],
        )
        for step in steps.tolist()
    ]
    with ls.style("screen"):
        frames = list(ls.evolution_frames(found, pixels=200 if script.smoke else 340))
    film = ls.write_animation(
        [*frames, *frames[-1:] * 8], script.figures / f"{script.name}.gif", per_second=6
    )
    with ls.style("neurips", columns=2):
        figure = Figure(figsize=(5.5, 1.9))
        levels = contour_levels(np.concatenate([surface.loss for surface in found]))
        shown = [found[k] for k in (0, len(found) // 4, len(found) // 2, -1)]
        for ax, surface in zip(figure.subplots(1, 4, sharey=True), shown, strict=True):
            ls.plot_surface(surface, levels=levels, ax=ax)
            ax.set_title("", loc="left")
            ax.set_title(f"step {surface.settings['step']}")
            ax.label_outer()
            if surface is not shown[-1]:
                ax.child_axes[0].remove()
        middle = len(found[0].beta) // 2, len(found[0].alpha) // 2
        rise = [surface.loss.max() / surface.loss[middle] for surface in found]
        script.save(
            figure,
            f"Adam, {found[0].settings['samples']} images, {len(found)} steps of the run, "
            f"{resolution}×{resolution} points each ({film.stat().st_size / 1e6:.2f} MB). At the "
            f"weights the loss falls from {found[0].loss[middle]:.3g} to "
            f"{found[-1].loss[middle]:.3g}; the highest point around them is {rise[0]:.2f} times "
            f"as high at the start and {rise[-1]:.1f} times at the end.",
        )


if __name__ == "__main__":
    main()
