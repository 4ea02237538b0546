"""Objective: a model, its losses and a fixed data set, as a function of the flat parameter vector.

Everything measured here is the loss at affine combinations of a few vectors,
θ(c) = origin + Σ_k c_k · directions[k]; `Objective.restrict` makes that function of c, and only it
runs the model. Weights are always computed from the origin, never by accumulating steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from landscape.evaluation.borrow import borrowed
from landscape.evaluation.choice import STRATEGIES, Choice, choose
from landscape.evaluation.data import HeldData
from landscape.evaluation.interrupt import held_back
from landscape.evaluation.metrics import Metric, mean_and_error
from landscape.evaluation.work import Work
from landscape.layout import Layout
from landscape.progress import Interrupted, Progress

_WORTH_CHOOSING = 64  # points

Precision = Literal["single", "double"]
BatchNorm = Literal["frozen", "batch"]


@dataclass(frozen=True)
class Evaluation:
    """Metrics at some points.

    Attributes:
        metrics: Names; the first is the loss.
        mean: Means over the data, float64, shape (metrics, points). NaN and infinities are
            what the model gave.
        standard_error: Standard errors of the means as estimates over the whole data set, same
            shape; zero when the whole set was used, NaN when unknown.
        computed: Which points were measured, shape (points,); all of them unless interrupted.
    """

    metrics: tuple[str, ...]
    mean: np.ndarray
    standard_error: np.ndarray
    computed: np.ndarray


class Objective:
    """A model, a loss and a fixed data set, as a function of the flat parameter vector.

    The model is borrowed, not copied: its own tensors are set aside while points are evaluated
    and put back exactly, also after an exception or Ctrl-C. It is evaluated in evaluation mode
    (no dropout, frozen batch-norm statistics), without gradients.

    Args:
        model: Any module. Its trainable parameters make up the flat vector.
        loss: `loss(model, batch)`: one value per sample, the batch mean, or a pair
            (sum, weight); see `landscape.evaluation.metrics`.
        data: A tuple or dict of tensors, a `Dataset`, or an iterable of batches, read once; see
            `landscape.evaluation.data`.
        metrics: Further named metrics measured in the same pass, for example ``error``.
        device: Where to compute; default: where the model is.
        precision: ``single`` or ``double``.
        batch_norm: ``frozen`` uses the stored running statistics; ``batch`` those of each
            batch, as "A Walk with SGD" does (arXiv:1802.08770).
        batch_size: Samples per forward pass; None finds a good one by timing.
        strategy: How points are evaluated, a name in `landscape.evaluation.choice.STRATEGIES`;
            None chooses by timing the real work. No strategy changes a result beyond rounding,
            but for bitwise equal numbers give both `strategy` and `batch_size`.
        samples: Measure on a fixed random subset of this size.
        seed: Seed of the subset.
        settings: Anything about the task worth keeping with the results.

    Raises:
        ValueError: If the data is empty or malformed, or an option is unknown.

    >>> from torch import nn
    >>> model = nn.Linear(1, 1, bias=False)
    >>> def loss(model, batch):
    ...     return (model(batch[0]) - batch[1]).square().mean()
    >>> objective = Objective(model, loss, (torch.ones(4, 1), torch.zeros(4, 1)))
    >>> objective.at(np.array([3.0])).mean.item()
    9.0
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Metric,
        data: Any,
        *,
        metrics: Mapping[str, Metric] | None = None,
        device: str | torch.device | None = None,
        precision: Precision = "single",
        batch_norm: BatchNorm = "frozen",
        batch_size: int | None = None,
        strategy: str | None = None,
        samples: int | None = None,
        seed: int = 0,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        if isinstance(loss, nn.Module) or not callable(loss):
            raise ValueError(
                f"loss is a {type(loss).__name__}; pass a function loss(model, batch), for example "
                "lambda model, batch: F.cross_entropy(model(batch[0]), batch[1])."
            )
        if precision not in ("single", "double"):
            raise ValueError(f"precision must be one of 'single', 'double'; not {precision!r}.")
        if batch_norm not in ("frozen", "batch"):
            raise ValueError(f"batch_norm must be one of 'frozen', 'batch'; not {batch_norm!r}.")
        self.model = model
        self.metrics: dict[str, Metric] = {"loss": loss, **(metrics or {})}
        self.layout = Layout.of(model)
        self.buffers_layout = Layout.of_buffers(model)
        self.device = torch.device(device) if device else next(model.parameters()).device
        self.dtype = torch.float64 if precision == "double" else torch.float32
        self.batch_norm = batch_norm
        self.data = HeldData(
            data, device=self.device, batch_size=batch_size, samples=samples, seed=seed
        )
        self.data.cast(self.dtype)
        if strategy is not None and strategy not in STRATEGIES:
            raise ValueError(f"strategy must be one of {', '.join(STRATEGIES)}; not {strategy!r}.")
        self.choice: Choice | None = None
        self._strategy, self._batch_size = strategy, batch_size
        self._plain = Choice("sequential", self.data.batch_size if self.data.joined else None)
        self._asked = 0
        self._settings = dict(settings or {}, precision=precision, batch_norm=batch_norm)

    @property
    def settings(self) -> dict[str, Any]:
        """What the numbers depend on: data, precision, batch-norm policy, device."""
        if "data_hash" not in self._settings:
            self._settings.update(self.data.describe(), device=str(self.device))
        return dict(self._settings)

    def parameters(self) -> np.ndarray:
        """The model's present parameters as a flat vector, shape (P,)."""
        named = dict(self.model.named_parameters())
        parts = [named[e.name].detach().reshape(-1).cpu() for e in self.layout]
        flat = torch.cat(parts)
        return (flat if flat.dtype == torch.float64 else flat.float()).numpy()

    def restrict(
        self, origin: np.ndarray, directions: np.ndarray, *, buffers: np.ndarray | None = None
    ) -> Restriction:
        """The objective on the line, plane or point origin + Σ_k c_k · directions[k].

        Args:
            origin: Shape (P,).
            directions: Shape (K, P); K may be zero.
            buffers: Flat floating-point buffers to evaluate with, shape (B,); None uses the
                model's own.

        Raises:
            ValueError: If the shapes do not fit the model.
        """
        return Restriction(self, origin, directions, buffers)

    def choice_for(self, work: Work, coordinates: np.ndarray) -> Choice:
        """How to evaluate these points: chosen once, when there are enough points to pay for it."""
        if len(coordinates) <= 1:
            return self._plain
        self._asked += len(coordinates)
        if self.choice is None and (self._asked >= _WORTH_CHOOSING or self._strategy is not None):
            fixed = self.batch_norm == "batch" or not self.data.joined
            self.choice = choose(
                work,
                self.data,
                coordinates,
                strategy=self._strategy,
                batch_size=self.data.batch_size if fixed else self._batch_size,
            )
        return self.choice or self._plain

    def at(self, vector: np.ndarray, *, buffers: np.ndarray | None = None) -> Evaluation:
        """The metrics at one point, shape (metrics, 1)."""
        return self.restrict(vector, np.zeros((0, vector.size)), buffers=buffers)(np.zeros((1, 0)))


