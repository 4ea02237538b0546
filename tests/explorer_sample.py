"""Results with known numbers for tests of the page: three runs, two surfaces, a walk, a line."""

from __future__ import annotations

import numpy as np

from landscape.base.result import Result
from landscape.results.path import PathMetrics
from landscape.results.profile import Profile
from landscape.results.projection import Projection
from landscape.results.surface import Surface
from landscape.results.walk import Walk

NASTY = '<script>window.pwned=1</script> "שלום" é & <b>bold</b>'
RUNS = {"Adam": "adam", "SGD": "sgd", NASTY: "made-up"}
STEPS = 60
PLANE = {"plane_hash": "a" * 16}


def loss(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """An asymmetric bowl, positive everywhere."""
    return (
        0.05 + 0.4 * (x - 1.0) ** 2 + 0.15 * (y + 0.5) ** 2 + 0.08 * x * y + 0.3 * np.exp(0.4 * x)
    )


def surface(alpha: int = 6, beta: int = 4, **changes: object) -> Surface:
    """`loss` on a grid of 4 rows and 6 columns, and an error metric."""
    x, y = np.linspace(-2, 3, alpha), np.linspace(-2, 2, beta)
    values = loss(x[None, :], y[:, None])
    fields = {
        "alpha": x,
        "beta": y,
        "metrics": ("loss", "error"),
        "values": np.stack([values, values / 10]),
        "standard_error": np.zeros((2, beta, alpha)),
        "computed": np.ones((beta, alpha), bool),
        "gram": np.eye(2),
        "labels": ("PC 1", "PC 2"),
        "explained": np.array([0.6, 0.2]),
        "explained_null": np.array([0.3, 0.1]),
        "settings": {"kind": "joint PCA", "runs": list(RUNS), "states": 3 * STEPS + 3},
        "provenance": PLANE,
    }
    return Surface(**{**fields, **changes})  # pyright: ignore[reportArgumentType]


def projection(name: str, turn: float, *, every: int = 2, steps: int = STEPS) -> Projection:
    """A spiral towards the bowl, above the plane by `residual`; measured loss is 10 % higher."""
    step = np.arange(0, steps + 1, every)
    t = step / steps
    x = -1.5 + 2.3 * t
    y = 1.5 * np.cos(turn + 2 * t) * (1 - t)
    return Projection(
        name=name,
        optimizer=RUNS.get(name, name),
        step=step,
        coordinates=np.stack([x, y], axis=1),
        residual=0.5 * t,
        loss=1.1 * loss(x, y),
        in_plane_loss=loss(x, y),
        shown=0.9,
        provenance=PLANE,
    )


def path(name: str, turn: float, *, steps: int = STEPS) -> PathMetrics:
    """How the run moved: smooth made-up columns."""
    step = np.arange(steps + 1)
    t = step / steps
    cosine = np.cos(turn + 3 * t)
    cosine[:2] = np.nan
    return PathMetrics(
        name=name,
        optimizer=RUNS.get(name, name),
        step=step,
        update_norm=0.1 + t,
        cosine=cosine,
        cosine_to_final=cosine,
        distance=np.sqrt(t) * (1 + turn),
        path_length=2 * t,
        losses=np.exp(-3 * t) * (1 + 0.1 * turn),
        learning_rate=np.full(steps + 1, 0.01 * (1 + turn)),
    )


def walk(name: str, turn: float) -> Walk:
    """Parabolas between steps 10 and 40."""
    step, alpha = np.arange(10, 40), np.linspace(0, 1, 11)
    values = np.exp(-0.05 * (step[:, None] + alpha)) + 0.05 * turn * alpha * (alpha - 1)
    return Walk(
        name=name,
        optimizer=RUNS.get(name, name),
        step=step,
        next_step=step + 1,
        alpha=alpha,
        metrics=("loss",),
        values=values[:, None, :],
        standard_error=np.zeros((30, 1, 11)),
    )


def results() -> dict[str, Result]:
    """Everything one page can show."""
    found: dict[str, Result] = {"surface/pca": surface()}
    for k, name in enumerate(RUNS):
        found[f"projection/pca/{k}"] = projection(name, 0.4 * k)
        found[f"path/{k}"] = path(name, 0.4 * k)
        found[f"walk/{k}"] = walk(name, 0.4 * k)
    values = np.array(surface(9, 7).values)
    values[0, 2, 3], values[0, 2, 4], values[0, 6, 8] = np.nan, np.inf, 1e9
    computed = np.ones((7, 9), bool)
    computed[0, 0] = False
    found["surface/random"] = surface(
        9, 7, values=values, computed=computed, explained=None, explained_null=None,
        labels=("direction 1", "direction 2"), provenance={"plane_hash": "b" * 16},
        settings={"kind": "random", "normalization": "filter"},
    )  # fmt: skip
    alpha = np.linspace(-0.5, 1.5, 21)
    found["line/initial-final"] = Profile(
        alpha=alpha,
        metrics=("loss",),
        values=np.stack([loss(alpha * k, alpha)[None] for k in (1, 2)]),
        standard_error=np.zeros((2, 1, 21)),
        names=("Adam", "elsewhere"),
        label="α",
    )
    return found
