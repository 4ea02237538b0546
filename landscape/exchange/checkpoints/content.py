"""What the tensors of a checkpoint are: parameters, buffers, parameters that are not trained."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from landscape.base.checkpoint_files import is_called_like_a_buffer
from landscape.base.layout import Entry, Kind, Layout
from landscape.base.names import plain_name
from landscape.objective.vectors.renamed import renamed


@dataclass(frozen=True)
class Content:
    """The tensors of a state dict.

    Attributes:
        parameters: Those that are trained.
        buffers: Those that are computed, in floating-point numbers.
        frozen: Parameters that are not trained.
        named: The names in these layouts to the names in the state dict.
    """

    parameters: Layout
    buffers: Layout
    frozen: Layout
    named: dict[str, str]


def content_of(model: nn.Module, state: Mapping[str, Tensor]) -> Content:
    """What a model says of a state dict that holds its tensors, under any wrapper's names.

    The checkpoint may hold more than the model where the model is a part of what was saved (the
    ``model.`` of a training module, beside its losses). Buffers, and parameters that are not
    trained (the base of an adapter), may be absent.

    Raises:
        ValueError: If it does not hold the model's trainable parameters, or holds them twice, or
            more tensors than the model has.
    """
    trained, frozen, buffers = Layout.of(model), Layout.of_frozen(model), Layout.of_buffers(model)
    real = {name: tensor for name, tensor in state.items() if tensor.is_floating_point()}
    saved = {new: old for old, new in renamed(model, real).items()}
    real = {new: real[old] for new, old in saved.items()}
    theirs = _layout(real)
    pairs = Layout.joined((*trained, *frozen, *buffers)).pairs(theirs)
    if any(entry.name not in pairs for entry in trained):
        held = {pairs[entry.name].name for entry in (*frozen, *buffers) if entry.name in pairs}
        rest = _layout({name: tensor for name, tensor in real.items() if name not in held})
        raise ValueError(f"The checkpoint is of another model: {trained.differences(rest)}.")
    taken = {entry.name for entry in pairs.values()}
    twins = {alias for e in (*trained, *frozen) for alias in map(plain_name, e.aliases)}
    name, entry = next(iter(pairs.items()))
    prefix = plain_name(entry.name).removesuffix(plain_name(name))
    more = [n for n in real if n not in taken and plain_name(n).removeprefix(prefix) not in twins]
    again = trained.pairs(_layout({n: real[n] for n in more}))
    if len(again) == len(trained):
        mine, second = next((mine, entry.name) for mine, entry in again.items())
        key = second.removesuffix(mine).rstrip(".") or second.partition(".")[0]
        raise ValueError(
            f"The checkpoint holds the model twice, as {entry.name} and again among {more[0]} and "
            f"others; name the one to take, for example key={key!r} (--key)."
        )
    _check_tied((*trained, *frozen), pairs, real, prefix)
    inside = [n for n in more if plain_name(n).startswith(prefix) and not _ignored(model, n)]
    if inside:
        raise ValueError(
            f"The checkpoint is of another model: it holds {len(inside)} tensors that the model "
            f"has not (first: {inside[0]})."
        )
    return Content(
        trained,
        Layout.joined(e for e in buffers if e.name in pairs),
        Layout.joined(e for e in frozen if e.name in pairs),
        {name: saved[entry.name] for name, entry in pairs.items()},
    )


def _ignored(model: nn.Module, name: str) -> bool:
    """Whether a tensor is one that earlier versions of a Hugging Face model computed and saved."""
    told = getattr(model, "_keys_to_ignore_on_load_unexpected", None) or ()
    return is_called_like_a_buffer(name) or any(re.search(pattern, name) for pattern in told)


def _check_tied(
    entries: Iterable[Entry], pairs: Mapping[str, Entry], real: Mapping[str, Tensor], prefix: str
) -> None:
    """Refuse other values under another name of the same tensor."""
    plain = {plain_name(name).removeprefix(prefix): name for name in real}
    for entry in entries:
        taken = pairs[entry.name].name if entry.name in pairs else ""
        for name in (plain.get(plain_name(alias), taken) for alias in (entry.name, *entry.aliases)):
            if taken and not torch.equal(*(real[n].double().nan_to_num() for n in (taken, name))):
                raise ValueError(
                    f"{taken} and {name} are one tensor in the model and two with other values in "
                    "the checkpoint; give a model in which they are not tied."
                )


def fill(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Copy a checkpoint's tensors into a model, by name; see `content_of`."""
    targets = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    with torch.no_grad():
        for name, theirs in content_of(model, state).named.items():
            targets[name].copy_(state[theirs])


def guessed_content(path: Path, state: Mapping[str, Tensor]) -> Content:
    """What a state dict holds, as far as names and shapes tell.

    Raises:
        ValueError: If it holds complex tensors, or no floating-point ones.
    """
    for name, tensor in state.items():
        if tensor.is_complex():
            raise ValueError(
                f"{path}: {name} is complex, and trajectories hold real parameters; where it is a "
                "buffer, give the model as well (model=model, or --task)."
            )
    kept = distinct(state)
    buffers = {name: tensor for name, tensor in kept.items() if is_called_like_a_buffer(name)}
    parameters = {name: tensor for name, tensor in kept.items() if name not in buffers}
    if not parameters:
        raise ValueError(f"{path} holds no floating-point tensor that is a parameter.")
    layout = Layout.joined(
        Entry(name, tuple(t.shape), 0, _kind(name, t, state), _filter_axis(name, t, state))
        for name, t in parameters.items()
    )
    named = {name: name for name in kept}
    return Content(layout, _layout(buffers), Layout(()), named)


def _layout(state: Mapping[str, Tensor]) -> Layout:
    return Layout.joined(Entry(name, tuple(t.shape), 0, "norm") for name, t in state.items())


def distinct(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The floating-point tensors, each under its first name."""
    seen: set[tuple[int, torch.Size, tuple[int, ...]]] = set()
    kept = {}
    for name, tensor in state.items():
        key = (tensor.data_ptr(), tensor.shape, tensor.stride())
        if tensor.is_floating_point() and (key not in seen or not tensor.numel()):
            seen.add(key)
            kept[name] = tensor
    return kept


def _kind(name: str, tensor: Tensor, state: Mapping[str, Tensor]) -> Kind:
    if tensor.dim() >= 2:
        return "weight"
    module = name.rpartition(".")[0]
    called = re.search(r"norm|\bln_|\bbn\d*\b", module.rpartition(".")[2], re.IGNORECASE)
    return "norm" if called or f"{module}.running_mean" in state else "bias"


def _filter_axis(name: str, tensor: Tensor, state: Mapping[str, Tensor]) -> int:
    """The axis with the length of the bias: the second of transposed convolutions."""
    bias = state.get(f"{name.removesuffix('weight')}bias")
    if tensor.dim() < 2 or bias is None or bias.dim() != 1 or not name.endswith("weight"):
        return 0
    first, second = tensor.shape[:2]
    return int(len(bias) == second != first)
