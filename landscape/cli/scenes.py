"""`landscape render | mesh | animate`: one surface of a results file as picture, mesh or film."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from landscape.base.suggest import did_you_mean
from landscape.cli import names
from landscape.cli.checks import check_suffix, check_there

if TYPE_CHECKING:
    from landscape.results.projection import Projection
    from landscape.results.surface import Surface

File = Annotated[Path, typer.Argument(help="A results file (.results.h5).")]
Name = Annotated[
    str | None,
    typer.Option(
        "--surface",
        help="Which surface of the file; default: the first.",
        autocompletion=names.surfaces,
    ),
]
Metric = Annotated[
    str | None, typer.Option(help="Which metric of the surface; default: its first, the loss.")
]
Ceiling = Annotated[float | None, typer.Option(help="Cut away what lies above.")]


def render(
    file: File,
    out: Annotated[Path, typer.Option("--out", "-o", help=".png, .pdf or .svg.")] = Path(
        "figures/relief.png"
    ),
    surface: Name = None,
    metric: Metric = None,
    ceiling: Ceiling = None,
    elevation: Annotated[float, typer.Option(help="Of the camera, in degrees.")] = 35.0,
    azimuth: Annotated[
        float | None, typer.Option(help="Of the camera, in degrees; default: a side that is low.")
    ] = None,
    colormap: Annotated[
        str, typer.Option(help="landscape, or a matplotlib colour map.")
    ] = "landscape",
    pixels: Annotated[int, typer.Option(help="Width of the picture.")] = 1400,
) -> None:
    """Draw a surface as a shaded relief on a transparent ground, with the paths on its plane.

    Example: landscape render data/joint.results.h5 --ceiling 5 --out figures/relief.png
    """
    check_there([file])
    check_suffix(out, (".png", ".pdf", ".svg"), "A picture")
    name, chosen, paths = _chosen(file, surface)
    from matplotlib.figure import Figure

    from landscape.plots.caption import conditions
    from landscape.plots.render import render_surface
    from landscape.plots.save import save_figure
    from landscape.plots.surface import measured_with

    figure = Figure(figsize=(pixels / 200, 0.7 * pixels / 200), dpi=200)
    render_surface(
        chosen, paths=list(paths.values()), metric=metric, ceiling=ceiling, colormap=colormap,
        view=(elevation, azimuth), pixels=pixels, ax=figure.add_axes((0, 0, 1, 1)),
    )  # fmt: skip
    save_figure(figure, out, results={name: chosen, **paths}, title=name, transparent=True)
    shown = metric or chosen.metrics[0]
    typer.echo(f"{out}: {name}, {shown} as a relief, with {len(paths)} paths dropped on it")
    typer.echo(f"  {conditions(measured_with(chosen, list(paths.values())))}")


def mesh(
    file: File,
    out: Annotated[
        Path, typer.Option("--out", "-o", help=".ply, .obj, .vtp or .glb (glTF).")
    ] = Path("figures/surface.ply"),
    surface: Name = None,
    metric: Metric = None,
    ceiling: Ceiling = None,
) -> None:
    """Write a surface and its paths as a mesh, for ParaView, Blender and the like.

    Example: landscape mesh data/joint.results.h5 --out figures/surface.vtp
    """
    check_there([file])
    check_suffix(out, (".ply", ".obj", ".vtp", ".glb"), "A mesh")
    name, chosen, paths = _chosen(file, surface)
    from landscape.plots.mesh import write_mesh
    from landscape.plots.triangulated import surface_mesh

    made = surface_mesh(chosen, paths=list(paths.values()), metric=metric, ceiling=ceiling)
    write_mesh(made, out)
    typer.echo(f"{out}: {name}, {len(made.triangles)} triangles, {len(made.polylines)} paths")


def animate(
    file: File,
    out: Annotated[Path, typer.Option("--out", "-o", help=".gif, or .mp4 with ffmpeg.")] = Path(
        "figures/walk.gif"
    ),
    surface: Name = None,
    metric: Metric = None,
    orbit: Annotated[
        bool, typer.Option("--orbit", help="Fly around the relief instead of walking.")
    ] = False,
    frames: Annotated[int, typer.Option(help="Number of frames.")] = 48,
) -> None:
    """Make a film: the runs walking over a surface, or a flight around it.

    Example: landscape animate data/joint.results.h5 --orbit --out figures/orbit.gif
    """
    check_there([file])
    check_suffix(out, (".gif", ".mp4"), "A film")
    name, chosen, paths = _chosen(file, surface)
    from landscape.plots.animate import orbit_frames, walk_frames, write_animation

    shown = list(paths.values())
    if orbit:
        moving = orbit_frames(chosen, paths=shown, metric=metric, count=frames)
    else:
        moving = walk_frames(chosen, shown, metric=metric, count=frames)
    write_animation(moving, out)
    typer.echo(f"{out}: {name}, {frames} frames")


def _chosen(file: Path, name: str | None) -> tuple[str, Surface, dict[str, Projection]]:
    """A surface of a results file with the paths on its plane."""
    from landscape.results.projection import Projection
    from landscape.results.registry import load_results
    from landscape.results.surface import Surface

    results = load_results(file)
    surfaces = {key: one for key, one in results.items() if isinstance(one, Surface)}
    if not surfaces:
        raise ValueError(f"{file} holds no surface; measure one first (landscape surface ...).")
    name = next(iter(surfaces)) if name is None else name
    if name not in surfaces:
        near = did_you_mean(name, surfaces)
        raise ValueError(f"surface must be one of {', '.join(surfaces)}; not {name!r}.{near}")
    from landscape.plots.surface import belongs

    return (
        name,
        surfaces[name],
        {
            key: one
            for key, one in results.items()
            if isinstance(one, Projection) and belongs(one, surfaces[name])
        },
    )


COMMANDS: dict[str, Any] = {"render": render, "mesh": mesh, "animate": animate}
