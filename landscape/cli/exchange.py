"""`landscape import | export`: files of other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer


def import_files(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="Checkpoints (.pt, .pth, .ckpt, .safetensors, checkpoint-*), in any order; or "
            "files of the program that --format names."
        ),
    ],
    kind: Annotated[
        Literal["checkpoints", "li2018"],
        typer.Option("--format", help="li2018: github.com/tomgoldstein/loss-landscape."),
    ] = "checkpoints",
    out: Annotated[
        Path | None,
        typer.Option(help="Default: data/imported.h5; data/imported.results.h5 for li2018."),
    ] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(help="li2018: the network's state dict; directions then become a plane."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing run.")
    ] = False,
) -> None:
    """Make a run of checkpoints, or read another program's measurements, to go on with here.

    Checkpoints become the states of one run, in natural order of their names. Files of the 2018
    tool find each other by their names: keep the names and the folder they came in.

    Example: landscape import checkpoints/epoch_*.pt --out data/mine.h5

    Example: landscape import --format li2018 nets/PCA_weights/*.h5 --out data/theirs.results.h5
    """
    if kind == "li2018":
        _import_li2018(files, out or Path("data/imported.results.h5"), checkpoint)
    else:
        _import_checkpoints(files, out or Path("data/imported.h5"), overwrite)


def export_result(
    file: Annotated[Path, typer.Argument(help="Results file (.results.h5).")],
    name: Annotated[str, typer.Argument(help="Which result, such as surface/pca.")],
    out: Annotated[Path, typer.Option(help="File to write.")] = Path("exported.h5"),
    kind: Annotated[
        Literal["li2018"],
        typer.Option("--format", help="li2018: github.com/tomgoldstein/loss-landscape."),
    ] = "li2018",
) -> None:
    """Write a surface, a line or a projection in another program's format.

    Example: landscape export data/joint.results.h5 surface/pca --out surface.h5
    """
    from landscape.analysis import load_results
    from landscape.exchange.li2018_export import write

    results = load_results(file)
    if name not in results:
        raise ValueError(f"{file} has no {name!r}; it holds {', '.join(sorted(results))}.")
    write(results[name], out)
    typer.echo(f"{out}: {name} of {file}")


COMMANDS = {"import": import_files, "export": export_result}


def _import_checkpoints(files: list[Path], out: Path, overwrite: bool) -> None:
    from landscape.recording.imported import import_checkpoints
    from landscape.trajectory import Trajectory

    run = Trajectory(import_checkpoints(files, out, overwrite=overwrite))
    typer.echo(
        f"{out}: {len(run)} states of {run.layout.size:,} parameters, "
        f"steps {run.steps[0]} to {run.steps[-1]}"
    )


def _import_li2018(files: list[Path], out: Path, checkpoint: Path | None) -> None:
    from landscape.analysis import load_results
    from landscape.exchange.li2018 import read_all

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
