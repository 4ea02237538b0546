"""What the measuring commands share: their options, runs, objective and numbers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from landscape.base.files import SchemaError, opened
from landscape.base.runs.trajectory import Trajectory
from landscape.cli import names
from landscape.cli.checks import check_data_file, check_there, say_live
from landscape.cli.options.device import known_device
from landscape.cli.options.objectives import (
    build_objective,
    objective_of_checkpoint,
    objective_of_texts,
)
from landscape.cli.options.texts import Model, Text, Tokens, is_language_model

if TYPE_CHECKING:
    from landscape.analysis.windows import Window
    from landscape.objective.objective import Objective

Runs = Annotated[list[Path], typer.Argument(help="Recorded runs (.h5).", callback=check_there)]
Checkpoint = Annotated[
    Path | None,
    typer.Option(help="Instead of a run: one trained network (.pt, .safetensors, ...)."),
]
Key = Annotated[
    str | None, typer.Option(help="Which state dict of the checkpoint, where it holds several.")
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        help="Results file; default: RUN.results.h5, or joint.results.h5 for several.",
    ),
]
TaskName = Annotated[
    str | None,
    typer.Option(
        "--task",
        help="Task of the runs; default: what the file says.",
        autocompletion=names.tasks,
        callback=names.check_task,
    ),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.", callback=known_device)]
Seed = Annotated[int, typer.Option(help="Seed of random directions and subsets.")]
Split = Annotated[
    Literal["train", "test"],
    typer.Option("--data", help="Which data is measured on.", case_sensitive=False),
]
Samples = Annotated[
    int | None, typer.Option(help="Measure on a random subset of this many samples.")
]
Precision = Annotated[
    Literal["single", "double", "native", "bfloat16", "tf32"] | None,
    typer.Option(
        help="Arithmetic; tf32 is of GPUs; default: the model's own.", case_sensitive=False
    ),
]
BatchNorm = Annotated[
    Literal["frozen", "recalibrated", "batch"],
    typer.Option(
        case_sensitive=False,
        help="frozen (stored running statistics; between states interpolated), recalibrated (anew "
        "at every point) or batch (of each batch).",
    ),
]


@dataclass(frozen=True)
class Measuring:
    """What is measured: the task, on which data, and in what."""

    task: TaskName = None
    data: Split = "train"
    samples: Samples = None
    precision: Precision = None
    batch_norm: BatchNorm = "frozen"
    model: Model = None
    text: Text = None
    tokens: Tokens = None

    @property
    def reads(self) -> bool:
        """Whether a language model is to be measured; see `is_language_model`."""
        return is_language_model(self.model, self.text, self.task)

    def objective(self, runs: Sequence[Trajectory], *, device: str, seed: int = 0) -> Objective:
        """The objective of these runs, or around a language model; see `build_objective`."""
        if self.reads:
            assert self.model is not None
            assert self.text is not None
            read = self.model, self.text, self.tokens
            return objective_of_texts(runs, *read, **self._chosen(device, seed))
        return build_objective(runs, self.task, **self._chosen(device, seed))

    def objective_of_checkpoint(
        self, checkpoint: Path, key: str | None, *, device: str, seed: int = 0
    ) -> Objective:
        """The objective at one trained network; see `objective_of_checkpoint`."""
        return objective_of_checkpoint(checkpoint, self.task, key, **self._chosen(device, seed))

    def _chosen(self, device: str, seed: int) -> dict[str, Any]:
        return {
            "split": self.data, "device": device, "seed": seed, "samples": self.samples,
            "precision": self.precision, "batch_norm": self.batch_norm,
        }  # fmt: skip


def open_runs(paths: Sequence[Path]) -> list[Trajectory]:
    """The runs, in order; their file names must differ because results are named after them."""
    check_there(paths)
    runs = [Trajectory(path) for path in paths]
    keys = [run_key(run) for run in runs]
    if len({path.resolve() for path in paths}) < len(keys):
        raise ValueError(f"A run is given twice ({', '.join(map(str, paths))}); give it once.")
    if len(set(keys)) < len(keys):
        raise ValueError(f"Two runs have the same file name ({', '.join(keys)}); rename one.")
    for run in runs[1:]:
        try:
            runs[0].layout.pieces(run.layout)
        except ValueError as error:
            problem = runs[0].layout.differences(run.layout)
            raise ValueError(f"{run.path} was recorded from another model: {problem}.") from error
    for run in runs:
        say_live(run)
    return runs


def run_key(run: Trajectory) -> str:
    """What a run is called inside a results file."""
    return run.path.stem


def results_path(runs: Sequence[Trajectory], out: Path | None) -> Path:
    """Where the results of these runs go; checked before anything is measured for it.

    Raises:
        SchemaError: If a file is there that is no results file.
        PermissionError: If the folder cannot be written to.
    """
    if out is None:
        first = runs[0].path
        out = first.with_name("joint.results.h5" if len(runs) > 1 else f"{first.stem}.results.h5")
    check_data_file(out, "A results file")
    out.parent.mkdir(parents=True, exist_ok=True)
    if not os.access(out.parent, os.W_OK):
        raise PermissionError(f"{out.parent} cannot be written to; choose another --out.")
    if out.exists():
        with opened(out) as file:
            if "schema" in file.attrs:
                raise SchemaError(f"{out} is a recorded run; choose another --out for results.")
    return out


def numbers(text: str, count: int, option: str) -> tuple[float, ...]:
    """`count` numbers separated by commas."""
    try:
        found = tuple(float(part) for part in text.split(","))
    except ValueError:
        found = ()
    if len(found) != count:
        many = f"{count} numbers separated by commas" if count > 1 else "a number"
        raise ValueError(f"{option} takes {many}; not {text!r}.")
    return found


def share(text: str, option: str) -> float:
    """``1%`` or ``0.01``."""
    try:
        found = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        raise ValueError(f"{option} takes a share, 1% or 0.01; not {text!r}.") from None
    if not 0 < found < 1:
        raise ValueError(f"{option} is a share between 0 and 1: 1% is 1% or 0.01; got {text!r}.")
    return found


def grid_size(text: str) -> tuple[int, int]:
    """``51`` or ``41x61``: points along x and y."""
    try:
        sizes = [int(part) for part in text.lower().split("x")]
        across, up = sizes * 2 if len(sizes) == 1 else sizes
    except ValueError:
        raise ValueError(f"--resolution takes 51 or 41x61 (x by y); not {text!r}.") from None
    if min(across, up) < 2:
        raise ValueError(f"--resolution must be at least 2 along both axes; got {text!r}.")
    return across, up


def step_windows(texts: Sequence[str] | None) -> list[Window] | None:
    """Each ``FIRST-LAST``, a range of optimizer steps, or ``first``, ``middle``, ``last``."""
    named: dict[str, Window] = {"first": "first", "middle": "middle", "last": "last"}
    found: list[Window] = []
    for text in texts or ():
        first, _, last = text.partition("-")
        try:
            found.append(named[text] if text in named else (int(first), int(last)))
        except ValueError:
            raise ValueError(
                "--window takes FIRST-LAST, for example 0-40, or first, middle, last; "
                f"not {text!r}."
            ) from None
    return found or None
