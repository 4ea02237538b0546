"""Models whose weights accelerate keeps in memory or on disk until a module runs.

Its hooks put a module's weights in place right before its forward, over whatever is there, so
such a model cannot be measured as it is. The same model without hooks can, on maps of the files.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

_FEW = 64  # numbers that are compared before whole matrices
_ADDED = ("to", "cuda", "npu", "mlu", "sdaa", "musa", "xpu", "neuron")  # by accelerate


def onloaded(model: nn.Module) -> nn.Module:
    """The model without accelerate's offloading, for `Objective`; nothing is copied.

    Weights kept in memory are used where they are. Those on disk are mapped: what is read of them
    is there while the system has room, so with ``strategy="streamed"`` a model larger than memory
    is measured. It is computed on the CPU. The given model, its hooks and files stay as they are;
    it is another module, so a loss has to call the model that it is given: others are refused.

    Args:
        model: As `cpu_offload`, `disk_offload`, `dispatch_model` or ``device_map`` made it; one
            that is not offloaded is returned itself.

    Raises:
        ValueError: If some of its weights are on another device than the CPU, it has hooks that
            do more than to move weights, or it cannot be told which weights are tied.

    >>> model = nn.Linear(2, 1)
    >>> onloaded(model) is model
    True
    """
    hooks = {module: list(_hooks(module)) for module in model.modules()}
    if not any(hook.offload for each in hooks.values() for hook in each):
        return model
    memo: dict[int, Any] = {id(t): t for t in model.buffers() if not t.is_meta}
    memo |= {id(p): p for p in model.parameters() if not p.is_meta}
    shared: dict[Any, nn.Parameter] = {}
    tied: list[nn.Parameter] = []
    opened: dict[str, Any] = {}
    for module, each in hooks.items():
        whole = module.__dict__.get("_hf_hook")
        memo[id(whole)] = whole
        for hook in each:
            for name, tensor in _offloaded(module, hook):
                if id(tensor) in memo:
                    continue
                made: Any = _like(tensor, _values(hook.weights_map, name, opened), shared)
                if name in getattr(hook, "tied_params_names", ()):
                    made = next((each for each in tied if _same(each, made)), made)
                    tied.append(made)
                memo[id(tensor)] = made
    found = copy.deepcopy(model, memo)
    for module in found.modules():
        _unhook(module)
    if callable(tie := getattr(found, "tie_weights", None)):
        tie()
    _check_here(found)
    _check_tied(found)
    return found


def _hooks(module: nn.Module) -> Iterator[Any]:
    """What moves weights of a module."""
    waiting = [module.__dict__["_hf_hook"]] if "_hf_hook" in module.__dict__ else []
    while waiting:
        hook = waiting.pop(0)
        if hasattr(hook, "hooks"):
            waiting += hook.hooks
        elif hasattr(hook, "offload") and hasattr(hook, "weights_map"):
            yield hook
        else:
            raise ValueError(
                f"The hook {type(hook).__name__} of {type(module).__name__} does more than to move "
                "weights, so the model without it is another. Remove it, or load the model "
                "without device_map."
            )


def _offloaded(module: nn.Module, hook: Any) -> Iterator[tuple[str, Tensor]]:
    """The tensors that a hook brings."""
    if hook.offload:
        deep = hook.place_submodules
        named = (module.named_parameters(recurse=deep), module.named_buffers(recurse=deep))
        yield from ((n, t) for n, t in itertools.chain(*named) if t.is_meta)


def _values(kept: Mapping[str, Tensor], name: str, opened: dict[str, Any]) -> Tensor:
    """The values of a tensor, where they lie; a file is mapped, once, and not read."""
    whole: Any = kept
    while hasattr(whole, "prefix"):  # a view of another mapping
        whole, name = whole.dataset, f"{whole.prefix}{name}"
    told = getattr(whole, "index", {}).get(name)
    if told is None or name in getattr(whole, "state_dict", {}):
        return whole[name]
    if path := told.get("safetensors_file"):
        from safetensors import safe_open

        if path not in opened:
            opened[path] = safe_open(path, framework="pt")
        return opened[path].get_tensor(told.get("weight_name", name))
    shape, dtype = tuple(told["shape"]), getattr(torch, told["dtype"])
    if not math.prod(shape):
        return torch.empty(shape, dtype=dtype)
    path = str(Path(whole.save_folder) / f"{name}.dat")
    return torch.from_file(path, shared=False, size=math.prod(shape), dtype=dtype).view(shape)


def _like(tensor: Tensor, values: Tensor, shared: dict[Any, nn.Parameter]) -> Tensor:
    """A tensor of the kind of the absent one, on these values; one for all that share them."""
    if not isinstance(tensor, nn.Parameter):
        return values
    if type(tensor) is not nn.Parameter or tensor.dtype != values.dtype:
        raise ValueError(
            f"An offloaded weight is of type {type(tensor).__name__} ({tensor.dtype}), and is kept "
            f"as {values.dtype}: it is quantized or cast. Load the model without device_map."
        )
    made = nn.Parameter(values.detach(), requires_grad=tensor.requires_grad)
    if not values.numel():
        return made
    return shared.setdefault((values.data_ptr(), values.shape, values.stride()), made)


def _same(a: Tensor, b: Tensor) -> bool:
    if a.shape != b.shape or a.dtype != b.dtype or not torch.equal(_few(a), _few(b)):
        return False
    return torch.equal(a, b)


def _few(tensor: Tensor) -> Tensor:
    return tensor.detach().reshape(-1)[:_FEW]


def _unhook(module: nn.Module) -> None:
    """Let a module run as before hooks were put on it."""
    held = module.__dict__
    if held.pop("_hf_hook", None) is None:
        return
    forward = held.pop("_old_forward")
    held.pop("forward", None)
    if getattr(forward, "__func__", None) is not type(module).forward:
        held["forward"] = forward
    for name in _ADDED:
        held.pop(name, None)


def _check_here(model: nn.Module) -> None:
    for name, tensor in itertools.chain(model.named_parameters(), model.named_buffers()):
        if tensor.device.type != "cpu":
            raise ValueError(
                f"{name} is on {tensor.device}, and offloaded models are measured on the CPU: load "
                "it with a device_map of 'cpu' and 'disk' only, or whole on one device."
            )


def _check_tied(model: nn.Module) -> None:
    """Refuse matrices with the same numbers: whether they are tied is not seen in files."""
    seen: dict[Any, tuple[str, Tensor]] = {}
    for name, own in model.named_parameters():
        if own.ndim < 2 or not own.numel():
            continue
        few = _few(own)
        first, other = seen.setdefault((own.shape, tuple(few.tolist())), (name, own))
        if other is not own and (few != few[0]).any() and _same(own, other):
            raise ValueError(
                f"{first} and {name} hold the same numbers, and whether they are tied is not "
                "kept by disk_offload: offload by dispatch_model or device_map, which keep it, or "
                "load the model whole."
            )
