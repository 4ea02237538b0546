"""The options that say who measures what: processes, devices, a cluster, parts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from landscape.cli.options.device import chosen_device

if TYPE_CHECKING:
    from landscape.objective.workers.engine import Engine

Name = Annotated[
    Literal["processes", "ray"],
    typer.Option("--engine", help="Who measures: this machine, or Ray.", case_sensitive=False),
]
Count = Annotated[int, typer.Option("--processes", help="Processes, or Ray actors.")]
Devices = Annotated[
    str | None, typer.Option(help="One process on each of these, such as cuda:0,cuda:1.")
]
Address = Annotated[
    str | None, typer.Option("--ray-address", help="A running Ray cluster; default: this machine.")
]
Share = Annotated[
    float, typer.Option("--gpus-per-worker", help="Share of a GPU for each Ray actor.")
]


Units = Annotated[
    str | None,
    typer.Option(
        help="Folder that keeps what is finished: the same command then goes on after a crash."
    ),
]
Shard = Annotated[
    str, typer.Option(help="Measure part I of N, as I/N; all parts share one --units folder.")
]


GO_ON = "when all parts are done, the same command without --shard puts them together"


@dataclass(frozen=True)
class Engines:
    """Who measures, and where what is finished is kept."""

    processes: Count = 1
    devices: Devices = None
    engine: Name = "processes"
    ray_address: Address = None
    gpus_per_worker: Share = 0.0
    units: Units = None

    def device(self, name: str) -> str:
        """The device of this process, where ``--device`` says `name`."""
        return self.devices.partition(",")[0] if self.devices else chosen_device(name)

    def chosen(self, device: str) -> Engine | None:
        """The engine that is asked for; None is this process, which has this device."""
        return chosen_engine(
            self.engine, count=self.processes, devices=self.devices, device=device,
            address=self.ray_address, share=self.gpus_per_worker,
        )  # fmt: skip

    def folder(self, part: str | None = None) -> Path | None:
        """Where what is finished is kept, of one of several measurements if `part` names it."""
        return None if self.units is None else Path(self.units) / (part or "")


@dataclass(frozen=True)
class Workers(Engines):
    """Who measures, and which part."""

    shard: Shard = "1/1"

    def given(self, device: str, *, part: str | None = None) -> dict[str, Any]:
        """The arguments `units`, `engine` and `shard` of what measures.

        Args:
            device: Of this process.
            part: Where in the folder of units this measurement is kept, if there are several.

        Raises:
            ValueError: If options are unknown, contradict each other, or ask for absent devices.
        """
        shard = part_of(self.shard)
        if self.units is None and shard != (0, 1):
            raise ValueError("--shard needs --units, a folder in which the parts come together.")
        return {"units": self.folder(part), "engine": self.chosen(device), "shard": shard}


def chosen_engine(
    name: str, *, count: int, devices: str | None, device: str, address: str | None, share: float
) -> Engine | None:
    """The engine that the options ask for; None is this process.

    Raises:
        ValueError: If they are unknown, contradict each other, or ask for absent devices.
    """
    if count < 1:
        raise ValueError(f"--processes must be at least 1; got {count}.")
    if name == "ray":
        from landscape.objective.workers.ray_actors import RayActors

        if devices:
            raise ValueError("--devices goes with processes; with --engine ray, Ray gives devices.")
        return RayActors(count, address=address, gpus_per_worker=share)
    if name != "processes":
        raise ValueError(f"--engine must be one of processes, ray; not {name!r}.")
    if address or share:
        raise ValueError("--ray-address and --gpus-per-worker go with --engine ray.")
    if devices is None and count == 1:
        return None
    from landscape.objective.workers.processes import Processes

    named = tuple(devices.split(",")) if devices else (device,)
    if count > 1 and len(named) > 1:
        raise ValueError("Give --processes or several --devices: one process runs on each device.")
    return Processes(named if len(named) > 1 else named * count)


def part_of(text: str) -> tuple[int, int]:
    """``2/8``: which part of how many, counted from zero."""
    index, _, count = text.partition("/")
    if not (index.isdigit() and count.isdigit() and 1 <= int(index) <= int(count)):
        raise ValueError(f"--shard must be I/N with 1 ≤ I ≤ N, for example 2/8; not {text!r}.")
    return int(index) - 1, int(count)
