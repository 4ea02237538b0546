"""The loss around a trained ResNet-56 without shortcuts, on a filter-normalized random plane.

After Li et al. 2018 (arXiv:1712.09913, figure 1 left), on their published network where it lies
in a folder `li2018_resnet56/`; otherwise around a small network that is trained here. The relief
is a spline through the measured points, its height logarithmic.
"""

from __future__ import annotations

import numpy as np
from gallery import Script
from matplotlib.figure import Figure

import landscape as ls
from landscape.exchange.checkpoints.state import load_state
from landscape.plots.render import render_surface
from landscape.tasks.folders import find_data

FILE = "resnet56_noshort_sgd_lr0.1_bs128_wd0.0005_model_300.t7"


def published() -> tuple[ls.Objective, np.ndarray]:
    """The loss of the published network, and its parameters."""
    name = "cifar10/resnet56-noskip"
    state = load_state(find_data("checkpoints/li2018_resnet56", [FILE])[FILE])
    task = ls.load_task(name)
    task.model.load_state_dict(state)
    objective = ls.Objective(
        task.model, task.loss, task.train, samples=128, settings={"task": name}
    )
    return objective, objective.parameters()


def trained_here(script: Script) -> tuple[ls.Objective, np.ndarray]:
    """A small network instead."""
    return script.objective("conv", samples=500), script.run("conv", "adam", steps=150).final


def measure(script: Script) -> ls.Surface:
    try:
        objective, center = trained_here(script) if script.smoke else published()
    except FileNotFoundError as error:
        print(f"{error}\nUsing a small network instead.")
        objective, center = trained_here(script)
    plane = ls.random_plane(center, objective.layout, seed=1)
    return ls.loss_surface(objective, plane, resolution=7 if script.smoke else 31)


def main() -> None:
    script = Script("fig_landscape_hero", __doc__)
    surface = script.measured("surface/random", lambda: measure(script))
    with ls.style("neurips", columns=2):
        figure = Figure(figsize=(5.5, 4.1))
        render_surface(
            surface, bar=True, pixels=200 if script.smoke else 900, ax=figure.add_subplot()
        )
        loss, settings = surface.loss, surface.settings
        script.save(
            figure,
            f"{settings['task']}, {settings['samples']} training images, "
            f"{len(surface.alpha)}×{len(surface.beta)} points on [−1, 1]², batch norm "
            f"{settings['batch_norm']}. Loss {loss.min():.3g} to {loss.max():.3g}, "
            f"{loss[len(loss) // 2, len(surface.alpha) // 2]:.3g} at the trained weights.",
        )


if __name__ == "__main__":
    main()
