"""Many points at once through `torch.compile`: fused kernels, for work that outlasts compiling.

The metrics over a chunk of points are recorded as one graph, in which parameters, buffers and
samples are inputs, and compiled once, for the shape that most batches have; the others run by the
plain strategy. What else the model or the loss reads is fixed in the graph, so a new program is
compared with the plain strategy on every batch, and a kept one on the first batch of every call.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.func import vmap
from torch.utils._pytree import tree_flatten

from landscape.objective.metrics import agree
from landscape.objective.strategies.memory import out_of_memory
from landscape.objective.strategies.sequential import sequential
from landscape.objective.strategies.stacked import Runner
from landscape.objective.strategies.work import (
    Batches,
    Measure,
    UnsuitableError,
    Work,
    needs_one_point_at_a_time,
)

Program = Callable[[dict[str, Tensor], dict[str, Tensor], Any], Tensor]


@contextlib.contextmanager
def compiled(work: Work) -> Iterator[Measure]:
    """Evaluate the points of a chunk together in one compiled program."""
    needs_one_point_at_a_time(work)
    if not work.fixed_buffers:
        raise UnsuitableError("buffers differ from point to point")
    if work.origin.device.type == "cpu" and not shutil.which(os.environ.get("CXX", "g++")):
        raise UnsuitableError("there is no C++ compiler; install g++ or name one in CXX")
    model, layout, programs = work.loan.model, work.loan.layout, work.programs
    runner, checked = Runner(model, work.metrics), False
    trainable = {entry.name for entry in layout}

    @torch.no_grad()
    def measure(coordinates: np.ndarray, batches: Batches) -> Tensor:
        nonlocal checked
        work.place_buffers([0.0] * len(work.directions))
        keys = [_key(batch) for batch, _ in batches]
        key = Counter(keys).most_common(1)[0][0]
        alike = [batch for batch, own in zip(batches, keys, strict=True) if own == key]
        others = [batch for batch, own in zip(batches, keys, strict=True) if own != key]
        enough = [count for count, own in programs if own == key and count >= len(coordinates)]
        count = min(enough, default=len(coordinates))
        c = torch.as_tensor(np.resize(coordinates, (count, coordinates.shape[1])))
        theta = torch.addmm(work.origin, c.to(work.origin), work.directions)
        stack = {e.name: theta[:, e.slice].view(count, *e.shape) for e in layout}
        fixed = {n: p for n, p in model.named_parameters() if n not in trainable}
        fixed |= dict(model.named_buffers())
        new = (count, key) not in programs
        if new:
            programs[count, key] = _program(runner, alike[0][1], stack, fixed, alike[0][0])
        program, compared = programs[count, key], alike if new else [] if checked else alike[:1]
        with sequential(work) as plain:
            out = plain(coordinates, others) if others else torch.zeros((), dtype=torch.float64)
            wanted = [plain(coordinates[:1], [batch]) for batch in compared]
        for number, (batch, _) in enumerate(alike):
            work.check()
            try:
                part = program(stack, fixed, batch)[: len(coordinates)].transpose(0, 1)
            except (RuntimeError, MemoryError) as problem:
                if out_of_memory(problem):
                    programs.clear()  # a program for fewer points needs less
                raise
            if number < len(wanted) and not agree(part[:, :1], wanted[number], work.rounding):
                programs.clear()
                if not new:
                    return measure(coordinates, batches)  # something has changed since
                raise UnsuitableError("its numbers differ from the plain strategy's")
            out = out + part
        checked = True
        return out

    yield measure


def _settings() -> dict[str, Any]:
    """Options of the compiler; naming threads and vectors keeps programs for others apart on disk.

    A kernel holds room for as many threads as it was compiled for, and writes beyond it with more;
    one that was compiled for longer vectors than torch may use now gives other numbers.
    """
    used = torch.backends.cpu.get_cpu_capability()
    return {
        "compile_threads": 1,
        "cpp.threads": torch.get_num_threads(),
        "cpp.simdlen": {"AVX512": 512, "AVX2": 256}.get(used),
    }


def _key(batch: Any) -> tuple[Any, ...]:
    """What a program is made for: shapes and types of tensors, and everything else as it is."""
    leaves, structure = tree_flatten(batch)
    told = [
        (tuple(leaf.shape), leaf.dtype) if isinstance(leaf, Tensor) else repr(leaf)
        for leaf in leaves
    ]
    return str(structure), *told


def _program(
    runner: Runner, samples: int, stack: dict[str, Tensor], fixed: dict[str, Tensor], batch: Any
) -> Program:
    from torch._inductor import config  # here, since a compiler takes long to import
    from torch.fx.experimental.proxy_tensor import make_fx

    def one(parameters: dict[str, Tensor], fixed: dict[str, Tensor], batch: Any) -> Tensor:
        return runner.one({**parameters, **fixed}, batch, samples)

    try:
        with warnings.catch_warnings(), config.patch(_settings()):
            warnings.simplefilter("ignore")
            graph = make_fx(vmap(one, in_dims=(0, None, None)))(stack, fixed, batch)
            program = torch.compile(graph, dynamic=False)
            program(stack, fixed, batch)
    except (RuntimeError, ImportError) as error:
        if out_of_memory(error):
            raise
        raise UnsuitableError(f"torch.compile cannot run it ({error})") from error
    return program
