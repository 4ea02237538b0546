"""The `--device` option."""

from __future__ import annotations

from landscape.base.suggest import did_you_mean

_KNOWN = ("auto", "cpu", "cuda", "cuda:N")


def known_device(name: str) -> str:
    """The name in torch's words (``gpu`` is ``cuda``), checked before torch is loaded.

    Raises:
        ValueError: If there is no such kind of device.
    """
    kind, colon, number = name.lower().partition(":")
    kind = "cuda" if kind == "gpu" else kind
    if kind not in _KNOWN or (colon and not (kind == "cuda" and number.isdigit())):
        near = did_you_mean(name, _KNOWN)
        raise ValueError(f"device must be one of {', '.join(_KNOWN)}; not {name!r}.{near}")
    return f"{kind}{colon}{number}"


def chosen_device(name: str) -> str:
    """The device that ``auto``, ``cpu``, ``cuda`` or ``cuda:N`` stands for.

    Raises:
        ValueError: If the name is another one, or this machine has no such device.
    """
    name = known_device(name)
    import torch

    from landscape.objective.workers.device import checked_device

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return str(checked_device(name))


def gpu_or_none(name: str) -> str | None:
    """The same for what numpy does on the processor: None stands for that."""
    found = chosen_device(name)
    return None if found == "cpu" else found
