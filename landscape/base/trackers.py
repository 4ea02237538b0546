"""Experiment trackers by what they can do: W&B, trackio, TensorBoard, MLflow, Aim; none is needed.

Each is a program of its own with its own words for the same three things: numbers of a step, a
picture, a page. What is bound here may be used from another thread.
"""

from __future__ import annotations

import contextvars
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

KNOWN = "W&B, trackio, TensorBoard's SummaryWriter, MLflow, Aim"


class Tracker(Protocol):
    """Where numbers, pictures and pages go."""

    def numbers(self, values: Mapping[str, float], step: int) -> None:
        """Log numbers of an optimizer step."""

    def picture(self, name: str, path: Path, step: int) -> None:
        """Log a PNG file."""

    def page(self, name: str, path: Path, step: int) -> None:
        """Log a HTML file."""


def tracker_of(given: Any) -> Tracker:
    """What is known of a tracker, of which an open run is taken hold of now.

    Args:
        given: ``wandb``, ``trackio``, ``mlflow`` (the modules, after their run was begun), a run of
            W&B, trackio or Aim, or a `SummaryWriter`.

    Raises:
        TypeError: If it is none of these.
        ValueError: If no run was begun.
    """
    root = (given.__name__ if _is_module(given) else type(given).__module__).partition(".")[0]
    if callable(getattr(given, "add_scalar", None)):
        return _Writer(given)
    if root == "mlflow" and callable(getattr(given, "log_metrics", None)):
        return _MLflow(given)
    if callable(getattr(given, "track", None)):
        return _Aim(given, sys.modules[root])
    module = given if _is_module(given) else sys.modules.get(root)
    if callable(getattr(given, "log", None)) and hasattr(module, "Image"):
        return _Logged(given, module)
    raise TypeError(f"log_to knows {KNOWN}; not a {type(given).__name__}.")


class _Writer:
    """TensorBoard: a page is a file beside the events, since it shows none."""

    def __init__(self, writer: Any) -> None:
        self._writer = writer

    def numbers(self, values: Mapping[str, float], step: int) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def picture(self, name: str, path: Path, step: int) -> None:
        import numpy as np
        from PIL import Image

        image = np.asarray(Image.open(path).convert("RGB"))
        self._writer.add_image(name, image, step, dataformats="HWC")

    def page(self, name: str, path: Path, step: int) -> None:
        kept = Path(self._writer.log_dir) / f"{name.replace('/', '-')}.html"
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_bytes(path.read_bytes())
        self._writer.add_text(name, f"The page is `{kept.name}`, beside these events.", step)
        self._writer.flush()


class _MLflow:
    """MLflow: numbers are metrics; pictures and pages are artifacts, which its viewer shows."""

    def __init__(self, mlflow: Any) -> None:
        run = mlflow.active_run()
        if run is None:
            raise ValueError("No run of MLflow is active; call mlflow.start_run() first.")
        self._mlflow, self._run = mlflow, run.info.run_id

    def numbers(self, values: Mapping[str, float], step: int) -> None:
        self._mlflow.log_metrics(dict(values), step=step, run_id=self._run)

    def picture(self, name: str, path: Path, step: int) -> None:
        self._mlflow.log_artifact(str(path), artifact_path=name, run_id=self._run)

    page = picture


class _Aim:
    """Aim: a page is named, since it shows none."""

    def __init__(self, run: Any, aim: Any) -> None:
        self._run, self._aim = run, aim

    def numbers(self, values: Mapping[str, float], step: int) -> None:
        for name, value in values.items():
            self._run.track(value, name=name, step=step)

    def picture(self, name: str, path: Path, step: int) -> None:
        self._run.track(self._aim.Image(str(path)), name=name, step=step)

    def page(self, name: str, path: Path, step: int) -> None:
        self._run.track(self._aim.Text(path.read_text("utf-8")), name=name, step=step)


class _Logged:
    """W&B and trackio, which have the same words.

    W&B drops what is logged for an earlier step than the latest. So there the step is one of the
    numbers, and an axis that the others are shown over.
    """

    def __init__(self, run: Any, module: Any) -> None:
        if _is_module(run) and run.__name__ == "wandb" and run.run is None:
            raise ValueError("No run of W&B is open; call wandb.init() first.")
        self._run, self._module = run, module
        self._context = contextvars.copy_context()  # trackio keeps its run there
        self._by_axis = callable(getattr(run, "define_metric", None))
        self._prefixes: set[str] = set()

    def numbers(self, values: Mapping[str, float], step: int) -> None:
        self._log(dict(values), step)

    def picture(self, name: str, path: Path, step: int) -> None:
        self._log({name: self._module.Image(str(path))}, step)

    def page(self, name: str, path: Path, step: int) -> None:
        self._log({name: self._module.Html(path.read_text("utf-8"))}, step)

    def _log(self, values: dict[str, Any], step: int) -> None:
        if not self._by_axis:
            self._context.run(self._run.log, values, step=step)
            return
        prefix = next(iter(values)).rpartition("/")[0]
        axis = f"{prefix}/step"
        if prefix not in self._prefixes:
            self._prefixes.add(prefix)
            self._run.define_metric(f"{prefix}/*", step_metric=axis)
        self._run.log({**values, axis: step})


def _is_module(given: Any) -> bool:
    return isinstance(given, type(sys))
