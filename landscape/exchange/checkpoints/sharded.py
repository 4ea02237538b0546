"""Checkpoints that torch.distributed.checkpoint (DCP) wrote: a folder with a ``.metadata`` file.

The library itself unpickles that file, which may run code. Here only the classes that describe
tensors are allowed in it, and only tensors are read.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.filesystem import FileSystemReader
from torch.distributed.checkpoint.metadata import Metadata, StorageMeta, TensorStorageMetadata
from torch.distributed.checkpoint.state_dict_loader import load

_METADATA = "torch.distributed.checkpoint.metadata"
_ALLOWED = {
    ("torch", "Size"),
    ("torch.serialization", "_get_layout"),
    ("torch.distributed.checkpoint.filesystem", "_StorageInfo"),
    ("pathlib", "PosixPath"),
    ("pathlib._local", "PosixPath"),
    *((_METADATA, name) for name in (
        "BytesStorageMetadata", "ChunkStorageMetadata", "Metadata", "MetadataIndex", "StorageMeta",
        "TensorProperties", "TensorStorageMetadata", "_MEM_FORMAT_ENCODING",
    )),
}  # fmt: skip


def is_sharded(path: Path) -> bool:
    """Whether `path` is such a folder."""
    return (path / ".metadata").is_file()


def load_sharded(
    path: Path, parts: Sequence[str] = (), key: str | None = None
) -> dict[str, Tensor]:
    """The tensors of the checkpoint in the folder `path`, on the CPU, by name.

    Args:
        path: The folder.
        parts: Where the checkpoint consists of several parts (``model.…``, ``optimizer.…``), the
            names of the one to take, in order of preference; its name is taken off.
        key: The one to take, whatever `parts` says; may be nested (``app.ema``).

    Raises:
        ValueError: If there is no such part, or the checkpoint is damaged, or its metadata hold
            anything but descriptions of tensors.
    """
    reader = _Reader(path)
    entries = reader.read_metadata().state_dict_metadata
    found = {name.partition(".")[0] for name in entries}
    part = next((p for p in parts if p in found), "") if len(found) > 1 else ""
    part = part if key is None else key.rstrip(".")
    prefix = f"{part}." if part else ""
    state = {
        name: torch.empty(entry.size, dtype=entry.properties.dtype)
        for name, entry in entries.items()
        if isinstance(entry, TensorStorageMetadata) and name.startswith(prefix)
    }
    if not state:
        raise ValueError(f"{path} has no tensors under {part!r}; its parts are {sorted(found)}.")
    try:
        load(state, storage_reader=reader, no_dist=True)
    except (Exception, CheckpointException) as error:
        causes = list(getattr(error, "failures", {}).values())  # each an error and its traceback
        said = str(causes[0][0] if causes else error).strip().partition("\n")[0]
        raise ValueError(f"{path} is damaged or cut short ({said}).") from None
    return {name.removeprefix(prefix): tensor for name, tensor in state.items()}


class _Reader(FileSystemReader):
    def read_metadata(self, *args: Any, **kwargs: Any) -> Metadata:
        path = Path(self.path) / ".metadata"
        try:
            with open(path, "rb") as file:
                metadata = _Unpickler(file).load()
        except (pickle.UnpicklingError, EOFError, AttributeError, ValueError) as error:
            raise ValueError(f"{path} cannot be read ({error}).") from error
        if not isinstance(metadata, Metadata):
            raise ValueError(f"{path} does not describe a checkpoint.")
        if metadata.storage_meta is None:
            metadata.storage_meta = StorageMeta()
        metadata.storage_meta.load_id = self.load_id
        return metadata


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        dtype = module == "torch" and isinstance(getattr(torch, name, None), torch.dtype)
        if dtype or (module, name) in _ALLOWED:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"it holds {module}.{name}, which is not allowed")
