"""Snapshot: flat float32 copies of a model's parameters, buffers and evaluation parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from landscape.layout import Layout

Evaluation = nn.Module | Callable[[], Mapping[Any, Tensor] | Iterable[Tensor]]


class Flat:
    """One flat vector with a view for every tensor of a layout.

    Args:
        layout: What goes where.
        device: Where the vector is.
    """

    def __init__(self, layout: Layout, device: torch.device) -> None:
        self.vector = torch.zeros(layout.size, device=device)
        self._views = [self.vector[entry.slice].view(entry.shape) for entry in layout]

    @torch.no_grad()
    def read(self, tensors: Iterable[Tensor | None]) -> Tensor:
        """Copy tensors in (None: zeros), in the order of the layout; returns the vector."""
        for view, tensor in zip(self._views, tensors, strict=True):
            if tensor is None:
                view.zero_()
            else:
                view.copy_(tensor.to_dense() if tensor.is_sparse else tensor)
        return self.vector


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

    Attributes:
        parameters: The recorded parameters themselves.
        device: Where copies are made: the GPU that holds all the parameters, else the CPU.
        sizes: Name to length of the vectors that a full snapshot consists of.
    """

    def __init__(
        self,
        model: nn.Module,
        layout: Layout,
        buffers_layout: Layout,
        evaluation: Evaluation | None,
    ) -> None:
        named = dict(model.named_parameters())
        recorded = {entry.name: named[entry.name] for entry in layout}
        self.parameters = list(recorded.values())
        devices = {p.device for p in self.parameters}
        on_gpu = len(devices) == 1 and self.parameters[0].is_cuda
        self.device = self.parameters[0].device if on_gpu else torch.device("cpu")
        self._flat = {"parameters": Flat(layout, self.device)}
        if buffers_layout.size:
            self._flat["buffers"] = Flat(buffers_layout, self.device)
        if evaluation is not None:
            self._flat["evaluation"] = Flat(layout, self.device)
        self._buffers = Buffers(model, buffers_layout)
        self._evaluated = None if evaluation is None else Evaluated(evaluation, recorded)
        self.sizes = {name: flat.vector.numel() for name, flat in self._flat.items()}

    @property
    def theta(self) -> Tensor:
        """The parameters when they were last read, float32, shape (P,)."""
        return self._flat["parameters"].vector

    def read_parameters(self) -> Tensor:
        """Copy the parameters as they are; returns `theta`."""
        return self._flat["parameters"].read(self.parameters)

    def fill_state(self, parts: Mapping[str, Tensor]) -> None:
        """Start copying `theta` and the present buffers into `parts`."""
        parts["parameters"].copy_(self.theta, non_blocking=True)
        if "buffers" in self._flat:
            buffers = self._flat["buffers"].read(self._buffers.present())
            parts["buffers"].copy_(buffers, non_blocking=True)

    def fill_evaluation(self, parts: Mapping[str, Tensor]) -> None:
        """Start copying the evaluation parameters, if there are any, into `parts`."""
        if self._evaluated is not None:
            evaluated = self._flat["evaluation"].read(self._evaluated.present())
            parts["evaluation"].copy_(evaluated, non_blocking=True)
