"""What was chosen before for the same work on the same machine, in a small file.

The file is ``landscape/choices.json`` in the user's cache folder (``$XDG_CACHE_HOME``, else
``~/.cache``). It holds names and sizes only, so reading it runs nothing; what it says is checked
against the plain strategy's numbers before it is used. A damaged or foreign file is written anew.
``LANDSCAPE_REMEMBER=0`` in the environment neither reads nor writes it.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import platform
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from landscape.base.distribution import VERSION
from landscape.base.provenance import fingerprint, version
from landscape.objective.data.held import HeldData
from landscape.objective.data.structure import tensors_of
from landscape.objective.family import Family
from landscape.objective.problem import Problem
from landscape.objective.strategies.choice import STRATEGIES, Choice

_FORMAT = 1
_MOST = 500  # choices; the oldest go first
_BYTES = 1 << 20  # a file larger than this is none of ours
_RESTRICTED = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "MKL_ENABLE_INSTRUCTIONS", "MKL_CBWR")


def processor() -> str:
    """The processor's name and the instructions that torch uses of it."""
    named = ""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        named = next((x.partition(":")[2].strip() for x in lines if x.startswith("model name")), "")
    used = torch.backends.cpu.get_cpu_capability()
    return f"{named or platform.processor() or platform.machine()}, {used}"


def key_of(
    problem: Problem, family: Family, data: HeldData, points: int, strategy: str | None
) -> str:
    """A text that is another one for work, versions or a machine that may need another choice.

    Args:
        problem: What is measured.
        family: Where.
        data: The samples, in batches that fit in memory.
        points: How many points there are; what counts is about how many.
        strategy: The one that was asked for, if one was.
    """
    device, model = problem.device, problem.model
    batch = data.batches(most=1)[0][0]
    given = [strategy, problem.batch_size, problem.batch_norm, problem.common_random_numbers]
    buffers = family.buffer_directions is not None
    made = [
        torch.cuda.get_device_name(device) if device.type == "cuda" else processor(),
        [torch.get_num_threads(), os.cpu_count()],
        [os.environ.get(name, "") for name in _RESTRICTED],  # instructions that libraries may use
        [VERSION, version("torch")],
        [type(module).__qualname__ for module in model.modules()],
        [[name, *p.shape, str(p.dtype)] for name, p in model.named_parameters()],
        [[name, _code(metric)] for name, metric in problem.metrics.items()],
        [_form(t) for t in tensors_of(batch)],
        [data.size, data.batch_size, data.joined, family.coordinates, str(problem.rounding)],
        [str(device), problem.precision, str(problem.dtype), buffers],
        [max(points, 1).bit_length(), *map(str, given)],
    ]
    return fingerprint(np.frombuffer(json.dumps(made).encode(), np.uint8))


def recalled(key: str) -> Choice | None:
    """What was chosen for this before; None if nothing was, or the file is not to be read."""
    found = _read().get(key)
    with contextlib.suppress(KeyError, TypeError, ValueError):
        if found is None:
            return None
        size = found["batch_size"]
        sizes = [found["chunk"], found["threads"], *([] if size is None else [size])]
        sound = all(type(n) is int and 0 < n < 1 << 31 for n in sizes)
        seconds = float(found["seconds"])
        if sound and found["strategy"] in STRATEGIES and 0 < seconds < math.inf:
            return Choice(found["strategy"], size, found["chunk"], found["threads"], seconds)
    return None


def remember(key: str, choice: Choice) -> None:
    """Keep a choice; where the folder cannot be written, nothing is kept.

    The file is replaced as a whole: of two processes that write at once, one is kept.
    """
    if not (path := _path()):
        return
    kept = {k: v for k, v in _read().items() if k != key}
    for oldest in list(kept)[: max(0, len(kept) + 1 - _MOST)]:
        del kept[oldest]
    fields = ("strategy", "batch_size", "chunk", "threads", "seconds")
    kept[key] = {name: getattr(choice, name) for name in fields}
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        file, made = tempfile.mkstemp(dir=path.parent, prefix=".choices-")
        try:
            with os.fdopen(file, "w", encoding="utf-8") as out:
                json.dump({"format": _FORMAT, "choices": kept}, out)
            os.replace(made, path)
        except OSError:
            os.unlink(made)


def _path() -> Path | None:
    if os.environ.get("LANDSCAPE_REMEMBER", "1").lower() in ("0", "no", "off", "false"):
        return None
    given = os.environ.get("XDG_CACHE_HOME", "")
    with contextlib.suppress(RuntimeError):  # nobody's home
        base = Path(given) if os.path.isabs(given) else Path.home() / ".cache"
        return base / "landscape" / "choices.json"
    return None


def _read() -> dict[str, Any]:
    path = _path()
    if path is None:
        return {}
    with contextlib.suppress(OSError, ValueError, RecursionError):
        if not path.is_file() or path.stat().st_size > _BYTES:
            return {}
        whole = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(whole, dict) and whole.get("format") == _FORMAT:
            found = whole.get("choices")
            return found if isinstance(found, dict) else {}
    return {}


def _form(tensor: Tensor) -> list[Any]:
    dense = tensor.layout == torch.strided and not tensor.is_nested
    return [*(tensor.shape[1:] if dense else ()), str(tensor.layout), str(tensor.dtype)]


def _code(metric: Any) -> str:
    """What tells one loss from another: its name, and what its code does."""
    metric = getattr(metric, "metric", metric)
    code = getattr(metric, "__code__", None)
    name = getattr(metric, "__qualname__", type(metric).__qualname__)
    return f"{name} {fingerprint(np.frombuffer(code.co_code, np.uint8)) if code else ''}"
