"""The `--device` option."""

from __future__ import annotations


def chosen_device(name: str) -> str:
    """The device that ``auto``, ``cpu``, ``cuda`` or ``cuda:N`` stands for.

    Raises:
        ValueError: If the name is another one, or CUDA is asked for and absent.
    """
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name != "cpu" and name.partition(":")[0] != "cuda":
        raise ValueError(f"device must be one of auto, cpu, cuda; not {name!r}.")
    if name != "cpu" and not torch.cuda.is_available():
        raise ValueError("device cuda was asked for, but torch sees no CUDA device; use cpu.")
    return name


def gpu_or_none(name: str) -> str | None:
    """The same for what numpy does on the processor: None stands for that."""
    found = chosen_device(name)
    return None if found == "cpu" else found
