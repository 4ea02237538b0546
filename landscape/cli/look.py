"""`landscape plot | explore | info`: look at what was recorded and measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from landscape.cli.checks import check_folder, check_suffix, check_there, say_live

Files = Annotated[
    list[Path], typer.Argument(help="Results files (.results.h5), or recorded runs (.h5).")
]


def plot(
    files: Files,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the figures.")] = Path(
        "figures"
    ),
    formats: Annotated[
        str, typer.Option("--format", help="png, pdf, svg; separated by commas.")
    ] = "png,pdf",
    style: Annotated[
        str,
        typer.Option(
            help="Widths and type of neurips, iclr, icml, acl, ieee, jmlr; paper, slides, poster."
        ),
    ] = "paper",
    interactive: Annotated[
        bool, typer.Option("--interactive", help="Write plotly figures (HTML) as well.")
    ] = False,
) -> None:
    """Draw everything that results files hold; several files get a folder each.

    Of a recorded run, what the recorder measured at every step. Beside a PDF lies its LaTeX.

    Example: landscape plot data/joint.results.h5 --out figures --style neurips
    """
    check_there(files)
    check_folder(out, (".png", ".pdf", ".svg", ".jpg", ".html"))
    names = [file.name.removesuffix(".h5") for file in files]
    if len({name.lower() for name in names}) < len(names):
        raise ValueError(
            "Two of the files have the same name, and so would the folders of their figures; draw "
            "them apart, each with its own --out."
        )
    from landscape.plots.results import plot_results

    for file, name in zip(files, names, strict=True):
        folder = out if len(files) == 1 else out / name
        results = shown_of(file)
        written = plot_results(
            results, folder, formats=formats.lower().split(","), style=style.lower()
        )
        for figure, sentence in written:
            typer.echo(f"{figure}: {sentence}")
        if interactive:
            from landscape.plots.interactive import write_figures

            for page in write_figures(results, folder):
                typer.echo(f"{page}: interactive")


def explore(
    files: Files,
    out: Annotated[Path, typer.Option("--out", "-o", help="The page to write.")] = Path(
        "figures/explorer.html"
    ),
    title: Annotated[str | None, typer.Option(help="Title of the page.")] = None,
    description: Annotated[str | None, typer.Option(help="A sentence below the title.")] = None,
    open_: Annotated[
        bool, typer.Option("--open", help="Open the page in a browser when it is written.")
    ] = False,
    plotlyjs: Annotated[
        Literal["inline", "inline-raw", "directory", "cdn"] | None,
        typer.Option(help="Does nothing any more: the page holds no plotly.js.", hidden=True),
    ] = None,
) -> None:
    """Write one offline page that links every panel to one step slider.

    Example: landscape explore data/joint.results.h5 --out figures/explorer.html
    """
    check_there(files)
    check_suffix(out, (".html", ".htm"), "A page")
    from landscape.explorer.build import explore as build_page

    if plotlyjs is not None:
        typer.echo("--plotlyjs does nothing any more: the page draws by itself. Leave it out.")
    shown: Any = shown_of(files[0]) if len(files) == 1 else _several(files)
    page = build_page(shown, out, title=title, description=description)
    say_page(page, open_)


def _several(files: list[Path]) -> list[Path]:
    from landscape.base.runs.reading import is_written
    from landscape.base.runs.trajectory import Trajectory

    for file in files:
        if is_written(file):
            say_live(Trajectory(file))
    return files


def info(
    file: Annotated[Path, typer.Argument(help="A recorded run or a results file.")],
    as_json: Annotated[bool, typer.Option("--json", help="The same for programs.")] = False,
) -> None:
    """Say what a file holds, where it came from, and whether it is complete.

    Example: landscape info data/adam.h5
    """
    check_there([file])
    from landscape.cli.describe import describe, told

    if as_json:
        typer.echo(json.dumps(told(file), indent=1))
        return
    for text in describe(file):
        typer.echo(text)


def shown_of(file: Path) -> dict[str, Any]:
    """Results of a file; of a run what was recorded, or else what its states say."""
    from landscape.base.runs.trajectory import Trajectory
    from landscape.results.recorded import is_run, named_results

    if not is_run(file):
        return named_results(file)
    run = Trajectory(file)
    say_live(run)
    try:
        return named_results(run)
    except ValueError:  # recorded without numbers of every step, or imported
        from landscape.analysis.motion.path import path_metrics

        return {f"path/{file.stem}": path_metrics(run)}


def say_page(page: Path, open_: bool) -> None:
    """Say where a page is, and open it where that was asked for."""
    typer.echo(f"{page}: {page.stat().st_size / 2**20:.1f} MB; open it in a browser")
    if open_:
        import webbrowser

        webbrowser.open(page.absolute().as_uri())


COMMANDS: dict[str, Any] = {"plot": plot, "explore": explore, "info": info}
