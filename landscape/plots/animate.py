"""Moving pictures: runs walking on a surface, a flight around it, a surface along training."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from landscape.base.files import expanded
from landscape.base.replaceable import check_replaceable
from landscape.plots.frame import Footprint
from landscape.plots.levels import contour_levels
from landscape.plots.names import literal
from landscape.plots.relief import Camera
from landscape.plots.render import render_surface
from landscape.plots.style import looks
from landscape.plots.surface import metric_of, plot_surface
from landscape.results.projection import Projection
from landscape.results.surface import Surface

Frame = np.ndarray  # uint8, shape (row, column, 3)

_VIEW = (30.0, -60.0)  # elevation and azimuth of the camera on a surface along training


def walk_frames(
    surface: Surface,
    paths: Sequence[Projection],
    *,
    metric: str | None = None,
    count: int = 60,
    figure: Figure | None = None,
) -> Iterator[Frame]:
    """Runs moving over a surface, all at the same optimizer step; the trail stays.

    Args:
        surface: Where.
        paths: Projections on its plane; at least one.
        metric: Which metric of the surface; default: its first, the loss.
        count: Number of frames, at evenly spaced steps from the first to the last.
        figure: Its size and resolution are used; default: a new one.

    Raises:
        ValueError: If there is no path, or one belongs to another plane.

    >>> import landscape as ls
    >>> recorded = ls.Run("function/quadratic", "gd", lr=0.01, steps=8)  # ½ Σ h_i x_i²
    >>> run = ls.Trajectory(ls.record_run(recorded, "gd.h5"))
    >>> task = ls.load_task("function/quadratic")
    >>> objective = ls.Objective(task.model, task.loss, task.train)
    >>> plane = ls.pca_plane(run)
    >>> surface = ls.loss_surface(objective, plane, extent="trajectory", resolution=5)
    >>> frames = list(ls.walk_frames(surface, [ls.project(run, plane)], count=2))
    >>> len(frames), frames[0].shape[-1]
    (2, 3)
    """
    if not paths:
        raise ValueError("No path was given; pass at least one Projection.")
    figure = figure or Figure(figsize=(6.4, 5.8), dpi=90, layout="constrained")
    ax = plot_surface(surface, paths=paths, metric=metric, inset=False, ax=figure.add_subplot())
    trails = [line for line in ax.lines if line.get_gid() in ("path", "halo")]
    for line in ax.lines:
        if line.get_gid() == "end":
            line.set_visible(False)
    heads = [
        ax.plot([], [], look.marker, color=look.color, markeredgecolor="white", zorder=7)[0]
        for look in looks([path.optimizer or path.name for path in paths])
    ]
    label = ax.text(0.02, 0.97, "", transform=ax.transAxes, va="top")
    steps = np.concatenate([path.step for path in paths])
    for step in np.linspace(steps.min(), steps.max(), count).round().astype(int):
        for k, path in enumerate(paths):
            done = path.coordinates[path.step <= step]
            for trail in trails[2 * k : 2 * k + 2]:
                trail.set_data(*done.T)
            heads[k].set_data(*done[-1:].T)
        label.set_text(f"step {step}")
        yield _pixels(figure)
        figure.set_layout_engine("none")  # what was laid out once must not move


def orbit_frames(
    surface: Surface,
    *,
    paths: Sequence[Projection] = (),
    metric: str | None = None,
    elevation: float = 35.0,
    count: int = 48,
    pixels: int = 500,
    colormap: str = "landscape",
) -> Iterator[Frame]:
    """The relief of a surface, seen from all around; the last frame leads back to the first.

    >>> import landscape as ls
    >>> task = ls.load_task("digits/mlp")
    >>> objective = ls.Objective(task.model, task.loss, task.train, samples=32)
    >>> surface = ls.loss_surface(objective, resolution=5)
    >>> len(list(ls.orbit_frames(surface, count=2, pixels=60)))
    2
    """
    for azimuth in np.arange(count) * 360 / count - 60:
        figure = Figure(figsize=(pixels / 100, 0.75 * pixels / 100), dpi=100)
        ax = figure.add_axes((0, 0, 1, 1))
        render_surface(
            surface, paths=paths, metric=metric, view=(elevation, float(azimuth)), height=0.5,
            pixels=pixels, colormap=colormap, ax=ax,
        )  # fmt: skip
        _hold_still(ax, surface, Camera(elevation, float(azimuth)), 0.5)
        yield _pixels(figure)


def evolution_frames(
    surfaces: Sequence[Surface],
    *,
    names: Sequence[str] | None = None,
    metric: str | None = None,
    colormap: str = "landscape",
    pixels: int = 380,
) -> Iterator[Frame]:
    """One surface after the other, from above and as a relief: a surface along training.

    All frames share their levels, colours and heights, and the camera stands still.

    Args:
        surfaces: In order, for example from `surfaces_along`.
        names: What to write above each; default: the step and the value at the centre, for
            surfaces from `surfaces_along`.
        metric: Which metric of the surfaces; default: the first, the loss.
        colormap: ``landscape``, or the name of a matplotlib colour map.
        pixels: Width of the relief; a frame is about twice as wide.

    Raises:
        ValueError: If the numbers of surfaces and names differ, or there is none.

    >>> import landscape as ls
    >>> task = ls.load_task("digits/mlp")
    >>> objective = ls.Objective(task.model, task.loss, task.train, samples=32)
    >>> run = ls.Trajectory(ls.record_run(ls.Run("digits/mlp", "adam", steps=4), "adam.h5"))
    >>> surfaces = ls.surfaces_along(objective, run, steps=[0, 4], resolution=3)
    >>> len(list(ls.evolution_frames(surfaces)))
    2
    """
    metric = metric or next((surface.metrics[0] for surface in surfaces), "loss")
    names = [_centre(surface, metric) for surface in surfaces] if names is None else names
    if not surfaces or len(surfaces) != len(names):
        raise ValueError(f"Got {len(surfaces)} surfaces and {len(names)} names; give one each.")
    levels = contour_levels(
        np.concatenate([metric_of(surface, metric).ravel() for surface in surfaces])
    )
    for surface, name in zip(surfaces, names, strict=True):
        figure = Figure(figsize=(2.3 * pixels / 100, 1.05 * pixels / 100), dpi=100)
        figure.set_layout_engine("constrained")
        left, right = figure.subplots(1, 2)
        plot_surface(surface, metric=metric, levels=levels, colormap=colormap, ax=left)
        if "step" in surface.settings:
            left.plot(0, 0, "+", color="white", markersize=9, gid="centre")
        render_surface(
            surface, metric=metric, floor=levels[0], ceiling=levels[-1], view=_VIEW,
            colormap=colormap, pixels=pixels, ax=right,
        )  # fmt: skip
        _hold_still(right, surface, Camera(*_VIEW), 0.5)
        figure.suptitle(literal(name), fontsize="large")
        yield _pixels(figure)


def write_animation(
    frames: Iterable[Frame], path: str | os.PathLike[str], *, per_second: float = 12.0
) -> Path:
    """Write frames as ``.gif``, or as ``.mp4`` through the ffmpeg of the system.

    Args:
        frames: Pictures of one size.
        path: Where.
        per_second: Frames per second.

    Returns:
        The path.

    Raises:
        ValueError: If the suffix is neither, or there is no frame.
        FileExistsError: If something else than a film of this kind is there.
        FileNotFoundError: If an MP4 is wanted and ffmpeg is not installed.

    >>> import landscape as ls
    >>> task = ls.load_task("digits/mlp")
    >>> objective = ls.Objective(task.model, task.loss, task.train, samples=32)
    >>> surface = ls.loss_surface(objective, resolution=5)
    >>> ls.write_animation(ls.orbit_frames(surface, count=2, pixels=60), "turn.gif").name
    'turn.gif'
    """
    path = expanded(path)
    if path.suffix not in (".gif", ".mp4"):
        raise ValueError(f"An animation is written as .gif or .mp4; not {path.name!r}.")
    if path.suffix == ".mp4" and shutil.which("ffmpeg") is None:
        raise FileNotFoundError(
            "MP4 needs ffmpeg, which is not installed (Debian: apt install ffmpeg); write a .gif "
            "instead."
        )
    check_replaceable(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    pictures = [Image.fromarray(frame) for frame in frames]
    if not pictures:
        raise ValueError("No frame was given; an animation needs at least one.")
    if path.suffix == ".mp4":
        _write_mp4(pictures, path, per_second)
        return path
    palette = _palette(pictures)
    first, *rest = (p.quantize(palette=palette, dither=Image.Dither.NONE) for p in pictures)
    first.save(
        path, save_all=True, append_images=rest, duration=1000 / per_second, loop=0, optimize=True
    )
    return path


def _centre(surface: Surface, metric: str) -> str:
    """The step around which a surface was measured, and the value measured nearest to it."""
    values = metric_of(surface, metric)
    value = values[np.abs(surface.beta).argmin(), np.abs(surface.alpha).argmin()]
    return f"step {surface.settings.get('step', '?')}: {metric} {value:.3g} at the centre"


def _palette(pictures: Sequence[Image.Image]) -> Image.Image:
    """One palette for all frames, so that still parts do not flicker; rare colours count too."""
    some = [np.asarray(pictures[k]) for k in np.linspace(0, len(pictures) - 1, 6).astype(int)]
    colors, counts = np.unique(np.concatenate(some).reshape(-1, 3), axis=0, return_counts=True)
    seen = Image.fromarray(np.repeat(colors, counts.clip(max=40), axis=0)[None])
    entries = np.concatenate(
        [
            np.reshape(seen.quantize(share, method).getpalette() or [], (-1, 3))[:share]
            for method, share in ((Image.Quantize.MEDIANCUT, 176), (Image.Quantize.MAXCOVERAGE, 80))
        ]
    )
    ground = colors[counts.argmax()]
    near = np.abs(entries - ground.astype(int)).max(axis=1) <= 8
    entries[near] = ground  # stays exact
    palette = Image.new("P", (1, 1))
    palette.putpalette(entries.ravel().tolist())
    return palette


def _write_mp4(pictures: Sequence[Image.Image], path: Path, per_second: float) -> None:
    width, height = (side - side % 2 for side in pictures[0].size)  # H.264 wants even sides
    command = [
        "ffmpeg", "-y", "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "rgb24",
        "-s", f"{width}x{height}", "-r", str(per_second), "-i", "-", "-pix_fmt", "yuv420p",
        "-movflags", "+faststart", os.fspath(path.resolve()),
    ]  # fmt: skip
    data = b"".join(picture.crop((0, 0, width, height)).tobytes() for picture in pictures)
    done = subprocess.run(command, input=data, capture_output=True, check=False)
    if done.returncode:
        raise OSError(f"ffmpeg failed on {path}: {done.stderr.decode(errors='replace').strip()}")


def _hold_still(ax: Axes, surface: Surface, camera: Camera, height: float) -> None:
    """The same window for every azimuth: the circle around the ground, and the height above."""
    corners = Footprint.of(surface).corners
    middle = corners.mean(axis=0)
    radius = np.linalg.norm(corners - middle, axis=1).max()
    u, v, _ = camera.project(middle[:1], middle[1:], np.zeros(1))
    deep = radius * np.sin(np.radians(camera.elevation))
    ax.set_xlim(u[0] - radius, u[0] + radius)
    ax.set_ylim(v[0] - deep, v[0] + deep + height * np.cos(np.radians(camera.elevation)))


def _pixels(figure: Figure) -> Frame:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
