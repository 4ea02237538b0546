"""`landscape import | export`: files of other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Format = Annotated[
    str, typer.Option("--format", help="li2018: github.com/tomgoldstein/loss-landscape.")
]


def import_files(
    files: Annotated[
        list[Path], typer.Argument(help="Surfaces, lines, projected paths, directions (.h5).")
    ],
    out: Annotated[Path, typer.Option(help="Results file to write.")] = Path(
        "data/imported.results.h5"
    ),
    checkpoint: Annotated[
        Path | None,
        typer.Option(help="The network's state dict; directions then become a plane."),
    ] = None,
    kind: Format = "li2018",
) -> None:
    """Read another program's measurements, to draw and explore them here.

    Files of one plane find each other by their names: keep the names and the folder they came in.

    Example: landscape import nets/PCA_weights/*.h5 --out data/theirs.results.h5
    """
    from landscape.analysis import load_results
    from landscape.exchange.li2018 import read_all

    _check(kind)
    state = None
    if checkpoint is not None:
        from landscape.recording.checkpoints import load_state

        state = load_state(checkpoint)
    found = read_all(files, state=state)
    if out.exists() and (taken := sorted(set(found) & set(load_results(out)))):
        raise ValueError(f"{out} holds {', '.join(taken)} already; choose another --out.")
    for name, result in found.items():
        result.save(out, name)
        typer.echo(f"{out}: {name} from {result.provenance['source']}")


def export_result(
    file: Annotated[Path, typer.Argument(help="Results file (.results.h5).")],
    name: Annotated[str, typer.Argument(help="Which result, such as surface/pca.")],
    out: Annotated[Path, typer.Option(help="File to write.")] = Path("exported.h5"),
    kind: Format = "li2018",
) -> None:
    """Write a surface, a line or a projection in another program's format.

    Example: landscape export data/joint.results.h5 surface/pca --out surface.h5
    """
    from landscape.analysis import load_results
    from landscape.exchange.li2018_export import write

    _check(kind)
    results = load_results(file)
    if name not in results:
        raise ValueError(f"{file} has no {name!r}; it holds {', '.join(sorted(results))}.")
    write(results[name], out)
    typer.echo(f"{out}: {name} of {file}")


COMMANDS = {"import": import_files, "export": export_result}


def _check(kind: str) -> None:
    if kind != "li2018":
        raise ValueError(f"--format must be li2018; not {kind!r}.")
