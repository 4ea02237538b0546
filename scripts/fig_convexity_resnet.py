"""|λmin / λmax| of the Hessian around the published ResNet-56 pair, with and without shortcuts.

After Li et al. 2018, section 6 and figure 7 (arXiv:1712.09913), with their own networks, on a
smaller grid and fewer images: how convex the loss really is, over all parameters, on the planes of
their surfaces. Finished points are kept: the same command goes on after Ctrl-C. On one core it
takes about ten minutes.

Against the original: the same networks and the same map; 5 × 5 points and 16 images instead of a
fine grid on the training set, so only the contrast of the two can be read.
"""

from __future__ import annotations

import numpy as np
from claims.convexity import RESOLUTION, SAMPLES, measured
from fig_skip_connections import NETS, objective_of
from gallery import Script
from matplotlib.figure import Figure

import landscape as ls


def main() -> None:
    script = Script("fig_convexity_resnet", __doc__)
    size, samples = (2, 2) if script.smoke else (RESOLUTION, SAMPLES)
    try:
        objectives = {name: objective_of(name, samples) for name in NETS}
    except FileNotFoundError as error:
        print(f"Nothing drawn, for want of the published networks or CIFAR-10. {error}")
        return
    maps = {}
    for name, objective in objectives.items():
        maps[name] = script.measured(name, lambda o=objective, n=name: measure(script, n, o, size))
    with ls.style("neurips", columns=2):
        figure = Figure()
        figure.set_size_inches(5.5, 2.7)
        for ax, (name, found) in zip(figure.subplots(1, 2), maps.items(), strict=True):
            ls.plot_curvature_map(found, most=1.0, ax=ax)
            ax.set_title(f"ResNet-56 {name}", loc="left")
    told = [
        f"{name}: median {np.nanmedian(m.ratio):.2g}, at most {np.nanmax(m.ratio):.2g}, above .1 "
        f"at {np.mean(m.ratio > 0.1):.0%} of the points"
        for name, m in maps.items()
    ]
    script.save(
        figure,
        f"|λmin/λmax| {'; '.join(told)}. {size} x {size} points, {samples} training images, batch "
        "norm frozen, filter-normalized random directions; dots: convex within the residual. "
        f"Eigenvalues depend on the parametrisation (Dinh et al. 2017), and {samples} images bias "
        "λmax upward: the two planes are compared under the same conditions only.",
    )


def measure(script: Script, name: str, objective: ls.Objective, size: int) -> ls.CurvatureMap:
    if script.smoke:
        return measured(objective, size=size, tolerance=0.3)
    units = script.data / f"units-convexity-{name.replace(' ', '-')}"
    return measured(objective, size=size, units=units)


if __name__ == "__main__":
    main()
