"""What somebody who looks at a plane asks for: measured coarse first, and given up at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np

from landscape.analysis.surface import unmeasured
from landscape.base.provenance import provenance
from landscape.base.settings import joined
from landscape.objective.objective import Objective
from landscape.objective.restriction import Restriction
from landscape.objective.statistics import whose
from landscape.results.affine import Plane
from landscape.results.profile import Profile
from landscape.results.seeded import SeededPlane
from landscape.results.surface import Surface

Kind = Literal["surface", "slice", "point"]
_NUMBERS = {"surface": 4, "slice": 4, "point": 2}
_STRIDES = (4, 2, 1)  # of the points that are measured first, next, last
_PATIENCE = 0.1  # seconds that points are measured together for
_MOST = 201  # points along an axis


@dataclass(frozen=True)
class Request:
    """What is asked for, in coordinates of a plane.

    Attributes:
        kind: ``surface``, ``slice`` (the loss on a straight line) or ``point``.
        place: Of a surface (α_min, α_max, β_min, β_max); of a slice (α, β) of both ends; of a point
            (α, β).
        resolution: Points along an axis; raised to the next 4 k + 1.

    Raises:
        ValueError: If it is none of these; what was asked may come from a page.
    """

    kind: Kind
    place: tuple[float, ...]
    resolution: int = 25

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ValueError(f"kind must be one of {', '.join(get_args(Kind))}; not {self.kind!r}.")
        if len(self.place) != _NUMBERS[self.kind] or not np.isfinite(self.place).all():
            raise ValueError(f"A {self.kind} is {_NUMBERS[self.kind]} numbers; not {self.place}.")
        x0, x1, *y = self.place
        if self.kind == "surface" and not (x0 < x1 and y[0] < y[1]):
            raise ValueError(
                f"The region {self.place} is empty; give α_min < α_max, β_min < β_max."
            )
        if self.kind == "slice" and (x0, x1) == tuple(y):
            raise ValueError(f"The two ends of the slice are one point, {x0:g}, {x1:g}.")
        if not 5 <= self.resolution <= _MOST:
            raise ValueError(f"resolution must be 5 to {_MOST}; got {self.resolution}.")
        object.__setattr__(self, "resolution", 4 * -(-(self.resolution - 1) // 4) + 1)

    @classmethod
    def of(cls, asked: Mapping[str, Any]) -> Request:
        """A request as it comes from a page.

        >>> Request.of({"kind": "point", "place": [0.5, 1]}).place
        (0.5, 1.0)
        """
        try:
            place = tuple(float(number) for number in asked["place"])
            return cls(asked["kind"], place, int(asked.get("resolution", 25)))
        except (KeyError, TypeError, OverflowError) as error:
            raise ValueError(f"{dict(asked)!r:.100} is no request ({error}).") from error


def measured_on_demand(
    objective: Objective,
    plane: Plane | SeededPlane,
    request: Request,
    *,
    cancelled: Callable[[], bool] = lambda: False,
    buffers: np.ndarray | None = None,
) -> Iterator[Surface | Profile]:
    """Measure every fourth point along each axis, then every second, then all; each as a result.

    Points are measured together for about a tenth of a second, or one by one where they take
    longer. In between it is asked whether the request was given up; so a cancelled request costs
    less than that once it is cancelled. The numbers are those of `loss_surface`.

    Args:
        objective: What to measure.
        plane: Where.
        request: What is asked for.
        cancelled: Whether it was given up.
        buffers: Recorded buffers to measure with; default: the model's own.

    Yields:
        Surfaces of growing resolution, or profiles along the slice from its first end at 0 to its
        second at 1; of a point a profile of that one. Nothing more once it was given up.
    """
    restriction = objective.along(plane, buffers=buffers)
    place, count = request.place, request.resolution
    if request.kind == "point":
        found = _measured(restriction, np.array([place]), cancelled, _Pace())
        if found is not None:
            yield _profile(objective, plane, request, np.zeros(1), found)
        return
    if request.kind == "surface":
        axes = [np.linspace(place[0], place[1], count), np.linspace(place[2], place[3], count)]
        grid = np.stack(np.meshgrid(*axes), axis=-1)
    else:
        t = np.linspace(0, 1, count)
        grid = (np.outer(1 - t, place[:2]) + np.outer(t, place[2:]))[None]
        axes = [t, np.zeros(1)]
    shape = grid.shape[:2]
    values = np.full((2, len(objective.names), *shape), np.nan)
    done, pace = np.zeros(shape, bool), _Pace()
    for stride in _STRIDES:
        wanted = np.zeros(shape, bool)
        wanted[::stride, ::stride] = True
        missing = wanted & ~done
        found = _measured(restriction, grid[missing], cancelled, pace)
        if found is None:
            return
        values[:, :, missing] = found
        done |= missing
        part = values[:, :, ::stride, ::stride]
        if request.kind == "slice":
            yield _profile(objective, plane, request, axes[0][::stride], part[:, :, 0])
            continue
        blank = unmeasured(objective, plane, axes[0][::stride], axes[1][::stride], buffers=buffers)
        yield replace(
            blank, values=part[0].copy(), standard_error=part[1].copy(),
            computed=np.ones(part.shape[2:], bool),
        )  # fmt: skip


class _Pace:
    """How many points are measured together."""

    count = 1

    def learn(self, points: int, seconds: float) -> None:
        self.count = max(1, min(256, 4 * self.count, int(_PATIENCE * points / max(seconds, 1e-6))))


def _measured(
    restriction: Restriction, points: np.ndarray, cancelled: Callable[[], bool], pace: _Pace
) -> np.ndarray | None:
    """Means and standard errors, shape (2, metrics, points); None once it was given up."""
    parts, start = [], 0
    while start < len(points):
        if cancelled():
            return None
        began, chunk = time.perf_counter(), points[start : start + pace.count]
        found = restriction(chunk)
        parts.append(np.stack([found.mean, found.standard_error]))
        pace.learn(len(chunk), time.perf_counter() - began)
        start += len(chunk)
    return np.concatenate(parts, axis=-1) if parts else np.zeros((2, len(restriction.names), 0))


def _profile(
    objective: Objective,
    plane: Plane | SeededPlane,
    request: Request,
    alpha: np.ndarray,
    found: np.ndarray,
) -> Profile:
    ends = [request.place[:2], request.place[2:]] if request.kind == "slice" else [request.place]
    name = " to ".join(f"({x:.3g}, {y:.3g})" for x, y in ends)
    told = joined(whose(objective.problem, plane.settings), objective.settings)
    return Profile(
        alpha=alpha, metrics=objective.names, values=found[0][None].copy(),
        standard_error=found[1][None].copy(), names=(name,), label="share of the way",
        settings=joined(told, {"asked": request.kind}),
        provenance=provenance(),
    )  # fmt: skip
