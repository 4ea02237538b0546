"""`landscape refine`: a region, a slice or a point of a plane that was measured, coarse first."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from landscape.cli.checks import check_there
from landscape.cli.options import measuring as inputs
from landscape.cli.options.device import chosen_device
from landscape.cli.options.measuring import Device, Measuring, Out, Seed
from landscape.cli.options.records import expanded

if TYPE_CHECKING:
    from landscape.analysis.on_demand import Request
    from landscape.base.result import Result
    from landscape.results.affine import Plane
    from landscape.results.seeded import SeededPlane

_CALLED = {"surface": "surface/region", "slice": "line/slice"}
_ASKED = re.compile(r"/(?:region|slice)-(\d+)$")


@dataclass(frozen=True)
class Asked:
    """What of the plane; one of the three."""

    region: Annotated[str | None, typer.Option(help="X0,X1,Y0,Y1 in coordinates of the plane.")] = (
        None
    )
    slice: Annotated[
        str | None, typer.Option(help="X,Y,X,Y: the straight line between two points.")
    ] = None
    point: Annotated[str | None, typer.Option(help="X,Y: the loss there; nothing is saved.")] = None
    resolution: Annotated[int, typer.Option(help="Points per axis; the next 4 k + 1.")] = 25

    @property
    def request(self) -> Request:
        """What is asked for.

        Raises:
            ValueError: If it is nothing, several things, or no numbers.
        """
        options = [("surface", "--region", self.region, 4), ("slice", "--slice", self.slice, 4),
                   ("point", "--point", self.point, 2)]  # fmt: skip
        given = [(kind, text, n, name) for kind, name, text, n in options if text is not None]
        if len(given) != 1:
            raise ValueError("Give one of --region X0,X1,Y0,Y1, --slice X,Y,X,Y and --point X,Y.")
        ((kind, text, count, name),) = given
        place = inputs.numbers(text, count, name)
        from landscape.analysis.on_demand import Request

        return Request.of({"kind": kind, "place": place, "resolution": self.resolution})


@expanded
def refine(
    run: Annotated[Path, typer.Argument(help="A recorded run (.h5) with a surface.")],
    on: Annotated[
        str | None, typer.Option(help="The surface whose plane is meant; default: the first one.")
    ] = None,
    asked: Asked = Asked(),
    out: Out = None,
    measuring: Measuring = Measuring(),
    device: Device = "auto",
    seed: Seed = 0,
) -> None:
    """Measure a region, a slice or a point of a plane on which a surface was measured.

    Every fourth point along each axis is measured first, then every second, then all; each time the
    results are saved, as surface/region-1, line/slice-2, ...

    Example: landscape refine data/adam.h5 --region -0.2,0.2,-0.1,0.1
    """
    request = asked.request
    check_there([run])
    runs = inputs.open_runs([run])
    path = inputs.results_path(runs, out)
    name, plane, count = _plane(path, on, run)
    objective = measuring.objective(runs, device=chosen_device(device), seed=seed)
    from landscape.analysis.on_demand import measured_on_demand

    key = f"{_CALLED.get(request.kind, '')}-{count + 1}"
    for stage in measured_on_demand(objective, plane, request):
        if request.kind == "point":
            typer.echo(_said(stage, name))
            return
        stage.save(path, key)
        typer.echo(f"{path}: {key}, {stage.loss.size:,} points")
    typer.echo(f"next: landscape explore {path} --open")


COMMANDS: dict[str, Any] = {"refine": refine}


def _plane(path: Path, on: str | None, run: Path) -> tuple[str, Plane | SeededPlane, int]:
    """The surface that is meant, its plane, and how many things were asked for before.

    Raises:
        ValueError: If there is no such surface, or its plane was not stored.
    """
    from landscape.results.affine import Plane
    from landscape.results.registry import load_results
    from landscape.results.seeded import SeededPlane
    from landscape.results.surface import Surface

    held: dict[str, Result] = load_results(path) if path.exists() else {}
    surfaces = {k: r for k, r in held.items() if isinstance(r, Surface) and k[:10] != "unfinished"}
    if not surfaces:
        raise ValueError(f"{path} holds no surface; measure one first: landscape surface {run}")
    name = on or min(surfaces, key=lambda k: bool(_ASKED.search(k)))
    if name not in surfaces:
        raise ValueError(f"{path} holds no surface {name!r}; it holds {', '.join(surfaces)}.")
    wanted = surfaces[name].provenance.get("plane_hash")
    numbers = [int(found[1]) for k in held if (found := _ASKED.search(k))]
    for plane in held.values():
        if isinstance(plane, Plane | SeededPlane) and plane.digest == wanted:
            return name, plane, max(numbers, default=0)
    raise ValueError(
        f"{path} no longer holds the plane of {name}, only what was measured on it; name a surface "
        "that was measured later, or measure one: landscape surface."
    )


def _said(point: Any, name: str) -> str:
    error = float(point.standard_error[0, 0, 0])
    sure = f" ± {error:.2g}" if error > 0 else ""
    return f"{point.metrics[0]} at {point.names[0]} of {name}: {point.loss[0, 0]:.6g}{sure}"
