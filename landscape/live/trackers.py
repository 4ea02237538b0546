"""`log_to`: what was recorded and measured, where one looks anyway."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from landscape.base.runs.trajectory import Trajectory
from landscape.base.trackers import Tracker, tracker_of
from landscape.explorer.build import explore
from landscape.explorer.shown import Page
from landscape.plots.anything import plot
from landscape.results.recorded import is_run, named_results

_DOTS = 150  # per inch


def log_to(
    tracker: Any, what: Any, *, step: int | None = None, every: int = 1, name: str = "landscape"
) -> None:
    """Log to an experiment tracker: numbers of every step, figures, and the page.

    Nothing is needed for it but the tracker itself, of which no more is used than its ways to log
    numbers, pictures and HTML. While a run is recorded, `Recorder` does it with ``log_to=``.

    Args:
        tracker: ``wandb``, ``trackio`` or ``mlflow``, after their run was begun; a run of W&B,
            trackio or Aim; a `SummaryWriter` of TensorBoard.
        what: A recorded run (`Trajectory` or path): its numbers at every step. Numbers by name, or
            a matplotlib figure, or a page: as they are. Results, or files of results: figures, and
            a page with all of them.
        step: The step that it belongs to; default: the last one of a run, else 0.
        every: Of a run, log every n-th step (and the last).
        name: What the names begin with, for example ``landscape/update_norm``.

    Raises:
        TypeError: If the tracker is not known.
        ValueError: If there is nothing to log, or `every` is below 1.

    Example::

        writer = SummaryWriter("logs")
        ls.log_to(writer, "data/adam.h5")  # numbers of every step
        ls.log_to(writer, "data/adam.results.h5", step=300)  # figures, and the page

    >>> import landscape as ls
    >>> class SummaryWriter:  # what of TensorBoard's is used here
    ...     def add_scalar(self, name, value, step):
    ...         print(name, value, step)
    ...     add_image = add_text = add_scalar
    >>> ls.log_to(SummaryWriter(), {"sharpness": 12.5}, step=40)
    landscape/sharpness 12.5 40
    """
    bound = tracker_of(tracker)
    if every < 1:
        raise ValueError(f"every must be at least 1; got {every}.")
    if isinstance(what, str | os.PathLike) and not isinstance(what, Page) and is_run(what):
        what = Trajectory(what)
    if isinstance(what, Trajectory):
        _log_run(bound, what, every, name)
    elif isinstance(what, Mapping) and all(isinstance(v, int | float) for v in what.values()):
        bound.numbers({f"{name}/{key}": float(v) for key, v in what.items()}, step or 0)
    elif isinstance(what, Page):
        bound.page(f"{name}/page", what, step or 0)
    else:
        _log_pictures(bound, what, step or 0, name)


def _log_run(tracker: Tracker, run: Trajectory, every: int, name: str) -> None:
    first = int(run.steps[0]) + 1
    rows = [*range(every - 1, run.updates, every)]
    if run.updates and (not rows or rows[-1] != run.updates - 1):
        rows.append(run.updates - 1)
    for row in rows:
        values = {f"{name}/{key}": float(column[row]) for key, column in run.scalars.items()}
        known = {key: value for key, value in values.items() if not np.isnan(value)}
        if known:
            tracker.numbers(known, first + row)


def _log_pictures(tracker: Tracker, what: Any, step: int, name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        if callable(getattr(what, "savefig", None)):
            path = Path(folder) / "figure.png"
            what.savefig(path, dpi=_DOTS)
            tracker.picture(f"{name}/figure", path, step)
            return
        results = named_results(what)
        pictures = plot(results)
        for index in range(len(pictures)):
            path = Path(folder) / f"figure-{index + 1}.png"
            path.write_bytes(pictures.png(index, dots=_DOTS))
            tracker.picture(f"{name}/{path.stem}", path, step)
        tracker.page(f"{name}/page", explore(results, Path(folder) / "page.html"), step)
