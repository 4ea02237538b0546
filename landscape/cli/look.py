"""`landscape plot | explore | info`: look at what was recorded and measured."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

Files = Annotated[list[Path], typer.Argument(help="Results files (.results.h5).")]


def plot(
    files: Files,
    out: Annotated[Path, typer.Option(help="Folder for the figures.")] = Path("figures"),
    formats: Annotated[
        str, typer.Option("--format", help="png, pdf, svg; separated by commas.")
    ] = "png,pdf",
    interactive: Annotated[
        bool, typer.Option("--interactive", help="Write plotly figures (HTML) as well.")
    ] = False,
) -> None:
    """Draw everything that results files hold; several files get a folder each.

    Example: landscape plot data/joint.results.h5 --out figures
    """
    from landscape.plots.results import plot_results
    from landscape.results.registry import load_results

    names = [file.name.removesuffix(".h5") for file in files]
    if len({name.lower() for name in names}) < len(names):
        raise ValueError(
            "Two of the files have the same name, and so would the folders of their figures; draw "
            "them apart, each with its own --out."
        )
    for file, name in zip(files, names, strict=True):
        folder = out if len(files) == 1 else out / name
        written = plot_results(load_results(file), folder, formats=formats.split(","))
        for figure, sentence in written:
            typer.echo(f"{figure}: {sentence}")
        if interactive:
            from landscape.plots.interactive import write_figures

            for page in write_figures(load_results(file), folder):
                typer.echo(f"{page}: interactive")


def explore(
    files: Files,
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("figures/explorer.html"),
    title: Annotated[str | None, typer.Option(help="Title of the page.")] = None,
    description: Annotated[str | None, typer.Option(help="A sentence below the title.")] = None,
    plotlyjs: Annotated[
        Literal["inline", "inline-raw", "directory", "cdn"] | None,
        typer.Option(help="Does nothing any more: the page holds no plotly.js.", hidden=True),
    ] = None,
) -> None:
    """Write one offline page that links every panel to one step slider.

    Example: landscape explore data/joint.results.h5 --out figures/explorer.html
    """
    from landscape.explorer.build import explore as build_page

    if plotlyjs is not None:
        typer.echo("--plotlyjs does nothing any more: the page draws by itself. Leave it out.")
    page = build_page(list(files), out, title=title, description=description)
    typer.echo(f"{page}: {page.stat().st_size / 2**20:.1f} MB; open it in a browser")


def info(
    file: Annotated[Path, typer.Argument(help="A recorded run or a results file.")],
) -> None:
    """Say what a file holds, where it came from, and whether it is complete.

    Example: landscape info data/adam.h5
    """
    from landscape.cli.describe import describe

    for text in describe(file):
        typer.echo(text)


COMMANDS = {"plot": plot, "explore": explore, "info": info}
