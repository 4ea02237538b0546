"""The `--device` option."""

from __future__ import annotations


def chosen_device(name: str) -> str:
    """The device that ``auto``, ``cpu``, ``cuda`` or ``cuda:N`` stands for.

    Raises:
        ValueError: If the name is another one, or this machine has no such device.
    """
    import torch

    from landscape.objective.workers.device import checked_device

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name.partition(":")[0] not in ("cpu", "cuda"):
        raise ValueError(f"device must be one of auto, cpu, cuda; not {name!r}.")
    return str(checked_device(name))


def gpu_or_none(name: str) -> str | None:
    """The same for what numpy does on the processor: None stands for that."""
    found = chosen_device(name)
    return None if found == "cpu" else found
