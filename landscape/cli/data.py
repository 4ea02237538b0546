"""`landscape data`: the data sets that tasks use."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Download data sets, or list them.", no_args_is_help=True)


@app.command()
def fetch(
    names: Annotated[list[str], typer.Argument(help="Data sets; see `landscape data list`.")],
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


@app.command("list")
def list_() -> None:
    """List the data sets, their size and licence.

    Example: landscape data list
    """
    from landscape.tasks.fetch import SOURCES

    for name, source in SOURCES.items():
        typer.echo(f"{name}: {source.note}; {source.url}")
