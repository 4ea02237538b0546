"""The command line: record, measure, look. One module per group of commands.

A module is imported when one of its commands is used, so that help and mistakes are quick.
"""

from __future__ import annotations

import os
import re
import sys
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from landscape.base.distribution import VERSION
from landscape.base.suggest import did_you_mean

HELP = {  # module: name and a short help of each of its commands
    "record": {"record": "Train a task and record the parameters after every step."},
    "surface": {"surface": "Measure the loss on a plane, and project the runs on it."},
    "refine": {"refine": "Measure a region, a slice or a point of a plane, coarse first."},
    "measure": {
        "line": "Measure the loss on straight lines: does it fall, how high is its barrier.",
        "walk": "Measure the loss between consecutive recorded states (Xing et al. 2018).",
        "path": "Measure step lengths, angles between updates, distance from initialization.",
    },
    "barriers": {"barriers": "Measure the barriers between all pairs of runs."},
    "curve": {"curve": "Find a curve of low loss between two runs (Garipov et al. 2018)."},
    "curvature": {
        "curvature": "Measure the Hessian: its edges, trace and density; sharpness of a run."
    },
    "merge": {"merge": "Put the parts together that `landscape surface --shard I/N` measured."},
    "paths": {
        "project": "Project runs on a plane that was measured before.",
        "layers": "Measure weights and updates of every tensor: update-to-weight ratios.",
        "adaptive-rate": "Simulate the variance of Adam's adaptive rate over the first steps.",
    },
    "diagnose": {"diagnose": "Say what stands out in a run: numbers, thresholds, what to try."},
    "demo": {"demo": "Write a page from measurements that ship with the package; no training."},
    "look": {
        "plot": "Draw everything that results files hold.",
        "explore": "Write one offline page that links every panel to one step slider.",
        "info": "Say what a file holds, where it came from, and whether it is complete.",
    },
    "gallery": {"gallery": "Write a site about all that lies in a folder: index, pages, filters."},
    "watch": {"watch": "Show runs on a page while they are recorded."},
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
PANELS: dict[str, tuple[str, ...]] = {  # of the help; what is named nowhere measures
    "Start": ("demo", "record", "import", "list", "data", "help"),
    "Look": ("plot", "explore", "watch", "gallery", "info", "diagnose", "render", "animate"),
    "Exchange": ("merge", "mesh", "export"),
}
HELP_ITSELF = "Explain a command: landscape help surface."
HOMES = {name: module for module, names in HELP.items() for name in names}


class Commands(TyperGroup):
    """Commands that are imported when they are used; help and completion need their names only."""

    def __init__(self, **settings: Any) -> None:
        named = {name: text for names in HELP.values() for name, text in names.items()}
        named["help"] = HELP_ITSELF
        panels = {name: panel for panel, names in PANELS.items() for name in names}
        order = ("Start", "Measure", "Look", "Exchange")
        known = {
            name: TyperCommand(name, help=text, rich_help_panel=panels.get(name, "Measure"))
            for name, text in named.items()
        }
        listed = sorted(known, key=lambda name: order.index(panels.get(name, "Measure")))
        super().__init__(**{**settings, "commands": {name: known[name] for name in listed}})

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As usual, after putting the home folder in place of ``~`` where no shell has done so."""
        return super().parse_args(ctx, [_at_home(arg) for arg in args])

    def list_commands(self, ctx: Any) -> list[str]:
        """All names, in the order in which one meets them."""
        return list(self.commands)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that the arguments name, and what is left of them."""
        if args[0] == "help":
            if not args[1:]:
                typer.echo(ctx.get_help())
                raise typer.Exit
            args = [args[1], "--help"]
        name, command, rest = super().resolve_command(ctx, args)
        return name, loaded(name) if name in HOMES else command, rest


def _at_home(argument: str) -> str:
    option, equals, value = argument.rpartition("=")
    named = option.startswith("--") or not option
    return option + equals + os.path.expanduser(value) if named else argument


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


_CHOICE = re.compile(r"for '([^']+?)'.*: .*?'([^']*)' is not one of (.*)")
UsageError: Any = typer.BadParameter.__base__  # of the click that this typer brings or uses
_OPTIONS: dict[str, Any] = {
    "pretty_exceptions_enable": False,
    "context_settings": {"help_option_names": ["-h", "--help"]},
}
app: typer.Typer = typer.Typer(
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
        sys.exit(app(prog_name="landscape", standalone_mode=False) or 0)
    except UsageError as error:
        sys.exit(_misused(error))
    except typer.Abort:
        sys.exit(130)
    except (ValueError, OSError, ImportError) as error:
        if "--debug" in sys.argv:
            raise
        sys.exit(_failed(error))


def _misused(error: Any) -> int:
    """What click found wrong with the words themselves."""
    context, message = error.ctx, error.format_message()
    if type(error).__name__ == "NoArgsIsHelpError":
        return 2  # it has shown the help
    if found := _CHOICE.search(message):
        option, given, allowed = found.groups()
        names = re.findall(r"'([^']+)'", allowed)
        message = f"{option} must be one of {', '.join(names)}; not {given!r}."
        message += did_you_mean(given, names)
    where = context.command_path if context is not None else "landscape"
    message = " ".join(message.split())
    print(f"{where}: {message} See: {where} --help", file=sys.stderr)
    return 2


def _failed(error: Exception) -> int:
    text = " ".join(str(error).split()) or type(error).__name__
    print(f"landscape: {text}", file=sys.stderr)
    return 2
