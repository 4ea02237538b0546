"""Where the loss is convex: |λmin / λmax| of the Hessian over the plane of two eigenvectors.

After Li et al. 2018, section 6 (arXiv:1712.09913), who compare surfaces with the eigenvalues of
the whole Hessian. Left: the surface along the two largest eigenvectors at the end of a run, never
rescaled. Middle: |λmin / λmax| at each point of the same plane; right: λmax.

Against the original: their maps of |λmin / λmax| are of ResNets on a random plane; this one is of
a small net on its own eigenvectors, adds λmax and the residuals, and shows what a map of the plane
alone would hide.
"""

from __future__ import annotations

import numpy as np
from gallery import Script
from matplotlib.figure import Figure

import landscape as ls

MODEL, STEPS = "mlp-64-64-relu", 600


def main() -> None:
    script = Script("fig_convexity", __doc__)
    run = script.run(MODEL, "momentum", steps=STEPS, batch_size=128, images=2000)
    objective = script.objective(MODEL, images=2000, metrics={})
    size, fine = (3, 3) if script.smoke else (15, 31)
    spectrum = script.measured(
        "spectrum", lambda: ls.hessian_spectrum(objective, run.final, top=2, bottom=1)
    )
    plane = ls.eigen_plane(spectrum)
    surface = script.measured(
        "surface",
        lambda: ls.loss_surface(objective, plane, extent="trajectory", resolution=fine),
    )
    found = script.measured(
        "map",
        lambda: ls.curvature_map(objective, plane, extent="trajectory", resolution=size),
    )
    with ls.style("neurips", columns=2):
        figure = Figure()
        figure.set_size_inches(5.5, 1.75)
        left, middle, right = figure.subplots(1, 3)
        ls.plot_surface(surface, ax=left)
        ls.plot_curvature_map(found, most=float(np.nanmax(found.ratio)), ax=middle)
        ls.plot_curvature_map(found, quantity="largest", ax=right)
        for ax in (left, middle, right):
            ax.set_title("", loc="left")
            ax.set(xticks=(-0.1, 0, 0.1), yticks=(-0.2, -0.1, 0, 0.1, 0.2))
        for ax in (middle, right):
            ax.set_ylabel("")
    second = ls.second_differences(objective, plane)
    inside = found.in_plane_eigenvalues[0]
    looks = np.mean(inside >= 0)
    script.save(
        figure,
        f"{surface.settings['task']}; axes: {plane.labels[0]}, {plane.labels[1]}; second "
        f"differences of the loss at the centre: {second[0]:.4g}, {second[1]:.4g} (with kinks of "
        f"rectifiers, which the Hessian leaves out). |λmin/λmax| is {np.nanmin(found.ratio):.2g} "
        f"to {np.nanmax(found.ratio):.2g} on {size} x {size} points. Within the plane the loss "
        f"curves upward at {looks:.0%} of them, over all parameters at "
        f"{np.mean(found.convex):.0%}: a plane can look convex where the loss is not. Residuals "
        f"up to {np.nanmax(found.smallest_residual):.1g}. Eigenvalues depend on the "
        "parametrisation (Dinh et al. 2017).",
    )


if __name__ == "__main__":
    main()
