"""Checkpoints that other programs wrote: find the state dict in the file."""

# pyright: reportMissingImports=false
from __future__ import annotations

import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from landscape.recording.sharded import is_sharded, load_sharded

_USUAL_NAMES = ("state_dict", "model_state_dict", "model_state", "model", "net")
_SUFFIXES = (".pt", ".pth", ".th", ".t7", ".ckpt", ".bin", ".tar", ".safetensors")
_WRAPPERS = ("module.", "_orig_mod.")  # DataParallel, torch.compile


def load_state(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """The model's state dict from a checkpoint, on the CPU.

    Read are files of `torch.save` (.pt, .pth, .th, .t7, .ckpt, .bin, ...) and .safetensors, the
    ``checkpoint-*`` folders of the Hugging Face `Trainer`, and folders of
    torch.distributed.checkpoint.

    The file may hold a state dict, or a dict with a state dict in it such as ``{"acc": ...,
    "epoch": ..., "state_dict": ...}``. Prefixes of `DataParallel` (``module.``) and
    `torch.compile` (``_orig_mod.``) are taken off. The result is a plain dict, into which batch
    norm needs no ``num_batches_tracked``; files older than torch 0.4.1 have none.

    Nothing in the file is executed (``weights_only=True``).

    Args:
        path: The file or folder.

    Returns:
        Name to tensor, for `model.load_state_dict`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is damaged, is no torch checkpoint, holds pickled objects other
            than tensors, or does not hold exactly one recognisable state dict.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file.")
    if path.is_dir():
        found = _folder_state(path)
    elif path.suffix == ".safetensors":
        found = _safetensors(path)
    else:
        found = _model_state(path, _loaded(path))
    while prefix := next((p for p in _WRAPPERS if all(k.startswith(p) for k in found)), ""):
        found = {name.removeprefix(prefix): tensor for name, tensor in found.items()}
    return dict(found)


def is_checkpoint(path: Path) -> bool:
    """Whether `path` looks like something `load_state` reads."""
    if path.is_dir():
        return is_sharded(path) or bool(_weight_files(path))
    return path.suffix in _SUFFIXES


def _folder_state(path: Path) -> dict[str, Tensor]:
    if is_sharded(path):
        return load_sharded(path, _USUAL_NAMES)
    files = _weight_files(path)
    if not files:
        raise ValueError(
            f"{path} is a folder without weights; give one checkpoint file, or a folder with "
            "model.safetensors, pytorch_model.bin or a torch.distributed.checkpoint in it."
        )
    state: dict[str, Tensor] = {}
    for file in files:
        content = _safetensors(file) if file.suffix == ".safetensors" else _loaded(file)
        state.update(_model_state(file, content))
    return state


def _weight_files(folder: Path) -> list[Path]:
    """The weights in a Hugging Face checkpoint, which may be spread over several files."""
    return sorted(folder.glob("model*.safetensors")) or sorted(folder.glob("pytorch_model*.bin"))


def _safetensors(path: Path) -> dict[str, Tensor]:
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError:
        raise ValueError(
            f"{path} needs the package safetensors: pip install 'landscape[hf]'."
        ) from None
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path} is damaged or cut short ({_first_line(error)}).") from error


def _loaded(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{path} is not a checkpoint of plain tensors, and nothing else is loaded from a file "
            f"that could run code ({_first_line(error)}). Where you trust the file, open it with "
            "the program that wrote it and save model.state_dict()."
        ) from error
    except (RuntimeError, EOFError, OSError, KeyError, ValueError) as error:
        raise ValueError(
            f"{path} is damaged, cut short or no torch checkpoint ({_first_line(error)})."
        ) from error


def _model_state(path: Path, content: Any) -> Mapping[str, Tensor]:
    if _is_state(content):
        return content
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
            f"state dict, or one under one of the keys {', '.join(_USUAL_NAMES)}."
        )
    return inside[usual]


def _is_state(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and len(value) > 0
        and all(isinstance(k, str) and isinstance(v, Tensor) for k, v in value.items())
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
