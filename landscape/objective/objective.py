"""Objective: a model, its losses and a fixed data set, as a function of the flat parameter vector.

Everything measured here is the loss at affine combinations of a few vectors,
θ(c) = origin + Σ_k c_k · directions[k]; `Objective.restrict` makes that function of c, and only it
runs the model. Weights are always computed from the origin, never by accumulating steps.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from landscape.base.layout import Layout
from landscape.base.provenance import fingerprint
from landscape.base.settings import users_settings
from landscape.base.vector import Vector
from landscape.objective.data.held import DESCRIBED, HeldData, map_tensors
from landscape.objective.evaluation import Evaluation
from landscape.objective.inspection.look import Nature, look, look_again, runs
from landscape.objective.lending.loan import Loan, borrowed
from landscape.objective.matched import matched, matched_parameters
from landscape.objective.metrics import Metric
from landscape.objective.policies.batchnorm import POLICIES, BatchNorm
from landscape.objective.policies.precision import (
    REDUCED,
    Precision,
    arithmetic,
    check_precision,
    float_types,
    own_precision,
)
from landscape.objective.restriction import Restriction
from landscape.objective.returned import in_canonical_form
from landscape.objective.second_order.hessian import Hessian
from landscape.objective.strategies.choice import CHUNKED, STRATEGIES, Choice
from landscape.objective.strategies.memory import out_of_memory
from landscape.objective.strategies.repeatable import check_repeatable
from landscape.objective.strategies.search import choose, plain_seconds
from landscape.objective.strategies.work import Work
from landscape.objective.stretch import StretchRestriction

__all__ = ["Evaluation", "Objective", "Restriction"]

_WORTH_CHOOSING = 1.0  # seconds of work, done and to come
_LOOK = 8  # samples on which a loss is looked at


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
        if isinstance(loss, nn.Module) or not callable(loss):
            raise ValueError(
                f"loss is a {type(loss).__name__}; pass a function loss(model, batch), for example "
                "lambda model, batch: F.cross_entropy(model(batch[0]), batch[1])."
            )
        if batch_norm not in POLICIES:
            raise ValueError(
                f"batch_norm must be one of {', '.join(POLICIES)}; not {batch_norm!r}."
            )
        if strategy is not None and strategy not in STRATEGIES:
            raise ValueError(f"strategy must be one of {', '.join(STRATEGIES)}; not {strategy!r}.")
        if weight_decay is not None and not 0 <= weight_decay < math.inf:
            raise ValueError(f"weight_decay must be zero or positive; got {weight_decay}.")
        self.model = model
        self.metrics = in_canonical_form({"loss": loss, **(metrics or {})})
        self.layout = Layout.of(model)
        self.buffers_layout = Layout.of_buffers(model)
        self.device = torch.device(device) if device else next(model.parameters()).device
        own = own_precision(model)
        precision = own if precision is None else precision
        check_precision(precision, self.device)
        wide = precision == "native" and torch.float64 in float_types(model)
        self.dtype = torch.float64 if wide or precision == "double" else torch.float32
        self.batch_norm, self.precision, self.weight_decay = batch_norm, precision, weight_decay
        self.common_random_numbers = common_random_numbers
        self.data = HeldData(
            data, device=self.device, batch_size=batch_size, samples=samples, seed=seed
        )
        self._natures: dict[tuple, tuple[Any, Nature]] = {}
        if precision == own or precision == "native" or (precision in REDUCED and own == "single"):
            self._cast_if_needed()
        else:
            self.data.cast(self.dtype)
        self.choice: Choice | None = None
        self.programs: dict = {}
        self.shrunk = ""
        self._strategy, self._batch_size = strategy, batch_size
        self.plain = Choice("sequential", self.data.batch_size if self.data.joined else None)
        self._asked, self._repeatable = 0, False
        self._seconds: float | None = None
        self._settings = {**users_settings(settings), "precision": precision}
        if any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in model.modules()):
            self._settings["batch_norm"] = batch_norm
        if weight_decay is not None:
            self._settings["weight_decay"] = weight_decay
        if common_random_numbers is not None:
            told = {"common_random_numbers": common_random_numbers}
            self._settings |= {**told, "batch_size": self.data.batch_size}

    def __getstate__(self) -> dict[str, Any]:
        """What other processes are sent: compiled programs are not."""
        return {**self.__dict__, "programs": {}, "_natures": {}}

    @property
    def settings(self) -> dict[str, Any]:
        """What the numbers depend on: data, precision, batch-norm policy, device, fixed tensors.

        `fixed_hash` is that of the model's buffers (running statistics) and frozen parameters.
        """
        if "data_hash" not in self._settings:
            self._settings.update(self.data.describe(), device=str(self.device))
        trainable = {entry.name for entry in self.layout}
        frozen = [p for name, p in self.model.named_parameters() if name not in trainable]
        fixed = [t.detach().cpu() for t in (*frozen, *self.model.buffers())]
        if not fixed:
            return dict(self._settings)
        parts = [t.reshape(-1).view(torch.uint8).numpy() if t.numel() else t.numpy() for t in fixed]
        return {**self._settings, "fixed_hash": fingerprint(*parts)}

    @property
    def names(self) -> tuple[str, ...]:
        """Names of everything that is measured; the first is the loss."""
        decay = () if self.weight_decay is None else ("weight decay", "loss + weight decay")
        return (*self.metrics, *decay)

    def parameters(self) -> np.ndarray:
        """The model's present parameters as a flat vector, shape (P,)."""
        named = dict(self.model.named_parameters())
        parts = [named[e.name].detach().reshape(-1).cpu() for e in self.layout]
        flat = torch.cat(parts)
        return Vector((flat if flat.dtype == torch.float64 else flat.float()).numpy(), self.layout)

    def restrict(
        self,
        origin: np.ndarray,
        directions: np.ndarray,
        *,
        buffers: np.ndarray | None = None,
        buffer_directions: np.ndarray | None = None,
    ) -> Restriction:
        """The objective on the line, plane or point origin + Σ_k c_k · directions[k].

        Vectors that know their layout (of a trajectory, a line, a plane) are put in the model's
        order by name; plain arrays are taken to be in it.

        Args:
            origin: Shape (P,).
            directions: Shape (K, P); K may be zero.
            buffers: Flat floating-point buffers to evaluate with, shape (B,); None uses the
                model's own.
            buffer_directions: How the buffers move with the coordinates, shape (K, B), for
                statistics interpolated between recorded states; None keeps them fixed.

        Raises:
            ValueError: If the shapes do not fit the model.
        """
        return Restriction(self, *matched(self, origin, directions, buffers, buffer_directions))

    def choice_for(self, work: Work, coordinates: np.ndarray) -> Choice:
        """How to evaluate these points: chosen once, when there is enough work to pay for it."""
        self._asked += len(coordinates) if len(coordinates) > 1 else 0
        while True:
            try:
                self.check_repeatable(work)
                return self._chosen(work, coordinates) if len(coordinates) > 1 else self.plain
            except (RuntimeError, MemoryError) as problem:
                before = self.data.batch_size
                fixed = self.batch_norm != "frozen" or not self.data.joined or before == 1
                if fixed or work.nature.draws or not out_of_memory(problem):
                    raise
                self.data.batch_size = (min(before, self.data.size) + 1) // 2
                self.fit(self.plain, replace(self.plain, batch_size=self.data.batch_size))

    def _chosen(self, work: Work, coordinates: np.ndarray) -> Choice:
        fixed = self.batch_norm != "frozen" or not self.data.joined or work.nature.draws
        if self.choice is None:
            if self._seconds is None:
                self._seconds = plain_seconds(work, self.data, coordinates)
            if self._strategy is not None or self._seconds * self._asked > _WORTH_CHOOSING:
                given = fixed or self._batch_size is not None
                self.choice = choose(
                    work,
                    self.data,
                    coordinates,
                    seconds=self._seconds,
                    strategy=self._strategy,
                    batch_size=self.data.batch_size if given else None,
                )
        together = self.choice is not None and self.choice.strategy in CHUNKED
        if together and self._strategy is None and not work.fixed_buffers:
            return self.plain  # points measured together share their buffers
        return self.choice or self.plain

    @property
    def evaluation(self) -> dict[str, Any]:
        """How points are evaluated, for provenance."""
        told = (self.choice or self.plain).describe()
        return {**told, "memory": self.shrunk} if self.shrunk else told

    def fit(self, choice: Choice, smaller: Choice) -> None:
        """Evaluate fewer points or samples at once from now on: more do not fit in memory."""
        self.shrunk = (
            f"{smaller.chunk} of {choice.chunk} points at once, batches of {smaller.batch_size} "
            f"of {choice.batch_size}: more did not fit"
        )
        if choice is self.choice:
            self.choice = smaller
        else:
            self.plain = smaller

    @property
    def seconds_per_point(self) -> float | None:
        """What a point is expected to cost; None before anything was timed."""
        if self.choice is not None and math.isfinite(self.choice.seconds):
            return self.choice.seconds
        return self._seconds

    def check_repeatable(self, work: Work) -> None:
        """Refuse, once, a model or loss that gives another number when it is asked again."""
        if not self._repeatable:
            free = self._batch_size is None and self.data.joined and self.batch_norm == "frozen"
            free = free and not work.nature.draws
            self._seconds = check_repeatable(work, self.data, rebatch=free)
            self._repeatable = True

    @property
    def rounding(self) -> torch.dtype:
        """The type in which most of the model is computed."""
        narrow = self.precision == "native" and any(t.itemsize < 4 for t in float_types(self.model))
        if narrow or self.precision in REDUCED:
            return torch.bfloat16
        return torch.float32 if self.precision == "native" else self.dtype

    def nature(self, loan: Loan) -> Nature:
        """What a look at the metrics finds; the first time the model is lent, they are looked at.

        Args:
            loan: The model, at its own weights.

        Raises:
            ValueError: If they cannot be measured; the message says why.
        """
        key = tuple(map(id, self.metrics.values()))
        if key not in self._natures:
            full = "single" if self.precision in REDUCED else self.precision
            with arithmetic(full, self.device):
                self._natures[key] = self.metrics, self._look(loan)
        return self._natures[key][1]

    def _look(self, loan: Loan) -> Nature:
        size, common = _LOOK, self.common_random_numbers
        whole, most = self.data.batches(most=1)[0]
        while True:
            few, samples = self.data.batches(size, most=size)[0]
            try:
                nature = look(loan, self.metrics, few, common=common)
                break
            except Exception as problem:
                if not out_of_memory(problem):
                    # A loss may need more samples than a few; else it says the same once more.
                    return look(loan, self.metrics, whole, common=common)
                if not self.data.joined or size == 1:
                    raise
                size //= 2
        if samples == most or size < _LOOK:
            return nature
        return look_again(loan, self.metrics, whole, nature, common=common)

    def _cast_if_needed(self) -> None:
        """Convert floating-point samples to the model's type where it cannot take them as given."""
        batch = self.data.batches(_LOOK, most=_LOOK)[0][0]
        types: set[torch.dtype] = set()
        map_tensors(batch, lambda t: types.add(t.dtype) or t)
        own = next((p.dtype for p in self.model.parameters() if p.is_floating_point()), self.dtype)
        if not any(t.is_floating_point and t != own for t in types):
            return
        options = {"device": self.device, "dtype": self.dtype, "native": self.precision == "native"}
        with borrowed(self.model, self.layout, self.buffers_layout, **options) as loan:
            if runs(loan, self.metrics, batch):
                return
            given = copy.copy(self.data)
            self.data.cast(own)
            if not runs(loan, self.metrics, self.data.batches(_LOOK, most=_LOOK)[0][0]):
                self.data = given

    def part(self, index: np.ndarray | None, *, metrics: Mapping[str, Metric]) -> Objective:
        """The same model on some of the held samples (None: all), with other metrics.

        Weight decay, which no sample changes, is left out. The model is shared, not copied.
        """
        part = copy.copy(self)
        part.metrics, part.weight_decay, part._settings = dict(metrics), None, {}
        if index is not None:
            part.data = self.data.part(index)
        return part

    def subset(self, samples: int, *, seed: int = 0) -> Objective:
        """The same objective on so many of the held samples; a larger subset holds a smaller."""
        order = np.random.default_rng(seed).permutation(self.data.size)
        part = self.part(np.sort(order[:samples]), metrics=self.metrics)
        settings = {k: v for k, v in self._settings.items() if k not in DESCRIBED}
        part.weight_decay, part._settings = self.weight_decay, settings
        return part

    def stretches(
        self,
        order: np.ndarray,
        origin: np.ndarray,
        directions: np.ndarray,
        *,
        buffers: np.ndarray | None = None,
        buffer_directions: np.ndarray | None = None,
    ) -> StretchRestriction:
        """Like `restrict`, with the stretch of an order of samples as two more coordinates."""
        return StretchRestriction(
            order, self, *matched(self, origin, directions, buffers, buffer_directions)
        )

    def matched(self, vector: np.ndarray) -> np.ndarray:
        """A point in the order of the model's parameters, by name; see `restrict`."""
        return Vector(matched_parameters(self, vector, moves=False), self.layout)

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
