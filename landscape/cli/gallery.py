"""`landscape gallery`: a folder of runs and results as a static site."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from landscape.cli.checks import check_folder, check_there


def gallery(
    folder: Annotated[Path, typer.Argument(help="Where recorded runs and results are.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the site.")] = Path("site"),
    title: Annotated[str | None, typer.Option(help="Headline of the index.")] = None,
    open_: Annotated[
        bool, typer.Option("--open", help="Open the index in a browser when it is written.")
    ] = False,
) -> None:
    """Write a site about all runs and results in a folder: an index, and a page for each.

    It opens from disk, and any static host serves it.

    Example: landscape gallery data --out site
    """
    check_there([folder])
    check_folder(out, (".html", ".htm", ".h5"))
    from landscape.explorer.gallery import gallery as write

    index = write(folder, out, title=title)
    pages = sum(1 for _ in out.rglob("*.html")) - 1
    typer.echo(f"{index}: {pages} page{'s' if pages != 1 else ''}; open it in a browser")
    if open_:
        import webbrowser

        webbrowser.open(index.absolute().as_uri())


COMMANDS = {"gallery": gallery}
