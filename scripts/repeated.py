"""What the recording scripts share: repeats over seeds, their table, their numbers and a plot."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from matplotlib.figure import Figure

import landscape as ls
from landscape.plots.save import save_figure
from landscape.training.outcome import outcome_table, outcomes
from landscape.training.run import Run


def add_seeds(parser: argparse.ArgumentParser) -> None:
    """The options --seeds and --workers."""
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="repeats of each run")
    parser.add_argument("--workers", type=int, default=2, help="parallel processes")


def record_repeats(runs: Mapping[Path, Run], *, seeds: int, workers: int, folder: Path) -> None:
    """Record every run from `seeds` seeds and compare them: a table, numbers and a plot.

    Writes ``outcomes.md``, ``repeats.results.h5`` and ``repeats.png`` (also ``.pdf``) into
    `folder`; of several seeds they hold median and range.

    Args:
        runs: File to run, of seed 0; those of the others are called ``-seed1`` and so on.
        seeds: How many, from 0.
        workers: Number of processes.
        folder: Where to write.
    """
    if seeds < 1:
        raise SystemExit(f"--seeds must be at least 1; got {seeds}.")
    every = {
        path.with_stem(f"{path.stem}-seed{seed}") if seed else path: replace(run, seed=seed)
        for path, run in runs.items()
        for seed in range(seeds)
    }
    for path, new in ls.record_runs(every, workers=workers):
        print(f"{path}: {'recorded' if new else 'was there'}", flush=True)
    table = outcome_table(outcomes(every))
    (folder / "outcomes.md").write_text(table + "\n")
    print(table)
    paths = {path.stem: ls.path_metrics(ls.Trajectory(path)) for path in every}
    for name, measured in paths.items():
        measured.save(folder / "repeats.results.h5", f"path/{name}")
    with ls.style("neurips", columns=2):
        figure = Figure(figsize=(5.5, 2.6))
        for ax, quantity in zip(figure.subplots(1, 2), ("losses", "distance"), strict=True):
            ls.plot_path(list(paths.values()), quantity=quantity, ax=ax)
            if legend := ax.get_legend():
                legend.remove()
        handles, labels = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=3)
        figure.axes[0].set_yscale("log")
        for kind in ("png", "pdf"):
            save_figure(figure, folder / f"repeats.{kind}", results=paths, title="Repeats")
    print(folder / "repeats.png")


def smallest(args: argparse.Namespace, task: str) -> None:
    """The smallest setting of a script, for --smoke."""
    args.task, args.steps, args.workers, args.seeds = task, 10, 1, 2
