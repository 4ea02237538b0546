"""The loss around two trained ResNet-56, with and without shortcuts, as reliefs in one scale.

After Li et al. 2018 (arXiv:1712.09913, figure 1), on their published networks, on the plane of
`fig_skip_connections.py`. Height and colour are logarithmic and the same on both sides. By default
it draws the surfaces that were measured there. `--full` draws 51 x 51 points on 1,000 images: every
second one along both axes and all near the centre are measured, which takes a core 1.2 hours and
goes on after a kill; so are random ones between, which say how far a spline of the logarithm is
off. (A tolerance of `loss_surface` counts absolute errors and would spoil the pits.) `--results
FILE` draws the surfaces of a file.

Against the original: the same two networks, filter-normalized directions and logarithmic height,
and the same contrast of a smooth bowl and a rugged plain with a narrow pit; other random
directions, fewer images, a ground with values, the lowest point pinned and the cut stated, where
the paper has neither axes nor a cut that is told; less relief at the rim, which is cut.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from fig_skip_connections import NETS, RESOLUTION, SAMPLES, measure_surface, objective_of
from gallery import Script
from matplotlib.figure import Figure
from scipy.interpolate import RectBivariateSpline

import landscape as ls
from landscape.plots.caption import title_above
from landscape.plots.levels import short

CEILING, SIZE, CHECKED = 100.0, 51, 32
PIT = 5  # of the fine grid, to every side of the centre


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--full", action="store_true", help="51 x 51 points on 1,000 images")
    parser.add_argument("--units", type=Path, metavar="DIR", help="of --full")
    parser.add_argument("--results", type=Path, metavar="FILE", help="draw the surfaces of a file")
    script = Script("fig_landscape_hero", __doc__, parser)
    try:
        surfaces = [surface_of(script, name) for name in NETS]
    except FileNotFoundError as error:
        print(f"Nothing drawn, for want of the published networks or CIFAR-10. {error}")
        return
    script.results = {f"surface/{name}": s for name, s in zip(NETS, surfaces, strict=True)}
    floor = min(float(np.nanmin(surface.loss)) for surface in surfaces)
    with ls.style("neurips", columns=2):
        figure = Figure(figsize=(5.5, 2.9))
        axes = figure.subplots(1, 2)
        for ax, surface in zip(axes, surfaces, strict=True):
            ls.render_surface(
                surface, floor=floor, ceiling=CEILING, view=(32, -60), height=0.62, base=True,
                pixels=900, bar=ax is axes[1], ax=ax,
            )  # fmt: skip
        lines = max(ax.get_title("left").count("\n") for ax in axes) + 1
        for ax, name in zip(axes, NETS, strict=True):
            title_above(ax, f"ResNet-56 {name}", lines=lines)
        script.save(figure, caption(surfaces))


def surface_of(script: Script, name: str) -> ls.Surface:
    """The surface of one network: of the given file, measured here, or that of the other figure."""
    group = f"surface/{name}"
    if script.args.results:
        script.new = True
        return ls.load_results(script.args.results)[group]
    if script.args.full:
        script.new = True
        units = (script.args.units or script.data / "hero") / f"{name.replace(' ', '_')}.units"
        if any(units.glob("unit-*")):
            script.before = ", beside units of points that were there (an hour of one core)"
        return every_second_point(script, name, objective_of(name, 1000), units)
    file = script.data / "fig_skip_connections.results.h5"
    known = ls.Surface.find(file, group)
    if known is not None and known.computed.all():
        return known
    size, samples = (3, 4) if script.smoke else (RESOLUTION, SAMPLES)
    return measure_surface(file, name, objective_of(name, samples), size)


def every_second_point(
    script: Script, name: str, objective: ls.Objective, units: Path
) -> ls.Surface:
    """Every second point and all near the centre, a spline of the logarithm between, checked."""
    plane, middle = ls.random_plane(objective), SIZE // 2
    coarse = ls.loss_surface(objective, plane, resolution=middle + 1, units=units)
    fine, measured = np.linspace(-1, 1, SIZE), np.zeros((SIZE, SIZE), bool)
    grid = coarse.beta, coarse.alpha
    loss = np.exp(RectBivariateSpline(*grid, np.log(coarse.loss))(fine, fine))
    doubt = np.abs(RectBivariateSpline(*grid, coarse.standard_error[0], kx=1, ky=1)(fine, fine))
    pit = slice(middle - PIT, middle + PIT + 1)
    near = ls.loss_surface(
        objective, plane, extent=fine[middle + PIT], resolution=2 * PIT + 1,
        units=units.with_stem(f"{units.stem}-pit"),
    )  # fmt: skip
    loss[pit, pit], doubt[pit, pit] = near.loss, near.standard_error[0]
    measured[::2, ::2] = measured[pit, pit] = True
    between = np.random.default_rng(0).permutation(np.flatnonzero(~measured))[:CHECKED]
    rows, columns = np.unravel_index(between, measured.shape)
    true = objective.along(plane)(np.stack([fine[columns], fine[rows]], axis=1)).mean[0]
    off = np.abs(loss[rows, columns] / true - 1)
    loss[rows, columns], measured[rows, columns] = true, True
    told = {"checked": CHECKED, "off": [float(np.quantile(off, q)) for q in (0.5, 0.9, 1.0)]}
    surface = replace(
        coarse, alpha=fine, beta=fine, values=loss[None], standard_error=doubt[None],
        computed=np.ones_like(measured), measured=measured, settings={**coarse.settings, **told},
    )  # fmt: skip
    surface.save(script.file, f"surface/{name}")
    return surface


def caption(surfaces: list[ls.Surface]) -> str:
    parts = []
    for name, surface in zip(NETS, surfaces, strict=True):
        loss = surface.loss
        row, column = np.unravel_index(np.nanargmin(loss), loss.shape)
        centre = loss[np.abs(surface.beta).argmin(), np.abs(surface.alpha).argmin()]
        off = surface.settings.get("off")
        parts.append(
            f"{name.capitalize()}: {short(centre, 3)} at the trained weights, lowest "
            f"{short(loss[row, column], 3)} at ({surface.alpha[column]:.2g}, "
            f"{surface.beta[row]:.2g}), highest {short(np.nanmax(loss), 3)}, "
            f"{np.mean(~(loss <= CEILING)):.1%} of the points above the cut at {CEILING:g}"
            + (f"; the spline is off by {off[0]:.1%}, {off[1]:.1%}, {off[2]:.1%}." if off else ".")
        )
    first = surfaces[0]
    sides = " × ".join(f"[{axis[0]:.2g}, {axis[-1]:.2g}]" for axis in (first.alpha, first.beta))
    if "off" in first.settings:
        parts.append(
            "Every second point along both axes and all near the centre are measured, between them "
            "stands a cubic spline of the logarithm; how far it is off are median, 90 % quantile "
            f"and most of {first.settings['checked']} random points, which are measured too."
        )
    return (
        f"{' '.join(parts)} {len(first.alpha)} × {len(first.beta)} points on {sides}, "
        f"{first.settings['samples']} training images, batch norm {first.settings['batch_norm']}; "
        "a distance of 1 changes every filter by its own norm. Heights are logarithmic; between "
        "the points the reliefs are cubic splines."
    )


if __name__ == "__main__":
    main()
