"""Problem: a model, what is measured of it, on which data, and how; it never changes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import nn

from landscape.base.layout import Layout
from landscape.base.provenance import fingerprint
from landscape.base.settings import users_settings
from landscape.objective.data.held import HeldData, map_tensors
from landscape.objective.data.shortened import shortened, telling
from landscape.objective.free_memory import out_of_memory
from landscape.objective.inspection.look import look, look_again, runs
from landscape.objective.inspection.nature import Nature
from landscape.objective.inspection.present import check_present, gathered
from landscape.objective.inspection.watched import watched
from landscape.objective.lending.loan import Loan, borrowed
from landscape.objective.lending.reach import Reached
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
from landscape.objective.returned import Canonical, in_canonical_form
from landscape.results.conditions import Conditions

_LOOK = 8  # samples on which a loss is looked at


@dataclass(frozen=True, eq=False)
class Problem:
    """What is measured. Made by `problem_of`; parts and variants of it are made by its methods.

    Attributes:
        model: Borrowed, not copied; its own tensors are put back after every measurement.
        metrics: Name to metric; the first is the loss.
        data: The samples, on the device.
        layout: Which slice of a flat vector is which trainable parameter.
        buffers_layout: The same of floating-point buffers.
        device: Where it is computed.
        precision: In what it is computed; see `landscape.objective.policies.precision`.
        dtype: Type of the flat vectors.
        batch_norm: Whose statistics batch norms use.
        weight_decay: λ of an L2 penalty that is measured beside the loss, or None.
        common_random_numbers: Seed of what the metrics draw, or None.
        batch_size: The size of batches that was asked for; None leaves it free.
        said: What the user wants kept with the results.
    """

    model: nn.Module
    metrics: Mapping[str, Metric]
    data: HeldData
    layout: Layout
    buffers_layout: Layout
    device: torch.device
    precision: Precision
    dtype: torch.dtype
    batch_norm: BatchNorm
    weight_decay: float | None
    common_random_numbers: int | None
    batch_size: int | None
    said: Mapping[str, Any]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of everything that is measured; the first is the loss."""
        decay = () if self.weight_decay is None else ("weight decay", "loss + weight decay")
        return (*self.metrics, *decay)

    @cached_property
    def conditions(self) -> Conditions:
        """All that the numbers depend on and cannot change; the data is hashed once."""
        norms = any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in self.model.modules())
        common = self.common_random_numbers
        return Conditions(
            said=self.said,
            precision=self.precision,
            batch_norm=self.batch_norm if norms else None,
            weight_decay=self.weight_decay,
            common_random_numbers=common,
            batch_size=None if common is None else self.data.batch_size,
            **self.data.describe(),
        )

    @property
    def settings(self) -> dict[str, Any]:
        """The conditions by name, with the device and a hash of what is fixed in the model now.

        `fixed_hash` is that of its buffers (running statistics) and frozen parameters: the model
        is the user's, who may change them between two measurements.
        """
        now = {"device": str(self.device), "fixed_hash": self._fixed_hash()}
        return replace(self.conditions, **now).settings()

    def _fixed_hash(self) -> str | None:
        trainable = {entry.name for entry in self.layout}
        frozen = [p for name, p in self.model.named_parameters() if name not in trainable]
        fixed = [gathered(t).cpu() for t in (*frozen, *self.model.buffers())]
        if not fixed:
            return None
        bytes_ = (t.reshape(-1).view(torch.uint8) if t.numel() else t for t in fixed)
        return fingerprint(*(t.numpy() for t in bytes_))

    @property
    def rounding(self) -> torch.dtype:
        """The type in which most of the model is computed."""
        narrow = self.precision == "native" and any(t.itemsize < 4 for t in float_types(self.model))
        if narrow or self.precision in REDUCED:
            return torch.bfloat16
        return torch.float32 if self.precision == "native" else self.dtype

    @property
    def may_rebatch(self) -> bool:
        """Whether batches of any size give the same numbers."""
        free = self.batch_size is None and self.data.joined
        return free and self.batch_norm == "frozen"

    def on(self, samples: np.ndarray) -> Problem:
        """The same on some of the samples, by index; the model is shared, the samples are copied.

        Raises:
            ValueError: If the data cannot be cut into samples.
        """
        return replace(self, data=self.data.part(samples))

    def measured_by(self, metrics: Mapping[str, Metric]) -> Problem:
        """The same with other metrics, without weight decay."""
        return replace(self, metrics=dict(metrics), weight_decay=None)

    def in_double(self) -> Problem:
        """The same in double precision."""
        data = self.data.cast(torch.float64)
        return replace(self, data=data, dtype=torch.float64, precision="double")

    def reached(self) -> Reached:
        """What the metrics, as the user wrote them, reach now; looked up anew, for it changes."""
        metrics = self.metrics.values()
        return Reached(m.metric if isinstance(m, Canonical) else m for m in metrics)

    def look(self, loan: Loan, *, shortly: bool = True) -> Nature:
        """What a look at the metrics finds, on a few samples; see `look_whole`.

        Args:
            loan: The model, at its own weights.
            shortly: Whether a few tokens will do, where passes are dear.

        Raises:
            ValueError: If they cannot be measured; the message says why.
        """
        with self._looking():
            return self._looked(loan, shortly and loan.stream is not None)

    def look_whole(self, loan: Loan, nature: Nature) -> Nature:
        """What a look at the first batch finds, if that is larger than what was looked at.

        Args:
            loan: The model, at its own weights.
            nature: What was found on a few samples.

        Raises:
            ValueError: As `look` does.
        """
        whole, most = self.data.batches(most=1)[0]
        if not self.data.joined or most <= _few_of(most, loan):
            return nature  # that is what was looked at
        if loan.stream is not None and most == self.data.size and self.device.type == "cpu":
            return nature  # a look at all samples is as dear as a point: see `draws_later`
        with self._looking():
            return look_again(loan, self.metrics, whole, nature, common=self.common_random_numbers)

    def _looking(self) -> AbstractContextManager[None]:
        return arithmetic("single" if self.precision in REDUCED else self.precision, self.device)

    def _looked(self, loan: Loan, shortly: bool) -> Nature:
        common, (whole, most) = self.common_random_numbers, self.data.batches(most=1)[0]
        size = _few_of(most, loan)
        while True:
            few, _ = self.data.batches(size, most=size)[0]
            try:
                nature = self._looked_shortly(loan, few) if shortly else None
                return nature or look(loan, self.metrics, few, common=common)
            except Exception as problem:
                if not out_of_memory(problem):
                    # A loss may need more samples than a few; else it says the same once more.
                    return look(loan, self.metrics, whole, common=common)
                if not self.data.joined or size == 1:
                    raise
                size //= 2

    def _looked_shortly(self, loan: Loan, batch: Any) -> Nature | None:
        """The same on a few tokens, where passes are dear; None where these do not tell."""
        if (short := shortened(batch)) is None:
            return None
        first = watched(loan, self.metrics, short[0], gradients=False, seed=0, own=frozenset())
        if first.problem is not None or not telling(first.values):
            return None
        common = self.common_random_numbers
        return look(loan, self.metrics, short[0], common=common, without=first)

    def __getstate__(self) -> dict[str, Any]:
        """The device travels as a tensor, so that what maps tensors to another device maps it."""
        return {**self.__dict__, "device": torch.empty(0, device=self.device)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, device=state["device"].device)


