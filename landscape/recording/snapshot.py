"""Snapshot: flat float32 copies of a model's parameters, buffers and evaluation parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from landscape.layout import Layout
from landscape.recording.slots import Flat, Slot

Evaluation = nn.Module | Callable[[], Mapping[Any, Tensor] | Iterable[Tensor]]


class Buffers:
    """A model's floating-point buffers, looked up anew each time: modules may replace them."""

    def __init__(self, model: nn.Module, layout: Layout) -> None:
        names = (entry.name.rpartition(".") for entry in layout)
        self._places = [(model.get_submodule(prefix), name) for prefix, _, name in names]

    def present(self) -> list[Tensor]:
        """The buffers in the order of the layout."""
        return [getattr(module, name) for module, name in self._places]


class Evaluated:
    """The parameters that are evaluated where they differ from the stepped ones.

    Args:
        source: A module with parameters of the same names (a ``module.`` in front of them, as
            in `AveragedModel`, is ignored), or a function that returns tensors by name, by
            parameter, or in the order of `named`. What it does not return is the parameter.
        named: The recorded parameters by name.
    """

    def __init__(self, source: Evaluation, named: dict[str, nn.Parameter]) -> None:
        self._source, self._named = source, named

    def present(self) -> list[Tensor]:
        """The tensors in the order of the recorded parameters."""
        if isinstance(self._source, nn.Module):
            given: Any = self._source.named_parameters()
            given = {name.removeprefix("module."): p for name, p in given}
        else:
            given = self._source()
        if not isinstance(given, Mapping):
            return list(given)
        return [given.get(name, given.get(p, p)) for name, p in self._named.items()]


class Snapshot:
    """What is recorded of a model, copied when asked.

    Args:
        model: The model.
        layout: The parameters that are recorded.
        buffers_layout: The buffers that are recorded.
        evaluation: Where the evaluation parameters come from; None: there are none.
        gradient: Whether gradients are looked at.

    Attributes:
        parameters: The recorded parameters themselves.
        device: Where they are: the GPU that holds all of them, else the CPU.
        staged: Name to layout of what goes through a slot. Gradients on a GPU stay there.
    """

    def __init__(
        self,
        model: nn.Module,
        layout: Layout,
        buffers_layout: Layout,
        evaluation: Evaluation | None,
        *,
        gradient: bool,
    ) -> None:
        named = dict(model.named_parameters())
        recorded = {entry.name: named[entry.name] for entry in layout}
        self.parameters = list(recorded.values())
        devices = {p.device for p in self.parameters}
        on_gpu = len(devices) == 1 and self.parameters[0].is_cuda
        self.device = self.parameters[0].device if on_gpu else torch.device("cpu")
        self.staged = {"parameters": layout}
        if buffers_layout.size:
            self.staged["buffers"] = buffers_layout
        if evaluation is not None:
            self.staged["evaluation"] = layout
        copied = {**self.staged, "gradient": layout} if gradient else self.staged
        self._on_device: dict[str, Flat] = {}
        if on_gpu:
            for name, held in copied.items():
                self._on_device[name] = self._empty(held)
        else:
            self.staged = copied
        self._named = named
        self._buffers = Buffers(model, buffers_layout)
        self._evaluated = None if evaluation is None else Evaluated(evaluation, recorded)

    def flat(self, name: str, slot: Slot) -> Flat:
        """Where to read `name` into: the slot, or the GPU that it is copied from later."""
        return self._on_device[name] if self._on_device else slot.parts[name]

    def initial(self) -> Tensor:
        """A copy of the parameters as they are, float32, shape (P,)."""
        return self._empty(self.staged["parameters"]).read(self.parameters)

    def values(self, layout: Layout) -> np.ndarray:
        """Any of the model's parameters as they are, float32, flat."""
        parts = [self._named[e.name].detach().float().cpu().reshape(-1) for e in layout]
        return torch.cat(parts).numpy() if parts else np.empty(0, np.float32)

    def read_parameters(self, slot: Slot) -> Tensor:
        """Read the parameters as they are, on their own device."""
        return self.flat("parameters", slot).read(self.parameters)

    def store(self, slot: Slot) -> None:
        """Start copying the parameters that were read, and the present buffers, into the slot."""
        if "buffers" in self.staged:
            self.flat("buffers", slot).read(self._buffers.present())
        self._copy(slot, ("parameters", "buffers"))

    def store_evaluation(self, slot: Slot) -> None:
        """Start copying the evaluation parameters, if there are any, into the slot."""
        if self._evaluated is not None:
            self.flat("evaluation", slot).read(self._evaluated.present())
            self._copy(slot, ("evaluation",))

    def _empty(self, layout: Layout) -> Flat:
        return Flat(torch.zeros(layout.size, device=self.device), layout)

    def _copy(self, slot: Slot, names: Iterable[str]) -> None:
        for name in names:
            if name in self._on_device:
                slot.parts[name].vector.copy_(self._on_device[name].vector, non_blocking=True)
