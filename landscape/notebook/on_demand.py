"""OnDemand: a widget on whose page one picks what the kernel is to measure; extra ``notebook``."""

# pyright: reportMissingImports=false
from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from landscape.analysis.on_demand import Request, measured_on_demand
from landscape.analysis.planes.random import random_plane
from landscape.base.distribution import install
from landscape.base.result import Result
from landscape.explorer.build import page_text
from landscape.explorer.content import page_content
from landscape.explorer.packing import packed_content
from landscape.objective.objective import Objective
from landscape.plots.ground import GROUND
from landscape.recording.recorder import recorder_of
from landscape.results.affine import Plane
from landscape.results.profile import Profile
from landscape.results.recorded import named_results
from landscape.results.surface import Surface

try:
    import anywidget
    import traitlets
except ImportError as _error:
    raise ImportError(f"ls.OnDemand needs anywidget ({_error}): {install('notebook')}") from _error

_Widget: Any = anywidget.AnyWidget  # what it inherits has no types


class OnDemand(_Widget):
    """The explorer page in a notebook, on which one asks for more: a region, a slice, a point.

    The kernel measures what was asked for, coarse first, in a thread of its own; the newest request
    wins, and one that was given up costs nothing more. The page shows each stage as it comes. The
    model is as it was, bit for bit. While a cell runs, no kernel hears its widgets: to measure a
    run while it trains, use ``landscape watch --measure``. A model that is being recorded in this
    process is refused, since it trains.

    Args:
        objective: What to measure.
        plane: Where; default: two random directions around the model as it is.
        results: What else the page shows, as for `explore`: paths on the plane, metrics.
        extent: The first region, (α_min, α_max, β_min, β_max), or r for [-r, r]². Left out where
            `results` hold a surface of the plane.
        resolution: Points along each axis of what is asked for.

    Attributes:
        measured: What was measured so far, by name: ``surface/asked-1``, ``slice/asked-2``, …
        busy: Whether something is being measured.

    Raises:
        ImportError: If `anywidget` is not installed.
        ValueError: If the first region is empty.

    >>> import torch
    >>> import landscape as ls
    >>> from torch import nn
    >>> model, x = nn.Linear(2, 1), torch.eye(2)
    >>> objective = ls.Objective(model, lambda m, batch: m(batch[0]).square().mean(dim=1), (x,))
    >>> widget = ls.OnDemand(objective, resolution=5)  # the last line of a cell
    >>> widget.ask("slice", (0, 0, 1, 1))
    >>> widget.wait()
    >>> list(widget.measured)[-1]
    'slice/asked-2'
    """

    _esm = files("landscape.notebook").joinpath("widget.js").read_text("utf-8")
    page: Any = traitlets.Unicode().tag(sync=True)
    content: Any = traitlets.Unicode().tag(sync=True)

    def __init__(
        self,
        objective: Objective,
        plane: Plane | None = None,
        *,
        results: Any = None,
        extent: float | Sequence[float] = 1.0,
        resolution: int = 25,
    ) -> None:
        self._objective = objective
        self._plane = plane or random_plane(objective)
        self._resolution = resolution
        self._given = {} if results is None else dict(named_results(results))
        self.measured: dict[str, Result] = {}
        self._newest = 0
        self._turn, self._workers = threading.Lock(), []
        flat = (-extent, extent) * 2 if isinstance(extent, int | float) else tuple(extent)
        first = Request("surface", tuple(float(v) for v in flat), resolution)
        new = not any(isinstance(result, Surface) for result in self._given.values())
        if new:  # the coarse stage at once, the others while it is looked at
            coarse = next(measured_on_demand(objective, self._plane, first))
            self._given["surface/asked-0"] = coarse
        page = page_text("landscape", content="@CONTENT@", entry="widget")
        super().__init__(page=page, content=self._packed())
        self.on_msg(self._asked)
        if new:
            self._begin(first, name="surface/asked-0")

    @property
    def busy(self) -> bool:
        """Whether something is being measured."""
        return any(worker.is_alive() for worker in self._workers)

    def ask(self, kind: str, place: Sequence[float], resolution: int | None = None) -> None:
        """Ask for something as the page does; what is being measured is given up.

        Raises:
            ValueError: If it is no request, or the model is being recorded in this process.
        """
        asked = {"kind": kind, "place": place, "resolution": resolution or self._resolution}
        request = Request.of(asked)
        if (recorder := recorder_of(self._objective.model)) is not None:
            raise ValueError(
                f"The model is being recorded to {recorder.path} in this process, so it trains: "
                "close the recorder first, or use landscape watch --measure."
            )
        self._begin(request)

    def give_up(self) -> None:
        """Measure nothing more."""
        self._newest += 1

    def wait(self) -> None:
        """Wait until everything asked for is measured or given up."""
        for worker in self._workers:
            worker.join()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Save what was measured."""
        for name, result in self.measured.items():
            result.save(path, name)

    def _asked(self, _: Any, message: Any, __: Any) -> None:
        try:
            if isinstance(message, dict) and message.get("kind") == "nothing":
                self.give_up()
                self.send({"said": "Given up."})
            else:
                request = dict(message)
                self.ask(request.get("kind", ""), request.get("place", ()))
        except (ValueError, TypeError) as error:
            self.send({"said": str(error)})

    def _begin(self, request: Request, name: str = "") -> None:
        self._newest += 1
        self._workers = [worker for worker in self._workers if worker.is_alive()]
        worker = threading.Thread(
            target=self._measure, args=(request, self._newest, name), daemon=True
        )
        self._workers.append(worker)
        worker.start()

    def _measure(self, request: Request, number: int, name: str) -> None:
        name = name or f"{request.kind}/asked-{number}"
        with self._turn:  # an older request ends at its next point
            try:
                for stage in measured_on_demand(
                    self._objective, self._plane, request,
                    cancelled=lambda: number != self._newest,
                ):  # fmt: skip
                    if number == self._newest:
                        self._show(name, stage)
            except Exception as error:
                self.send({"said": f"Not measured: {' '.join(str(error).split())[:300]}"})

    def _show(self, name: str, stage: Surface | Profile) -> None:
        self._given.pop(name, None)
        self.measured[name] = stage
        told: dict[str, Any] = {"said": f"{name}: {stage.loss.size:,} points measured."}
        if isinstance(stage, Surface):
            shown = {**self._given, **self.measured}
            told["surface"] = [k for k, r in shown.items() if isinstance(r, Surface)].index(name)
        elif stage.loss.size == 1:
            told["said"] = f"{stage.metrics[0]} at {stage.names[0]}: {stage.loss[0, 0]:.6g}"
        self.send(told)
        if not (isinstance(stage, Profile) and stage.loss.size == 1):
            self.content = self._packed()

    def _packed(self) -> str:
        shown = {
            name: result
            for name, result in {**self._given, **self.measured}.items()
            if not (isinstance(result, Profile) and result.loss.size == 1)
        }
        content = page_content({"": shown})
        title = {"title": "Measured on demand", "description": "", "ground": GROUND}
        return packed_content({**content, **title, "live": True, "marks": [], "story": []})
