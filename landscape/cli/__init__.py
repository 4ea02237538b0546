"""The command line: record, measure, look. One module per group of commands.

A module is imported when one of its commands is used, so that help and mistakes are quick.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from landscape.base.distribution import VERSION

HELP = {  # module: name and a short help of each of its commands
    "record": {"record": "Train a task and record the parameters after every step."},
    "surface": {"surface": "Measure the loss on a plane, and project the runs on it."},
    "measure": {
        "line": "Measure the loss on straight lines: does it fall, how high is its barrier.",
        "walk": "Measure the loss between consecutive recorded states (Xing et al. 2018).",
        "path": "Measure step lengths, angles between updates, distance from initialization.",
    },
    "curvature": {
        "curvature": "Measure the Hessian: its edges, trace and density; sharpness of a run."
    },
    "merge": {"merge": "Put the parts together that `landscape surface --shard I/N` measured."},
    "paths": {
        "project": "Project runs on a plane that was measured before.",
        "layers": "Measure weights and updates of every tensor: update-to-weight ratios.",
        "adaptive-rate": "Simulate the variance of Adam's adaptive rate over the first steps.",
    },
    "look": {
        "plot": "Draw everything that results files hold.",
        "explore": "Write one offline page that links every panel to one step slider.",
        "info": "Say what a file holds, where it came from, and whether it is complete.",
    },
    "scenes": {
        "render": "Draw a surface as a shaded relief, with the paths on its plane.",
        "mesh": "Write a surface and its paths as a mesh, for ParaView, Blender and the like.",
        "animate": "Make a film: the runs walking over a surface, or a flight around it.",
    },
    "exchange": {
        "import": "Make a run of checkpoints, or read another program's measurements.",
        "export": "Write a surface, a line or a projection in another program's format.",
    },
    "data": {
        "list": "List the names that can be recorded: optimizers, schedules, tasks, data sets.",
        "data": "Download data sets.",
    },
}
HOMES = {name: module for module, names in HELP.items() for name in names}


class Commands(TyperGroup):
    """Commands that are imported when they are used; help and completion need their names only."""

    def __init__(self, **settings: Any) -> None:
        named = {name: text for names in HELP.values() for name, text in names.items()}
        known = {name: TyperCommand(name, help=text) for name, text in named.items()}
        super().__init__(**{**settings, "commands": known})

    def list_commands(self, ctx: Any) -> list[str]:
        """All names, in the order in which one meets them."""
        return list(self.commands)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that the arguments name, and what is left of them."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, loaded(name) if name in HOMES else command, rest


def loaded(name: str) -> Any:
    """A command, from its module."""
    module = import_module(f"landscape.cli.{HOMES[name]}")
    single = module.COMMANDS[name]
    if not isinstance(single, typer.Typer):
        function, single = single, typer.Typer(**_OPTIONS, add_completion=False)
        single.command(name)(function)
    command = typer.main.get_command(single)
    command.name = name
    return command


_OPTIONS: dict[str, Any] = {
    "pretty_exceptions_enable": False,
    "context_settings": {"help_option_names": ["-h", "--help"]},
}
app = typer.Typer(
    cls=Commands,
    name="landscape",
    help="What did the optimizer walk through? Record a run, measure the loss around it, look.",
    epilog="Try:  landscape record digits/mlp --optimizer adam  &&  landscape surface data/adam.h5",
    no_args_is_help=True,
    **_OPTIONS,
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"landscape {VERSION}")
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
