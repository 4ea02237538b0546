"""Checkpoints that other programs wrote: find the state dict in the file."""

# pyright: reportMissingImports=false
from __future__ import annotations

import os
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from landscape.base.checkpoint_files import weight_files
from landscape.base.distribution import install
from landscape.base.files import expanded
from landscape.exchange.checkpoints.sharded import is_sharded, load_sharded

_USUAL_NAMES = ("state_dict", "model_state_dict", "model_state", "model", "net")
_SUFFIXES = (".pt", ".pth", ".th", ".t7", ".ckpt", ".bin", ".tar", ".safetensors")
_WRAPPERS = ("module.", "_orig_mod.")  # DataParallel, torch.compile
_BESIDE = re.compile(r"(optim|scheduler|lr_sched|scaler|rng_state|random_states|training_args)")


def load_state(path: str | os.PathLike[str], *, key: str | None = None) -> dict[str, Tensor]:
    """The model's state dict from a checkpoint, on the CPU.

    Read are files of `torch.save` (.pt, .pth, .th, .t7, .ckpt, .bin, ...) and .safetensors, the
    ``checkpoint-*`` folders of the Hugging Face `Trainer`, folders of adapters (PEFT), and folders
    of torch.distributed.checkpoint.

    The file may hold a state dict, or a dict with a state dict in it such as ``{"acc": ...,
    "epoch": ..., "state_dict": ...}``. Prefixes of `DataParallel` (``module.``) and
    `torch.compile` (``_orig_mod.``) are taken off. The result is a plain dict, into which batch
    norm needs no ``num_batches_tracked``; files older than torch 0.4.1 have none.

    Nothing in the file is executed (``weights_only=True``).

    Args:
        path: The file or folder.
        key: Where a file holds several state dicts, which to take: its key (``ema``, nested
            ``models.ema``), or what the names of its tensors begin with.

    Returns:
        Name to tensor, for `model.load_state_dict`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is damaged, is no torch checkpoint, holds pickled objects other
            than tensors, or does not hold exactly one recognisable state dict.
    """
    path = expanded(path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file.")
    if path.is_dir():
        found = _folder_state(path, key)
    else:
        content = _safetensors(path) if path.suffix == ".safetensors" else _loaded(path)
        found = _model_state(path, content, key)
    while prefix := next((p for p in _WRAPPERS if all(k.startswith(p) for k in found)), ""):
        found = {name.removeprefix(prefix): tensor for name, tensor in found.items()}
    return dict(found)


def is_checkpoint(path: Path) -> bool:
    """Whether `path` looks like something `load_state` reads."""
    if path.is_dir():
        return is_sharded(path) or bool(weight_files(path))
    return path.suffix in _SUFFIXES


def is_model_file(path: Path) -> bool:
    """Whether a file in a folder looks like a model's, not like an optimizer's or a trainer's."""
    return is_checkpoint(path) and not _BESIDE.match(path.name)


def _folder_state(path: Path, key: str | None) -> dict[str, Tensor]:
    if is_sharded(path):
        return load_sharded(path, _USUAL_NAMES, key)
    files = weight_files(path)
    if not files:
        raise ValueError(
            f"{path} is a folder without weights; give one checkpoint file, or a folder with "
            "model.safetensors, pytorch_model.bin or a torch.distributed.checkpoint in it."
        )
    state: dict[str, Tensor] = {}
    for file in files:
        content = _safetensors(file) if file.suffix == ".safetensors" else _loaded(file)
        state.update(_model_state(file, content, None))
    return state if key is None else dict(_keyed(path, state, key))


def _safetensors(path: Path) -> dict[str, Tensor]:
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError:
        raise ValueError(f"{path} needs the package safetensors: {install('hf')}.") from None
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path} is damaged or cut short ({_first_line(error)}).") from error


def _loaded(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{path} is not a checkpoint of plain tensors: it holds {_classes(path, error)}, and "
            "loading that could run code. In the program that made it, save model.state_dict() "
            "alone, and give that file."
        ) from None
    except Exception as error:  # whatever a damaged pickle makes of itself
        raise ValueError(
            f"{path} is damaged, cut short or no torch checkpoint ({_first_line(error)})."
        ) from error


def _classes(path: Path, error: Exception) -> str:
    """The classes and functions in a pickled file that are no part of plain tensors."""
    try:
        names = sorted(torch.serialization.get_unsafe_globals_in_checkpoint(path))
    except Exception:  # only files of today's format are listed without being loaded
        named = re.search(r"(?:GLOBAL|class|global|function) `?([\w.]+\.[\w.]+)", str(error))
        names = [named[1].rstrip(".")] if named else []
    own = [n for n in names if not n.startswith(("torch.", "collections."))] or names
    if not own:
        return f"pickled objects ({_first_line(error)})"
    return f"pickled objects of {', '.join(own[:3])}{' and others' if len(own) > 3 else ''}"


def _keyed(path: Path, content: Any, key: str) -> Mapping[str, Tensor]:
    """The state dict under a key, or of the tensors whose names begin with it."""
    found = content
    for part in [key] if isinstance(content, Mapping) and key in content else key.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    if isinstance(found, Mapping) and _is_state(found):
        return _tensors(found)
    if isinstance(content, Mapping):
        start = key.rstrip(".") + "."
        named = {
            str(n).removeprefix(start): t
            for n, t in content.items()
            if isinstance(n, str) and n.startswith(start)
        }
        if _is_state(named):
            return _tensors(named)
    keys = [str(k) for k in content][:10] if isinstance(content, Mapping) else type(content)
    raise ValueError(f"{path} has no state dict {key!r}; its keys are {keys}.")


def _model_state(path: Path, content: Any, key: str | None) -> Mapping[str, Tensor]:
    if key is not None:
        try:
            return _keyed(path, content, key)
        except ValueError:
            if not isinstance(content, Mapping) or _is_state(content):
                raise
            inside = next((content[n] for n in _USUAL_NAMES if _is_state(content.get(n))), None)
            if inside is None or not any(str(name).startswith(key + ".") for name in inside):
                raise
            return _keyed(path, inside, key)
    if _is_state(content):
        return _tensors(content)
    if not isinstance(content, Mapping):
        raise ValueError(
            f"{path} holds a {type(content).__name__}; a state dict is expected "
            "(torch.save(model.state_dict(), path))."
        )
    inside = {key: value for key, value in content.items() if _is_state(value)}
    usual = next((name for name in _USUAL_NAMES if name in inside), None)
    if usual is None and len(inside) == 1:
        usual = next(iter(inside))
    if usual is None:
        what = f"several state dicts ({sorted(inside)})" if inside else "no state dict"
        raise ValueError(
            f"{path} holds {what}; its keys are {[str(k) for k in content][:10]}. Expected is a "
            f"state dict, or one under one of the keys {', '.join(_USUAL_NAMES)}; name another one "
            "with key= (--key)."
        )
    return _tensors(inside[usual])


def _is_state(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and any(isinstance(v, Tensor) for v in value.values())
        and all(
            isinstance(k, str) and (isinstance(v, Tensor) or k.endswith("_extra_state"))
            for k, v in value.items()
        )
    )


def _tensors(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """Without what modules keep beside their tensors."""
    return {name: value for name, value in state.items() if isinstance(value, Tensor)}


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
