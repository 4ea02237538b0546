"""Many points at once, for any model: `torch.func.vmap` over stacked parameters."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from landscape.objective.metrics import Metric, sums
from landscape.objective.strategies.memory import out_of_memory
from landscape.objective.strategies.work import (
    Batches,
    Measure,
    UnsuitableError,
    Work,
    needs_one_point_at_a_time,
    remembering,
)


@contextlib.contextmanager
def stacked(work: Work) -> Iterator[Measure]:
    """Evaluate the points of a chunk together, each with its own slice of the stack."""
    model, layout = work.loan.model, work.loan.layout
    needs_one_point_at_a_time(work, gradients=True)
    if not work.fixed_buffers:
        raise UnsuitableError("buffers differ from point to point")
    runner = Runner(model, work.metrics)
    with remembering(work) as forget:

        @torch.no_grad()
        def measure(coordinates: np.ndarray, batches: Batches) -> Tensor:
            work.place_buffers([0.0] * len(work.directions))
            c = torch.as_tensor(coordinates).to(work.origin)
            theta = torch.addmm(work.origin, c, work.directions)
            stack = {e.name: theta[:, e.slice].view(len(c), *e.shape) for e in layout}
            out = None
            for batch, samples in batches:
                work.check()
                forget()
                try:
                    with warnings.catch_warnings():
                        warnings.filterwarnings("error", "There is a performance drop")
                        part = vmap(runner.one, in_dims=(0, None, None))(stack, batch, samples)
                except (RuntimeError, UserWarning) as error:
                    if out_of_memory(error):
                        raise
                    raise UnsuitableError(f"torch.func cannot run it ({error})") from error
                out = part if out is None else out + part
            assert out is not None
            return out.transpose(0, 1)

        yield measure


class Runner(nn.Module):
    """Calls the metrics with the borrowed model at given parameters."""

    metrics: Mapping[str, Metric]
    model: nn.Module

    def __init__(self, model: nn.Module, metrics: Mapping[str, Metric]) -> None:
        super().__init__()
        self.model, self.metrics = model, metrics
        self._places = _places(model)

    def one(self, tensors: dict[str, Tensor], batch: Any, samples: int) -> Tensor:
        """Sums at one point, with these tensors of the model, by name."""
        named = {
            f"model.{place}": tensor
            for name, tensor in tensors.items()
            for place in self._places[name]
        }
        return functional_call(self, named, (batch, samples), tie_weights=False)

    def forward(self, batch: Any, samples: int) -> Tensor:
        """Sums over a batch, shape (metrics, 6)."""
        return torch.stack(
            [
                sums(name, metric(self.model, batch), samples)
                for name, metric in self.metrics.items()
            ]
        )


def _places(model: nn.Module) -> dict[str, list[str]]:
    """Where each tensor of a model lies, by its name: once for every module that holds it.

    A module that is reached by two names counts once; `functional_call` would swap twice and give
    it back the tensor of the first swap.
    """
    found: dict[int, list[str]] = {}
    for prefix, module in model.named_modules():
        held = [
            *module.named_parameters(recurse=False, remove_duplicate=False),
            *module.named_buffers(recurse=False, remove_duplicate=False),
        ]
        for name, tensor in held:
            found.setdefault(id(tensor), []).append(f"{prefix}.{name}" if prefix else name)
    named = [*model.named_parameters(), *model.named_buffers()]
    return {name: found[id(tensor)] for name, tensor in named}