def _few_of(most: int, loan: Loan) -> int:
    """On how many samples a loss is looked at: of a large model on no more than a batch."""
    return _LOOK if loan.stream is None else min(2, most)


def problem_of(
    model: nn.Module,
    loss: Metric,
    data: Any,
    *,
    metrics: Mapping[str, Metric] | None,
    device: str | torch.device | None,
    precision: Precision | None,
    batch_norm: BatchNorm,
    weight_decay: float | None,
    batch_size: int | None,
    samples: int | None,
    seed: int,
    common_random_numbers: int | None,
    settings: Mapping[str, Any] | None,
) -> Problem:
    """What `Objective` is asked to measure, checked and read; its arguments are explained there.

    Raises:
        ValueError: As `Objective` does.
    """
    if isinstance(loss, nn.Module) or not callable(loss):
        raise ValueError(
            f"loss is a {type(loss).__name__}; pass a function loss(model, batch), for example "
            "lambda model, batch: F.cross_entropy(model(batch[0]), batch[1])."
        )
    if batch_norm not in POLICIES:
        raise ValueError(f"batch_norm must be one of {', '.join(POLICIES)}; not {batch_norm!r}.")
    if weight_decay is not None and not 0 <= weight_decay < math.inf:
        raise ValueError(f"weight_decay must be zero or positive; got {weight_decay}.")
    check_present(model)
    canonical = in_canonical_form({"loss": loss, **(metrics or {})})
    layout, buffers_layout = Layout.of(model), Layout.of_buffers(model)
    where = torch.device(device) if device else next(model.parameters()).device
    own = own_precision(model)
    precision = own if precision is None else precision
    check_precision(precision, where)
    wide = precision == "native" and torch.float64 in float_types(model)
    problem = Problem(
        model,
        canonical,
        HeldData(data, device=where, batch_size=batch_size, samples=samples, seed=seed),
        layout,
        buffers_layout,
        where,
        precision,
        torch.float64 if wide or precision == "double" else torch.float32,
        batch_norm,
        weight_decay,
        common_random_numbers,
        batch_size,
        users_settings(settings),
    )
    if precision == own or precision == "native" or (precision in REDUCED and own == "single"):
        return _cast_if_needed(problem)
    return replace(problem, data=problem.data.cast(problem.dtype))


def _cast_if_needed(problem: Problem) -> Problem:
    """Convert floating-point samples to the model's type where it cannot take them as given."""
    model, data = problem.model, problem.data
    batch = data.batches(_LOOK, most=_LOOK)[0][0]
    types: set[torch.dtype] = set()
    map_tensors(batch, lambda t: types.add(t.dtype) or t)
    own = next((p.dtype for p in model.parameters() if p.is_floating_point()), problem.dtype)
    if not any(t.is_floating_point and t != own for t in types):
        return problem
    options = {"device": problem.device, "dtype": problem.dtype}
    native = problem.precision == "native"
    with borrowed(model, problem.layout, problem.buffers_layout, native=native, **options) as loan:
        if runs(loan, problem.metrics, batch):
            return problem
        cast = data.cast(own)
        accepted = runs(loan, problem.metrics, cast.batches(_LOOK, most=_LOOK)[0][0])
    return replace(problem, data=cast) if accepted else problem
