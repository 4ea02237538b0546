"""Memory: how many points are tried at once, and whether an error says that they were too many."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from landscape.objective.strategies.work import Work

_SHARE = 0.5  # of what is free
_STACKS = 3  # a stack of parameter vectors, what it is computed from, and a layer's copy


def out_of_memory(problem: BaseException) -> bool:
    """Whether an error, or the one that caused it, says that memory is short."""
    if isinstance(problem, torch.OutOfMemoryError | MemoryError):
        return True
    if isinstance(problem, RuntimeError) and "not enough memory" in str(problem):
        return True  # of torch's allocator on a CPU
    return problem.__cause__ is not None and out_of_memory(problem.__cause__)


def points_that_fit(work: Work, batch_size: int | None) -> int:
    """How many points can be measured together in half of the memory that is free, at least 1.

    A point costs its parameters and, for every sample of a batch, what the widest module takes in
    and gives out. That leaves out what happens inside functions; `out_of_memory` catches the rest.
    """
    free = free_bytes(work.loan.flat.device)
    if free is None:
        return 2**31
    batch, samples = work.sample[0]
    widest = _widest(work, batch) / samples * (batch_size or samples)
    each = _STACKS * work.loan.flat.nbytes + 2 * widest
    return max(1, int(_SHARE * free / each))


def free_bytes(device: torch.device) -> int | None:
    """Bytes that can still be taken on a device; None where the system does not say."""
    if device.type == "cuda":
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + kept
    found = []
    for line in _text("/proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            found.append(1024 * int(line.split()[1]))
    most, used = _text("/sys/fs/cgroup/memory.max"), _text("/sys/fs/cgroup/memory.current")
    if most.isdigit() and used.isdigit():  # in a container
        found.append(max(0, int(most) - int(used)))
    return min(found, default=None)


@torch.no_grad()
def _widest(work: Work, batch: object) -> int:
    """Bytes that the widest module takes in and gives out for one batch."""
    sizes = [0]

    def watch(module: nn.Module, given: tuple, output: object) -> None:
        tensors = [t for t in (*given, output) if isinstance(t, Tensor)]
        sizes.append(sum(t.nbytes for t in tensors))

    modules = [m for m in work.loan.model.modules() if not any(m.children())]
    modules = [m for m in modules if not isinstance(m, torch.jit.ScriptModule)]  # take no hooks
    hooks = [module.register_forward_hook(watch) for module in modules]
    try:
        work.place([0.0] * len(work.directions))
        next(iter(work.metrics.values()))(work.loan.model, batch)
    finally:
        for hook in hooks:
            hook.remove()
    return max(sizes)


def _text(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""
