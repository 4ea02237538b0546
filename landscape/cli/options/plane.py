"""The options of `landscape surface`: which plane, what error is accepted, who measures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import typer

from landscape.cli.options.engine import Workers
from landscape.cli.options.measuring import numbers, share


@dataclass(frozen=True)
class Place:
    """Which plane, and how much of it."""

    plane: Annotated[
        Literal["pca", "random", "eigen"] | None,
        typer.Option(
            case_sensitive=False,
            help="pca (joint for several runs), random or eigen (around the first run's end; "
            "eigen: along the Hessian's two largest eigenvectors). Default: pca, or random where "
            "there are fewer than three states.",
        ),
    ] = None
    resolution: Annotated[str, typer.Option(help="Points per axis: 51, or 41x61 (x by y).")] = "51"
    coarse_first: Annotated[
        bool,
        typer.Option("--coarse-first", help="Save every fourth point first, then every second."),
    ] = False
    extent: Annotated[
        str | None,
        typer.Option(help="trajectory, R for [-R, R]², or X0,X1,Y0,Y1. Default: fits the plane."),
    ] = None
    origin: Annotated[
        Literal["mean", "initial", "final"] | None,
        typer.Option(help="Point at (0, 0) for pca.", case_sensitive=False),
    ] = None

    @property
    def box(self) -> Any:
        """The extent as `loss_surface` takes it; None where none was given."""
        return None if self.extent is None else _extent(self.extent)


@dataclass(frozen=True)
class Accuracy:
    """What error is accepted, if any."""

    tolerance: Annotated[
        str | None,
        typer.Option(
            help="Accept an error of this share of the surface's range, such as 1%: saves samples "
            "and points, and says what error was observed."
        ),
    ] = None
    budget: Annotated[
        float | None,
        typer.Option(help="Instead: the smallest error that so many passes over the data give."),
    ] = None

    @property
    def share(self) -> float | None:
        """The tolerance as a share of one."""
        return None if self.tolerance is None else share(self.tolerance, "--tolerance")


@dataclass(frozen=True)
class SurfaceWorkers(Workers):
    """Who measures which part; parts can also be merged afterwards."""

    shard: Annotated[
        str,
        typer.Option(help="Measure part I of N, as I/N; share --units, or landscape merge them."),
    ] = "1/1"


def _extent(text: str) -> Any:
    if text == "trajectory":
        return text
    try:
        found = numbers(text, 4 if "," in text else 1, "--extent")
    except ValueError:
        raise ValueError(
            f"--extent takes trajectory, R for [-R, R]², or X0,X1,Y0,Y1 (4 numbers); not {text!r}."
        ) from None
    if len(found) == 1:
        return found[0]
    if not (found[0] < found[1] and found[2] < found[3]):
        raise ValueError(f"--extent {text} is empty; give X0 < X1, Y0 < Y1.")
    return found
