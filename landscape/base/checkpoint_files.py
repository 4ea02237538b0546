"""Which files of a folder hold a model's weights, and which of their tensors are no parameters."""

from __future__ import annotations

import re
from pathlib import Path

WEIGHTS = (
    "model.safetensors", "pytorch_model.bin", "adapter_model.safetensors", "adapter_model.bin",
    "diffusion_pytorch_model.safetensors",
)  # fmt: skip
_BUFFERS = re.compile(
    r"(.*\.)?(running_mean|running_var|inv_freq|masked_bias|(attn_|causal_|attention_)?mask|_[uv])"
)


def weight_files(folder: Path) -> list[Path]:
    """The weights in a Hugging Face checkpoint, which may be spread over several files.

    Raises:
        ValueError: If some of these files are missing.
    """
    for name in WEIGHTS:
        stem, _, suffix = name.partition(".")
        if (folder / name).is_file():
            return [folder / name]
        if parts := sorted(folder.glob(f"{stem}-*-of-*.{suffix}")):
            told = re.search(r"-of-(\d+)\.", parts[0].name)
            if told and int(told[1]) != len(parts):
                raise ValueError(
                    f"{folder} holds {len(parts)} of the {int(told[1])} files of its weights."
                )
            return parts
    return []


def is_called_like_a_buffer(name: str) -> bool:
    """Whether a tensor is called like one that is computed: running statistics, masks, ...

    >>> is_called_like_a_buffer("layers.0.rotary_emb.inv_freq"), is_called_like_a_buffer("0.weight")
    (True, False)
    """
    return _BUFFERS.fullmatch(name) is not None
