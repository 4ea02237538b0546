"""The command line: record, measure, look. One module per group of commands."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from landscape.cli import (
    curvature,
    data,
    exchange,
    look,
    measure,
    merge,
    paths,
    record,
    scenes,
    surface,
)
from landscape.provenance import version as version_of

app = typer.Typer(
    name="landscape",
    help="What did the optimizer walk through? Record a run, measure the loss around it, look.",
    epilog="Try:  landscape record digits/mlp --optimizer adam  &&  landscape surface data/adam.h5",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for module in (record, surface, measure, curvature, merge, paths, look, scenes, exchange, data):
    for name, command in module.COMMANDS.items():
        app.command(name)(command)
app.add_typer(data.app, name="data")


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"landscape {version_of('landscape')}")
        raise typer.Exit


@app.callback()
def options(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the full traceback of an error.")
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_version, help="Say the version.")
    ] = False,
) -> None:
    """What did the optimizer walk through? Record a run, measure the loss around it, look."""


def main() -> None:
    """Run the command line; what the user can mend is one line and exit code 2."""
    try:
        app()
    except (ValueError, OSError) as error:
        if "--debug" in sys.argv:
            raise
        sys.exit(_failed(error))


def _failed(error: Exception) -> int:
    text = " ".join(str(error).split()) or type(error).__name__
    print(f"landscape: {text}", file=sys.stderr)
    return 2
