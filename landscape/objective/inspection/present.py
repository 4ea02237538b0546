"""Models whose weights are not in this process's memory are refused in one line, before anything."""

from __future__ import annotations

from torch import Tensor, nn

_FILES = (
    "What is larger than memory is measured from its files: "
    "ls.loss_line(objective, ls.checkpoint_line(...)) of a model built without weights, with "
    "strategy='streamed'."
)


def check_present(model: nn.Module) -> None:
    """Refuse a model of which some weights are elsewhere.

    Raises:
        ValueError: If weights are sharded over processes, offloaded, or were never loaded; the
            message says what to do.
    """
    for name, parameter in model.named_parameters():
        if reason := _elsewhere(model, parameter):
            raise ValueError(f"The weights of this model are not here (first: {name}): {reason}")


def _elsewhere(model: nn.Module, parameter: Tensor) -> str:
    if hasattr(parameter, "full_tensor"):  # a DTensor
        return (
            "they are sharded over processes (FSDP2, tensor parallel), and one process measures. "
            "Gather them (torch.distributed.checkpoint.state_dict.get_model_state_dict with "
            f"full_state_dict=True) into a model that is not sharded, and measure that. {_FILES}"
        )
    if hasattr(parameter, "_sharded_size") or hasattr(parameter, "ds_id"):
        return (
            "they are sharded over processes (FSDP, ZeRO), and one process measures. Save the "
            f"whole model, load it unsharded, and measure that. {_FILES}"
        )
    if parameter.is_meta and any(hasattr(m, "_hf_hook") for m in model.modules()):
        return (
            "they are offloaded to memory or disk and come when a module runs. Load the model "
            f"without device_map (streamed, it needs room for one copy). {_FILES}"
        )
    if parameter.is_meta:
        return f"they are on the device 'meta', which holds none. Load them. {_FILES}"
    return ""
