"""Metrics that need care are called so that every call finds everything as the user left it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from landscape.objective.inspection.holding import Slot, slot_at
from landscape.objective.inspection.nature import Nature
from landscape.objective.lending.aside import Aside
from landscape.objective.lending.draws import Streams, drawing_from
from landscape.objective.lending.loan import alone
from landscape.objective.lending.reach import put_at, seed_anew, state_of
from landscape.objective.metrics import Metric


class Guard:
    """How the metrics of a piece of work are called.

    Attributes:
        batch: The number of the batch that comes; common random numbers depend on it.
    """

    aside: Aside
    model: nn.Module
    nature: Nature
    seed: int

    def __init__(
        self, model: nn.Module, nature: Nature, aside: Aside, slots: list[Slot], seed: int
    ) -> None:
        self.model, self.nature, self.aside, self.seed = model, nature, aside, seed
        self.parameters: list[nn.Parameter] = list(model.parameters())
        self.batch = 0
        self.streams: Streams | None = Streams((seed, 0)) if nature.draws else None
        self.slots = slots

    def begin(self, batch: int) -> None:
        """Say the number of the batch that comes."""
        self.batch: int = batch

    def guarded(self, metric: Metric) -> Metric:
        """The same metric, called with care."""

        def call(model: nn.Module, batch: Any) -> Any:
            outer = torch.is_grad_enabled()
            self.aside.reset()
            for slot in self.slots:
                slot.put_back()
            for parameter in self.parameters if self.nature.backward else ():
                parameter.grad = None
            enabled = torch.set_grad_enabled(outer or self.nature.gradients)
            with enabled, self._weights_put_back(), self._draws():
                value = metric(model, batch)
            return value if outer else tree_map(_detached, value)

        return call

    @contextlib.contextmanager
    def _draws(self) -> Iterator[None]:
        if self.streams is None:
            yield
            return
        self.streams.begin((self.seed, self.batch))
        self.streams.instead = frozenset(map(id, self.nature.generators))
        for generator in self.nature.others:
            seed_anew(generator, (self.seed, self.batch))
        with drawing_from(self.streams):
            yield

    @contextlib.contextmanager
    def _weights_put_back(self) -> Iterator[None]:
        if not self.nature.moves:
            yield
            return
        places = [p.data for p in self.parameters]
        before = [place.clone() for place in places]
        try:
            yield
        finally:
            with torch.no_grad():
                for parameter, place, value in zip(self.parameters, places, before, strict=True):
                    parameter.data = place
                    place.copy_(value)


@contextlib.contextmanager
def guard(
    model: nn.Module, metrics: Mapping[str, Metric], nature: Nature, *, seed: int
) -> Iterator[tuple[Mapping[str, Metric], Callable[[int], None]]]:
    """Metrics to measure with, and what is told the number of every batch before.

    What the metrics reach of the user's is put back at the end.
    """
    if nature.plain:
        yield metrics, lambda batch: None
        return
    reached = [*nature.leaves, *nature.written, *nature.modules]
    drawn = [(generator, state_of(generator)) for generator in nature.others]
    aside, slots = Aside(), [slot_at(place, name) for place, name in nature.assigned]
    with alone(reached):
        try:
            for module, name in nature.kept:
                aside.attribute(module, name)
            for leaf in nature.leaves:
                aside.leaf(leaf)
            for tensor in nature.written:
                aside.storage(tensor)
            made = Guard(model, nature, aside, slots, seed)
            yield {name: made.guarded(metric) for name, metric in metrics.items()}, made.begin
        finally:
            aside.put_back()
            for generator, state in drawn:
                put_at(generator, state)
            for slot in slots:
                slot.put_back()


def _detached(value: Any) -> Any:
    return value.detach() if isinstance(value, Tensor) else value
