"""What kind of tensor a parameter is, which the module that owns it says."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor, nn

Kind = Literal["weight", "bias", "norm"]


def check_real(name: str, parameter: Tensor) -> None:
    """Refuse a parameter of which no flat vector of real numbers can be made.

    Raises:
        ValueError: If it has no shape yet, or is complex.
    """
    if type(parameter).__name__ == "UninitializedParameter":
        raise ValueError(
            f"The parameter {name} has no shape yet; run the model once on a batch, so that its "
            "lazy modules are made."
        )
    if parameter.is_complex():
        raise ValueError(
            f"The trainable parameter {name} is complex, and a flat vector holds real numbers; "
            "keep torch.view_as_real(...) of it as the parameter and use torch.view_as_complex in "
            "forward, or freeze it with requires_grad_(False)."
        )


def _classes(owner: nn.Module) -> list[str]:
    """Names of the module's class and of those it was derived from."""
    return [cls.__name__ for cls in type(owner).__mro__]


def kind_of(owner: nn.Module, dimensions: int) -> Kind:
    """The kind of a parameter of `owner`."""
    # BatchNorm2d, LlamaRMSNorm; not NormedLinear
    if any(re.search(r"[Nn]orm(\dd)?($|[A-Z_])", name) for name in _classes(owner)):
        return "norm"
    return "weight" if dimensions >= 2 else "bias"


def filter_axis_of(owner: nn.Module) -> int:
    """The axis of its weights that counts output filters or neurons."""
    return int(any("ConvTranspose" in name or name == "Conv1D" for name in _classes(owner)))
