"""The options that say who measures what: processes, devices, a cluster, parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

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
