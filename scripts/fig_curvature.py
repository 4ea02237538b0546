"""The Hessian of a small trained net: both ends of its spectrum, its density, and its blocks.

The outliers are about as many as classes (Sagun et al. 2017, arXiv:1706.04454; Papyan 2019,
arXiv:1901.08244), the bulk is at zero. Left: the ends, with the share of the gradient along each.
Right: the density of all eigenvalues, the measured ones as stems.

Against the originals: the same outliers, about as many as classes, and the same bulk at zero; a
small net, with the residual of every eigenvalue told.
"""

from __future__ import annotations

from gallery import Script
from matplotlib.figure import Figure

import landscape as ls

MODEL, STEPS = "mlp-64-64-relu", 600


def main() -> None:
    script = Script("fig_curvature", __doc__)
    run = script.run(MODEL, "momentum", steps=STEPS, batch_size=128, images=2000)
    objective = script.objective(MODEL, images=2000)
    top, runs, steps = (2, 2, 6) if script.smoke else (12, 5, 40)
    spectrum = script.measured(
        "spectrum", lambda: ls.hessian_spectrum(objective, run.final, top=top, bottom=2)
    )
    density = script.measured(
        "density",
        lambda: ls.spectral_density(
            objective, run.final, spectrum=spectrum, runs=runs, steps=steps
        ),
    )
    trace = script.measured(
        "trace", lambda: ls.hessian_trace(objective, run.final, spectrum=spectrum)
    )
    with ls.style("neurips", columns=2):
        figure = Figure()
        left, right = figure.subplots(1, 2)
        ls.plot_spectrum(spectrum, ax=left)
        ls.plot_density(density, ax=right)
    large = int((spectrum.value[: spectrum.top] > 0.1 * spectrum.value[0]).sum())
    script.save(
        figure,
        f"{spectrum.settings['task']}: {len(spectrum.origin):,} parameters, loss "
        f"{spectrum.loss:.3g}. {large} eigenvalues exceed a tenth of λ1 = {spectrum.value[0]:.4g}; "
        f"λmin = {spectrum.value[spectrum.top]:.2g}; residuals up to "
        f"{spectrum.residual.max():.1g}; trace {trace.value:.4g} ± {trace.standard_error:.1g}. "
        f"{spectrum.gradient_share[: spectrum.top].sum():.0%} of the gradient lies in the top "
        f"{spectrum.top}. Eigenvalues compare points of one run, in one parametrisation: scaling "
        "layers of a rectifier net changes them and not the function (Dinh et al. 2017).",
    )


if __name__ == "__main__":
    main()
