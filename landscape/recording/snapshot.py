"""Snapshot: flat copies of a model's parameters, buffers and evaluation parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from landscape.base.layout import Layout
from landscape.recording.second_moment import SecondMoments
from landscape.recording.slots import Flat, Slot, Staged

Evaluation = nn.Module | Callable[[], Mapping[Any, Tensor] | Iterable[Tensor]]


class Buffers:
    """A model's floating-point buffers, looked up anew each time: modules may replace them.

    One that is gone, or has another shape than at first, counts as NaN.
    """

    def __init__(self, model: nn.Module, layout: Layout) -> None:
        self._model, self._layout = model, layout
        self._nan = torch.tensor(torch.nan, device="cpu")
        self.find()

    def find(self) -> None:
        """Look up the modules anew."""
        modules = dict(self._model.named_modules())
        names = ((entry.name.rpartition("."), entry.shape) for entry in self._layout)
        self._places = [(modules.get(prefix), name, shape) for (prefix, _, name), shape in names]

    def present(self) -> list[Tensor]:
        """The buffers in the order of the layout."""
        found = [getattr(module, name, self._nan) for module, name, _ in self._places]
        return [
            self._nan if b is None or b.shape != shape else b
            for b, (_, _, shape) in zip(found, self._places, strict=True)
        ]

    def others(self) -> list[str]:
        """Names of those that are new, gone, or of another shape than at first."""
        now = {entry.name: entry.shape for entry in Layout.of_buffers(self._model)}
        first = {entry.name: entry.shape for entry in self._layout}
        return [n for n in {**first, **now} if now.get(n) != first.get(n)]


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
        beside: Tensors that are recorded beside the model's.
        evaluation: Where the evaluation parameters come from; None: there are none.
        moments: Where the optimizer's second moments come from; None: they are not recorded.
        gradient: Whether gradients are looked at.
        dtype: The precision of the copies; None: the widest among what is copied, at least
            float32.

    Attributes:
        parameters: The recorded parameters themselves.
        moments: Where the second moments come from.
        device: Where they are: the GPU that holds all of them, else the CPU.
        staged: What goes through a slot, by name. Gradients on a GPU stay there.
    """

    def __init__(
        self,
        model: nn.Module,
        layout: Layout,
        buffers_layout: Layout,
        evaluation: Evaluation | None,
        *,
        beside: tuple[Layout, list[Tensor]] = (Layout(()), []),
        moments: SecondMoments | None = None,
        gradient: bool,
        dtype: torch.dtype | None = None,
    ) -> None:
        named = dict(model.named_parameters())
        self._recorded = {entry.name: named[entry.name] for entry in layout}
        self.parameters: list[nn.Parameter] = list(self._recorded.values())
        devices = {p.device for p in self.parameters}
        on_gpu = len(devices) == 1 and self.parameters[0].is_cuda
        self.device: torch.device = self.parameters[0].device if on_gpu else torch.device("cpu")
        self._dtype = dtype
        self._buffers = Buffers(model, buffers_layout)
        self._beside = beside[1]
        width = self._width(self.parameters)
        self.staged = {"parameters": Staged(layout, width)}
        if buffers_layout.size:
            self.staged["buffers"] = Staged(buffers_layout, self._width(self._buffers.present()))
        if self._beside:
            self.staged["beside"] = Staged(beside[0], self._width(self._beside))
        if evaluation is not None:
            self.staged["evaluation"] = Staged(layout, width)
        self.moments = moments
        if moments is not None:
            self.staged["second_moment"] = Staged(layout, width)
        copied = {**self.staged, "gradient": Staged(layout, width)} if gradient else self.staged
        self._on_device: dict[str, Flat] = {}
        if on_gpu:
            for name, held in copied.items():
                self._on_device[name] = self._empty(held)
        else:
            self.staged: dict[str, Staged] = copied
        self._named = named
        self._evaluated = None if evaluation is None else Evaluated(evaluation, self._recorded)

    def flat(self, name: str, slot: Slot) -> Flat:
        """Where to read `name` into: the slot, or the GPU that it is copied from later."""
        return self._on_device[name] if self._on_device else slot.parts[name]

    def initial(self) -> Flat:
        """A copy of the parameters as they are."""
        found = self._empty(self.staged["parameters"])
        found.read(self.parameters)
        return found

    def values(self, layout: Layout) -> np.ndarray:
        """Any of the model's parameters as they are, flat."""
        tensors = [self._named[e.name] for e in layout]
        if not tensors:
            return np.empty(0, np.float32)
        parts = [p.detach().to("cpu", self.width(layout)).reshape(-1) for p in tensors]
        return torch.cat(parts).numpy()

    def width(self, layout: Layout) -> torch.dtype:
        """The precision of `values`."""
        return self._width(self._named[e.name] for e in layout)

    def replace(self, name: str, parameter: nn.Parameter) -> None:
        """Record another tensor under `name` from now on."""
        self.parameters[list(self._recorded).index(name)] = parameter
        self._recorded[name] = parameter

    def find_buffers(self) -> None:
        """Look up anew which modules hold the buffers."""
        self._buffers.find()

    def other_buffers(self) -> list[str]:
        """Names of the buffers that the file does not hold as they are; see `Buffers`."""
        return self._buffers.others()

    def rounded(self) -> list[str]:
        """What the rows do not hold exactly, though their precision was not asked for."""
        parts = {
            "parameters": self.parameters,
            "buffers": self._buffers.present(),
            "beside": self._beside,
        }
        return [
            entry.name
            for part, tensors in parts.items()
            if part in self.staged and self._dtype is None
            for entry, t in zip(self.staged[part].layout, tensors, strict=True)
            if not torch.equal(*(x.nan_to_num() for x in (t, t.to(self.staged[part].dtype).to(t))))
        ]

    def moved_buffers(self, slot: Slot) -> list[int]:
        """Which buffers and tensors beside the model differ from what was stored of them."""
        found = []
        for name, tensors in (("buffers", self._buffers.present()), ("beside", self._beside)):
            if name in self.staged:
                found += self.flat(name, slot).moved(tensors)
        return found

    def read_parameters(self, slot: Slot) -> Tensor:
        """Read the parameters as they are, on their own device."""
        return self.flat("parameters", slot).read(self.parameters)

    def store(self, slot: Slot) -> None:
        """Start copying the parameters that were read, and what else there is, into the slot."""
        if "buffers" in self.staged:
            self.flat("buffers", slot).read(self._buffers.present())
        if "beside" in self.staged:
            self.flat("beside", slot).read(self._beside)
        if self.moments is not None:
            self.flat("second_moment", slot).read(self.moments.present(self.parameters))
        self._copy(slot, ("parameters", "buffers", "beside", "second_moment"))

    def store_evaluation(self, slot: Slot) -> None:
        """Start copying the evaluation parameters, if there are any, into the slot."""
        if self._evaluated is not None:
            self.flat("evaluation", slot).read(self._evaluated.present())
            self._copy(slot, ("evaluation",))

    def _width(self, tensors: Iterable[Tensor]) -> torch.dtype:
        double = any(t.dtype == torch.float64 for t in tensors)
        return self._dtype or (torch.float64 if double else torch.float32)

    def _empty(self, part: Staged) -> Flat:
        with torch.inference_mode(False):
            vector = torch.zeros(part.layout.size, dtype=part.dtype, device=self.device)
        return Flat(vector, part.layout)

    def _copy(self, slot: Slot, names: Iterable[str]) -> None:
        for name in names:
            if name in self._on_device:
                slot.parts[name].vector.copy_(self._on_device[name].vector, non_blocking=True)
