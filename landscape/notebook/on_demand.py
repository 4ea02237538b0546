"""OnDemand: a widget on whose page one picks what the kernel is to measure; extra ``notebook``."""

# pyright: reportMissingImports=false
from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from landscape.analysis.on_demand import Request, measured_on_demand
from landscape.analysis.planes.extent import box_of
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
from landscape.results.construction import Construction
from landscape.results.profile import Profile
from landscape.results.recorded import named_results
from landscape.results.seeded import SeededPlane
from landscape.results.surface import Surface

try:
    import anywidget
    import traitlets
except ImportError as _error:
    raise ImportError(f"ls.OnDemand needs anywidget ({_error}): {install('notebook')}") from _error

if TYPE_CHECKING:

    class _Widget:
        """What is inherited, which has no types."""

        def __init__(self, **traits: Any) -> None: ...
        def __getattr__(self, name: str) -> Any: ...

else:
    _Widget = anywidget.AnyWidget

AnyPlane = Plane | SeededPlane
_NEW = "another random plane"
_ROOM = 0.15  # around runs, as a share of the box that they fill


class OnDemand(_Widget):
    """The explorer page in a notebook, on which one asks for more: a region, a slice, a point.

    The kernel measures what was asked for, coarse first, in a thread of its own; the newest request
    wins, and one that was given up costs nothing more. The page shows each stage as it comes. The
    model is as it was, bit for bit. While a cell runs, no kernel hears its widgets: to measure a
    run while it trains, use ``landscape watch --measure``. A model that is being recorded in this
    process is refused, since it trains.

    Args:
        objective: What to measure.
        plane: Where, or several planes by name, of which one is picked on the page, beside those
            that `results` hold; default: two random directions around the model as it is. Another
            random plane can always be picked.
        results: What else the page shows, as for `explore`: paths on the plane, metrics.
        extent: The first region of a plane, (α_min, α_max, β_min, β_max), or r for [-r, r]²;
            default: 1, of a plane that was made from runs the box around them. Not measured where
            `results` hold a surface.
        resolution: Points along each axis of what is asked for.

    Attributes:
        measured: What was measured so far, by name: ``surface/asked-1``, ``slice/asked-2``, …
        planes: The planes that can be picked, by name.
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
        plane: AnyPlane | Mapping[str, AnyPlane] | None = None,
        *,
        results: Any = None,
        extent: float | tuple[float, float, float, float] | None = None,
        resolution: int = 25,
    ) -> None:
        self._objective, self._extent, self._resolution = objective, extent, resolution
        several = plane if isinstance(plane, Mapping) else {} if plane is None else {"plane": plane}
        self._given = {} if results is None else dict(named_results(results))
        held = {n: r for n, r in self._given.items() if isinstance(r, Plane | SeededPlane)}
        self.planes: dict[str, AnyPlane] = {**several, **held} or {"plane": random_plane(objective)}
        self._plane = next(iter(self.planes.values()))
        self.measured: dict[str, Result] = {}
        self._newest = 0
        self._turn, self._workers = threading.Lock(), []
        first = self._first(self._plane)
        new = not any(isinstance(result, Surface) for result in self._given.values())
        if new:  # the coarse stage at once, the others while it is looked at
            coarse = next(measured_on_demand(objective, self._plane, first))
            self._given["surface/asked-0"] = coarse
        page = page_text("landscape", content="@CONTENT@", entry="widget")
        super().__init__(page=page, content=self._packed())
        self.on_msg(self._asked)
        if new:
            self._begin(first, self._plane, name="surface/asked-0")

    @property
    def busy(self) -> bool:
        """Whether something is being measured."""
        return any(worker.is_alive() for worker in self._workers)

    def ask(
        self,
        kind: str,
        place: Sequence[float],
        resolution: int | None = None,
        *,
        plane: str | None = None,
    ) -> None:
        """Ask for something as the page does; what is being measured is given up.

        Args:
            kind: ``surface`` (a region), ``slice`` or ``point``.
            place: Its coordinates, see `landscape.analysis.on_demand.Request`.
            resolution: Points along an axis; default: that of the widget.
            plane: Its name, or its fingerprint; default: the plane that was shown first.

        Raises:
            ValueError: If it is no request, or the model is being recorded in this process.
        """
        asked = {"kind": kind, "place": place, "resolution": resolution or self._resolution}
        request, chosen = Request.of(asked), self._plane if plane is None else self._named(plane)
        self._check_not_recorded()
        self._begin(request, chosen)

    def show_plane(self, plane: str) -> None:
        """Measure the first region of another plane; what is being measured is given up.

        Args:
            plane: One of `planes`, or ``another random plane``, which then is among them.

        Raises:
            ValueError: If there is none, or the model is being recorded in this process.
        """
        self._check_not_recorded()
        if plane == _NEW:
            known = sum(name.startswith("random plane") for name in self.planes)
            plane = f"random plane {known + 1}"
            self.planes[plane] = random_plane(self._objective, seed=known + 1)
        chosen = self._named(plane)
        self._begin(self._first(chosen), chosen)

    def _named(self, plane: str) -> AnyPlane:
        for name, one in self.planes.items():
            if plane in (name, one.digest):
                return one
        raise ValueError(
            f"The widget knows no plane {plane[:80]!r}, only {', '.join(self.planes)}: give it "
            "plane={name: plane}, or results with the planes that they lie on."
        )

    def _first(self, plane: AnyPlane) -> Request:
        """The first region of a plane."""
        boxed = Construction.of(plane.settings).box is not None
        around = "trajectory" if boxed and self._extent is None else self._extent
        box = box_of(plane, 1.0 if around is None else around, [], _ROOM)
        return Request("surface", box, self._resolution)

    def _check_not_recorded(self) -> None:
        if (recorder := recorder_of(self._objective.model)) is not None:
            raise ValueError(
                f"The model is being recorded to {recorder.path} in this process, so it trains: "
                "close the recorder first, or use landscape watch --measure."
            )

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
                return
            request = dict(message)
            if request.get("kind") == "plane":
                self.show_plane(str(request.get("name")))
            else:
                plane = request.get("plane")
                self.ask(
                    request.get("kind", ""), request.get("place", ()),
                    plane=plane if plane is None else str(plane),
                )  # fmt: skip
        except (ValueError, TypeError) as error:
            self.send({"said": str(error)})

    def _begin(self, request: Request, plane: AnyPlane, name: str = "") -> None:
        self._newest += 1
        self._workers = [worker for worker in self._workers if worker.is_alive()]
        worker = threading.Thread(
            target=self._measure, args=(request, plane, self._newest, name), daemon=True
        )
        self._workers.append(worker)
        worker.start()

    def _measure(self, request: Request, plane: AnyPlane, number: int, name: str) -> None:
        name = name or f"{request.kind}/asked-{number}"
        with self._turn:  # an older request ends at its next point
            try:
                for stage in measured_on_demand(
                    self._objective, plane, request,
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
        planes = [*(self.planes if len(self.planes) > 1 else ()), _NEW]
        more = {"live": True, "planes": planes, "marks": [], "story": []}
        return packed_content({**content, **title, **more})
