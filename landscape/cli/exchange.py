"""`landscape import | export`: files of other programs."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from landscape.base.suggest import did_you_mean
from landscape.cli import names
from landscape.cli.checks import check_data_file, check_there


def import_files(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="Checkpoints (.pt, .pth, .ckpt, .safetensors, checkpoint-*), or one; or files of "
            "the program that --format names."
        ),
    ],
    kind: Annotated[
        Literal["checkpoints", "li2018"],
        typer.Option("--format", help="li2018: github.com/tomgoldstein/loss-landscape."),
    ] = "checkpoints",
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="Default: data/imported.h5; data/imported.results.h5 for li2018."
        ),
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(
            help="Task of the checkpoints, data/model or package.module:function: its model says "
            "what is a parameter and what a buffer, and which axis counts filters."
        ),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(help="Which state dict, where a file holds several, such as ema or models.g."),
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

    Checkpoints become the states of one run, in the order of the number that tells their names
    apart, else in the order given. Folders of language models of Hugging Face say themselves which
    of their tensors are parameters. Files of the 2018 tool find each other by their names: keep the
    names and the folder they came in.

    Example: landscape import checkpoints/epoch_*.pt --out data/mine.h5

    Example: landscape import pythia-70m/step*/ --out data/pythia.h5

    Example: landscape import --format li2018 nets/PCA_weights/*.h5 --out data/theirs.results.h5
    """
    check_there(files)
    if task is not None:
        names.check_task(task)
    check_data_file(out, "A run")
    if kind == "li2018":
        _import_li2018(files, out or Path("data/imported.results.h5"), checkpoint)
    else:
        _import_checkpoints(files, out or Path("data/imported.h5"), overwrite, task, key)


def export_result(
    file: Annotated[Path, typer.Argument(help="Results file (.results.h5).")],
    name: Annotated[
        str,
        typer.Argument(help="Which result, such as surface/pca.", autocompletion=names.results),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write.")] = Path("exported.h5"),
    kind: Annotated[
        Literal["li2018"],
        typer.Option("--format", help="li2018: github.com/tomgoldstein/loss-landscape."),
    ] = "li2018",
) -> None:
    """Write a surface, a line or a projection in another program's format.

    Example: landscape export data/joint.results.h5 surface/pca --out surface.h5
    """
    check_there([file])
    from landscape.exchange.li2018.writer import write
    from landscape.results.registry import load_results

    results = load_results(file)
    if name not in results:
        near = did_you_mean(name, results)
        raise ValueError(f"{file} has no {name!r}; it holds {', '.join(sorted(results))}.{near}")
    write(results[name], out)
    typer.echo(f"{out}: {name} of {file}")


COMMANDS: dict[str, Any] = {"import": import_files, "export": export_result}


def _import_checkpoints(
    files: list[Path], out: Path, overwrite: bool, task: str | None, key: str | None
) -> None:
    from landscape.base.runs.trajectory import Trajectory
    from landscape.exchange.checkpoints.run import import_checkpoints
    from landscape.tasks import load_task

    model = _language_model(files) if task is None else load_task(task, seed=0).model
    settings = {} if task is None else {"task": task}
    run = Trajectory(
        import_checkpoints(files, out, model=model, key=key, run=settings, overwrite=overwrite)
    )
    names, s = run.run["imported"], "s" * (len(run) > 1)
    typer.echo(f"{out}: {len(run)} state{s} of {run.layout.size:,} parameters")
    typer.echo(
        f"  first: {names[0]} (step {run.steps[0]}), last: {names[-1]} (step {run.steps[-1]})"
    )


def _language_model(files: list[Path]) -> Any:
    """The language model that all of these folders say they hold, without weights; None: none."""
    from landscape.tasks.language import is_language_model, load_language_model

    folders = [p for f in files for p in (f, *(sorted(f.iterdir()) if f.is_dir() else ()))]
    folders = [folder for folder in folders if folder.is_dir()]
    found = next((folder for folder in folders if is_language_model(folder)), None)
    try:
        return None if found is None else load_language_model(found, empty=True)
    except ImportError as error:
        typer.echo(f"{error} Without it, names and shapes tell what a parameter is.", err=True)
        return None


def _import_li2018(files: list[Path], out: Path, checkpoint: Path | None) -> None:
    from landscape.exchange.li2018.folder import read_all
    from landscape.results.registry import load_results

    state = None
    if checkpoint is not None:
        from landscape.exchange.checkpoints.state import load_state

        state = load_state(checkpoint)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        found = read_all(files, state=state)
    for warning in said:
        typer.echo(str(warning.message), err=True)
    if out.exists() and (taken := sorted(set(found) & set(load_results(out)))):
        raise ValueError(f"{out} holds {', '.join(taken)} already; choose another --out.")
    for name, result in found.items():
        result.save(out, name)
        typer.echo(f"{out}: {name} from {result.provenance['source']}")
