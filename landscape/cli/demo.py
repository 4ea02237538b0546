"""`landscape demo`: a page at once, from measurements that ship with the package."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from landscape.cli.checks import check_suffix
from landscape.cli.look import say_page


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="The page to write.")] = Path(
        "landscape-demo.html"
    ),
    open_: Annotated[
        bool, typer.Option("--open", help="Open the page in a browser when it is written.")
    ] = False,
) -> None:
    """Write a page from measurements that ship with the package; nothing is trained.

    Three optimizers on one plane of a small network for the digits of scikit-learn.

    Example: landscape demo --open
    """
    check_suffix(out, (".html", ".htm"), "A page")
    from importlib.resources import as_file, files

    from landscape.explorer.build import explore

    with as_file(files("landscape.explorer").joinpath("demo.results.h5")) as results:
        say_page(explore(results, out, title="Three optimizers on the digits"), open_)
    typer.echo("next: landscape record digits/mlp   (or your own model: see the README)")


COMMANDS = {"demo": demo}