class Restriction:
    """An objective as a function of a few coordinates; made by `Objective.restrict`."""

    def __init__(
        self,
        objective: Objective,
        origin: np.ndarray,
        directions: np.ndarray,
        buffers: np.ndarray | None = None,
    ) -> None:
        size = objective.layout.size
        if origin.shape != (size,) or directions.ndim != 2 or directions.shape[1] != size:
            raise ValueError(
                f"The model has {size} trainable parameters; the origin has shape {origin.shape} "
                f"and the directions {directions.shape}. They belong to another model."
            )
        if buffers is not None and buffers.shape != (objective.buffers_layout.size,):
            raise ValueError(
                f"The model has {objective.buffers_layout.size} buffer values; got {buffers.shape}."
            )
        self.objective = objective
        self._origin = self._held(origin)
        self._directions = self._held(directions)
        self._buffers = None if buffers is None else self._held(buffers)

    def __call__(self, coordinates: np.ndarray, *, progress: Progress | None = None) -> Evaluation:
        """Measure every metric at the given points.

        Args:
            coordinates: Shape (points, K).
            progress: Told of each finished point.

        Returns:
            One value per metric and point.

        Raises:
            Interrupted: On Ctrl-C, with the points measured until then.
        """
        objective = self.objective
        coordinates = np.asarray(coordinates, np.float64)
        if coordinates.ndim != 2 or coordinates.shape[1] != len(self._directions):
            raise ValueError(
                f"coordinates have shape {coordinates.shape}; expected (points, "
                f"{len(self._directions)})."
            )
        shape = (len(objective.metrics), len(coordinates), 3)
        totals = torch.zeros(shape, dtype=torch.float64, device=objective.device)
        computed = np.zeros(len(coordinates), bool)
        try:
            with held_back() as check, self._work(check) as work:
                choice = objective.choice_for(work, coordinates)
                batches = objective.data.batches(choice.batch_size)
                with STRATEGIES[choice.strategy](work) as measure:
                    for start in range(0, len(coordinates), choice.chunk):
                        part = slice(start, start + choice.chunk)
                        totals[:, part] = measure(coordinates[part], batches)
                        computed[part] = True
                        if progress is not None:
                            progress.advance(int(computed[part].sum()))
        except KeyboardInterrupt:
            raise Interrupted(self._evaluation(totals, computed)) from None
        return self._evaluation(totals, computed)

    def _evaluation(self, totals: Tensor, computed: np.ndarray) -> Evaluation:
        data = self.objective.data
        mean, error = mean_and_error(
            totals.cpu().numpy(), size=data.size, population=data.population
        )
        mean[:, ~computed] = error[:, ~computed] = np.nan
        return Evaluation(tuple(self.objective.metrics), mean, error, computed)

    @contextmanager
    def _work(self, check: Callable[[], None]) -> Iterator[Work]:
        objective = self.objective
        with borrowed(
            objective.model,
            objective.layout,
            objective.buffers_layout,
            device=objective.device,
            dtype=objective.dtype,
        ) as loan:
            if objective.batch_norm == "batch":
                for module in objective.model.modules():
                    if isinstance(module, nn.modules.batchnorm._BatchNorm):
                        module.training = True
            yield Work(
                loan,
                objective.metrics,
                self._origin,
                self._directions,
                buffers=loan.buffers.clone() if self._buffers is None else self._buffers,
                buffer_directions=None,
                sample=objective.data.batches(2, most=2),
                check=check,
            )

    def _held(self, array: np.ndarray) -> Tensor:
        objective = self.objective
        return torch.as_tensor(np.array(array), dtype=objective.dtype, device=objective.device)
