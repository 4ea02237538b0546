"""Objective: a model, its losses and a fixed data set, as a function of the flat parameter vector.

Everything measured here is the loss at affine combinations of a few vectors,
θ(c) = origin + Σ_k c_k · directions[k]; `Objective.restrict` makes that function of c, and only it
runs the model. Weights are always computed from the origin, never by accumulating steps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from landscape.base.layout import Layout
from landscape.base.shown import short
from landscape.base.vector import Vector
from landscape.objective.data.held import HeldData
from landscape.objective.evaluation import Evaluation
from landscape.objective.family import family_of
from landscape.objective.inspection.present import gathered
from landscape.objective.matched import matched_point
from landscape.objective.metrics import Metric
from landscape.objective.policies.batchnorm import BatchNorm
from landscape.objective.policies.precision import Precision
from landscape.objective.problem import Problem, problem_of
from landscape.objective.restriction import Restriction
from landscape.objective.statistics import own_digest
from landscape.objective.strategies.choice import Choice, check_strategy
from landscape.objective.tuning import Tuning
from landscape.objective.vectors.family import lazy_family_of
from landscape.objective.vectors.lazy import LazyVector, any_lazy

if TYPE_CHECKING:
    from landscape.objective.second_order.hessian import Hessian

__all__ = ["Evaluation", "Objective", "Restriction", "subset_of"]


def subset_of(size: int, samples: int, *, seed: int) -> np.ndarray:
    """So many of `size` samples, by index, in order; a larger subset holds a smaller."""
    return np.sort(np.random.default_rng(seed).permutation(size)[:samples])


class Objective:
    """A model, a loss and a fixed data set, as a function of the flat parameter vector.

    The model is borrowed, not copied: its own tensors are set aside while points are evaluated
    and put back exactly, also after an exception or Ctrl-C. It is evaluated in evaluation mode
    (no dropout, frozen batch-norm statistics), without gradients.

    Args:
        model: Any module. Its trainable parameters make up the flat vector.
        loss: `loss(model, batch)`: one value per sample, the batch mean, a pair (sum, weight), or
            an output with a ``.loss``; see `landscape.objective.returned`.
        data: A tuple or dict of tensors, a `Dataset`, an iterable of batches, read once, or None if
            the loss brings its own; see `landscape.objective.data.held`.
        metrics: Further named metrics measured in the same pass, for example ``error``.
        device: Where to compute; default: where the model is.
        precision: None computes as the user's own call does: a model in double precision in
            double, one of half precision or of several types with every tensor in its own. Or one
            of ``single``, ``double``, ``native``, ``bfloat16``, ``tf32`` (NVIDIA GPUs): see
            `landscape.objective.policies.precision`. With the last two a few points are measured
            again in single precision for `Evaluation.observed_error`.
        batch_norm: ``frozen`` uses the stored running statistics, ``recalibrated`` estimates them
            anew at every point, ``batch`` uses those of each batch; see
            `landscape.objective.policies.batchnorm`.
        weight_decay: λ of an L2 penalty. Adds two metrics, ``weight decay`` = λ/2 ‖θ‖² over the
            trainable parameters and ``loss + weight decay``.
        batch_size: Samples per forward pass; None finds a good one by timing.
        strategy: How points are evaluated, a name in `STRATEGIES` of
            `landscape.objective.strategies.choice`; None chooses by timing the real work. A choice
            is remembered in the user's cache folder, unless ``LANDSCAPE_REMEMBER=0`` is set.
            No strategy changes a result beyond rounding, but for bitwise equal numbers give both
            `strategy` and `batch_size`.
        samples: Measure on a fixed random subset of this size.
        seed: Seed of the subset.
        common_random_numbers: For a loss that draws random numbers (a variational autoencoder, a
            diffusion model): a seed from which it draws the same at every point. The draws differ
            from batch to batch, so the number belongs to this seed and this `batch_size`. None
            refuses such a loss. Nobody else's random numbers are touched.
        settings: Anything about the task worth keeping with the results: texts, numbers, lists
            and tables. It is found under ``user`` in their settings, ``task`` and ``data`` as such.

    Raises:
        ValueError: If the data is empty or malformed, an option is unknown, or a setting cannot
            be kept in a file.

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
        precision: Precision | None = None,
        batch_norm: BatchNorm = "frozen",
        weight_decay: float | None = None,
        batch_size: int | None = None,
        strategy: str | None = None,
        samples: int | None = None,
        seed: int = 0,
        common_random_numbers: int | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        check_strategy(strategy)
        self.problem: Problem = problem_of(
            model,
            loss,
            data,
            metrics=metrics,
            device=device,
            precision=precision,
            batch_norm=batch_norm,
            weight_decay=weight_decay,
            batch_size=batch_size,
            samples=samples,
            seed=seed,
            common_random_numbers=common_random_numbers,
            settings=settings,
        )
        self.tuning: Tuning = Tuning(self.problem, strategy=strategy)

    def __repr__(self) -> str:
        return short(
            "Objective", f"{type(self.model).__name__} of {self.layout.size:,} parameters",
            *self.names, f"{self.data.size:,} samples", self.precision, self.device,
        )  # fmt: skip

    @property
    def model(self) -> nn.Module:
        """The model, which is lent while it is measured."""
        return self.problem.model

    @property
    def metrics(self) -> Mapping[str, Metric]:
        """Name to what is measured of model and batch; the first is the loss."""
        return self.problem.metrics

    @property
    def names(self) -> tuple[str, ...]:
        """Names of everything that is measured; the first is the loss."""
        return self.problem.names

    @property
    def data(self) -> HeldData:
        """The samples, on the device."""
        return self.problem.data

    @property
    def layout(self) -> Layout:
        """Which slice of a flat vector is which trainable parameter."""
        return self.problem.layout

    @property
    def buffers_layout(self) -> Layout:
        """The same of the model's floating-point buffers."""
        return self.problem.buffers_layout

    @property
    def device(self) -> torch.device:
        """Where it is computed."""
        return self.problem.device

    @property
    def precision(self) -> Precision:
        """In what it is computed."""
        return self.problem.precision

    @property
    def batch_norm(self) -> BatchNorm:
        """Whose statistics batch norms use."""
        return self.problem.batch_norm

    @property
    def weight_decay(self) -> float | None:
        """λ of the L2 penalty that is measured too, or None."""
        return self.problem.weight_decay

    @property
    def settings(self) -> dict[str, Any]:
        """What the numbers depend on; see `Problem.settings`."""
        return self.problem.settings

    @property
    def choice(self) -> Choice | None:
        """How points are evaluated; None before there was enough work to choose for."""
        return self.tuning.choice

    @property
    def evaluation(self) -> dict[str, Any]:
        """How points are evaluated, for provenance."""
        return self.tuning.evaluation

    @property
    def seconds_per_point(self) -> float | None:
        """What a point is expected to cost; None before anything was timed."""
        return self.tuning.seconds_per_point(self.data.size)

    def parameters(self) -> np.ndarray:
        """The model's present parameters as a flat vector, shape (P,)."""
        named = dict(self.model.named_parameters())
        parts = [gathered(named[e.name]).reshape(-1).cpu() for e in self.layout]
        flat = torch.cat(parts)
        wide = flat.dtype == torch.float64
        found = Vector((flat if wide else flat.float()).numpy(), self.layout)
        if (held := own_digest(self.problem)) is not None:
            told = {"of": type(self.model).__name__, "hash": held}
            found.recorded = lambda: told
        return found

    def restrict(
        self,
        origin: np.ndarray | LazyVector | None,
        directions: np.ndarray | Sequence[LazyVector],
        *,
        buffers: np.ndarray | None = None,
        buffer_directions: np.ndarray | None = None,
    ) -> Restriction:
        """The objective on the line, plane or point origin + Σ_k c_k · directions[k].

        Vectors that know their layout (of a trajectory, a line, a plane) are put in the model's
        order by name; plain arrays are taken to be in it.

        Args:
            origin: Shape (P,), or a vector that is not held; None: the model's own weights.
            directions: Shape (K, P); K may be zero. Or vectors that are not held.
            buffers: Flat floating-point buffers to evaluate with, shape (B,); None uses the
                model's own.
            buffer_directions: How the buffers move with the coordinates, shape (K, B), for
                statistics interpolated between recorded states; rows beyond K are of further
                coordinates, which move the buffers only. None keeps them fixed.

        Raises:
            ValueError: If the shapes do not fit the model.
        """
        made: Any = lazy_family_of if any_lazy(origin, directions) else family_of
        family = made(self.problem, origin, directions, buffers, buffer_directions)
        return Restriction(self.problem, family, self.tuning)

    def along(
        self,
        place: Any,
        *,
        buffers: np.ndarray | None = None,
        buffer_directions: np.ndarray | None = None,
    ) -> Restriction:
        """The objective on a line or a plane of any kind: held, seeded, or read from files.

        Args:
            place: A `Line`, `Plane`, or one whose vectors are made while they are measured.
            buffers: As for `restrict`.
            buffer_directions: As for `restrict`.

        Raises:
            ValueError: If it belongs to another model.
        """
        from landscape.objective.vectors.known import vectors_of  # which reads files

        origin, directions = vectors_of(place, self.problem)
        return self.restrict(
            origin, directions, buffers=buffers, buffer_directions=buffer_directions
        )

    def subset(self, samples: int, *, seed: int = 0) -> Objective:
        """The same objective on so many of the held samples; a larger subset holds a smaller."""
        part = self.on(subset_of(self.data.size, samples, seed=seed))
        part.tuning = self.tuning.copy()
        return part

    def on(self, samples: np.ndarray | None) -> Objective:
        """The same objective on some of the held samples, by index; None: on all."""
        if samples is None:
            return self
        part = Objective.__new__(Objective)
        part.problem, part.tuning = self.problem.on(samples), self.tuning
        return part

    def matched(self, vector: np.ndarray) -> np.ndarray:
        """A point in the order of the model's parameters, by name; see `restrict`."""
        return Vector(matched_point(self.problem, vector), self.layout)

    def at(self, vector: np.ndarray, *, buffers: np.ndarray | None = None) -> Evaluation:
        """The metrics at one point, shape (metrics, 1)."""
        return self.restrict(vector, np.zeros((0, vector.size)), buffers=buffers)(np.zeros((1, 0)))

    def gradient(self, vector: np.ndarray, *, buffers: np.ndarray | None = None) -> np.ndarray:
        """∂ loss / ∂ θ over the whole data at one point, without weight decay, shape (P,)."""
        at = self.restrict(vector, np.zeros((0, vector.size)), buffers=buffers)
        return Vector(at.gradient(np.zeros(0)), self.layout)

    def hessian(
        self, vector: np.ndarray, *, buffers: np.ndarray | None = None, tensors: str | None = None
    ) -> AbstractContextManager[Hessian]:
        """∂² loss / ∂ θ² over the whole data at one point, without weight decay, as an operator.

        Args:
            vector: The point, shape (P,).
            buffers: As for `restrict`.
            tensors: A regular expression: only the block of the tensors whose names it finds.

        Returns:
            A context manager that lends the model to a `scipy` LinearOperator.

        Raises:
            ValueError: If the loss has no second derivative that autograd sees; it says why.

        >>> from torch import nn
        >>> def loss(model, batch):
        ...     return (model(batch[0]) - batch[1]).square().mean()
        >>> data = (torch.full((4, 1), 2.0), torch.zeros(4, 1))
        >>> objective = Objective(nn.Linear(1, 1, bias=False), loss, data)
        >>> with objective.hessian(np.array([3.0])) as hessian:
        ...     (hessian @ np.array([1.0])).item(), hessian.gradient.item(), hessian.count
        (8.0, 24.0, 1)
        """
        return self.restrict(vector, np.zeros((0, vector.size)), buffers=buffers).hessian(
            np.zeros(0), tensors=tensors
        )
