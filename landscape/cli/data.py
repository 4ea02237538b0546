"""`landscape data fetch` and `landscape list`: what there is to train, and getting it."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

app: typer.Typer = typer.Typer(
    help="Download data sets.", no_args_is_help=True, add_completion=False
)


class Kind(StrEnum):
    """What can be listed."""

    optimizers = "optimizers"
    schedules = "schedules"
    tasks = "tasks"
    data = "data"


@app.command()
def fetch(
    names: Annotated[list[str], typer.Argument(help="Data sets; see `landscape list data`.")],
    root: Annotated[Path, typer.Option(help="Folder of data sets.")] = Path("data"),
    url: Annotated[str | None, typer.Option(help="Fetch from this folder of a mirror.")] = None,
) -> None:
    """Download data sets into data/NAME and check them.

    Example: landscape data fetch fashion-mnist
    """
    from landscape.tasks.fetch import fetch_data

    for name in names:
        for path in fetch_data(name, root=root, url=url):
            typer.echo(path)


@app.callback()
def data() -> None:
    """Download data sets."""


def list_names(
    kind: Annotated[
        Kind, typer.Argument(help="What to list.", case_sensitive=False)
    ] = Kind.optimizers,
    as_json: Annotated[bool, typer.Option("--json", help="The same for programs.")] = False,
) -> None:
    """List the names that can be recorded: optimizers, schedules, tasks, data sets.

    Example: landscape list optimizers
    """
    lines = _lines(kind)
    typer.echo(json.dumps(lines, indent=1, ensure_ascii=False) if as_json else "\n".join(lines))


def _lines(kind: Kind) -> list[str]:
    if kind == Kind.optimizers:
        from landscape.optim.registry import OPTIMIZERS

        return [
            f"{e.name:<19} lr {e.lr:<7g} {e.title}: {e.source}"
            + (f"; {e.note}" if e.note else "")
            + (f"; needs the extra {e.extra!r}" if e.extra else "")
            for e in OPTIMIZERS.values()
        ]
    if kind == Kind.schedules:
        from landscape.training.schedules import NAMES

        return list(NAMES)
    if kind == Kind.tasks:
        from landscape.tasks import HELP, task_names

        return [*task_names(), HELP]
    from landscape.tasks.fetch import SOURCES

    return [f"{name}: {source.note}; {source.url}" for name, source in SOURCES.items()]


COMMANDS: dict[str, Any] = {"list": list_names, "data": app}
