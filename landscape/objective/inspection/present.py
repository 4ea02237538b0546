"""Models whose weights are not in this process's memory are refused in one line."""

from __future__ import annotations

from torch import Tensor, nn

_FILES = (
    "What is larger than memory is measured from its files: "
    "ls.loss_line(objective, ls.checkpoint_line(...)) of a model built without weights, with "
    "strategy='streamed'."
)


def check_present(model: nn.Module) -> None:
    """Refuse a model of which some weights are elsewhere.

    Those of FSDP2 and of tensor parallel models are shards that know their place; see
    `landscape.objective.sharded`.

    Raises:
        ValueError: If weights are sharded otherwise, offloaded, or were never loaded; the message
            says what to do.
    """
    for name, parameter in model.named_parameters():
        if reason := _elsewhere(model, parameter):
            raise ValueError(f"The weights of this model are not here (first: {name}): {reason}")


def gathered(parameter: Tensor) -> Tensor:
    """The values of a parameter; of one in shards, gathered by all processes together."""
    gather = getattr(parameter, "full_tensor", None)
    return (parameter if gather is None else gather()).detach()


def _elsewhere(model: nn.Module, parameter: Tensor) -> str:
    flattened = getattr(parameter, "_fsdp_flattened", False)
    if flattened or hasattr(parameter, "_sharded_size") or hasattr(parameter, "ds_id"):
        return (
            "they are sharded over processes by FSDP1 or ZeRO. Shard the model by FSDP2 "
            f"(torch.distributed.fsdp.fully_shard), or load it unsharded. {_FILES}"
        )
    if parameter.is_meta and any(hasattr(m, "_hf_hook") for m in model.modules()):
        return (
            "accelerate offloads them to memory or disk and brings them when a module runs. Give "
            "ls.onloaded(model), which reads them where they lie, on the CPU; or load the model "
            f"without device_map (streamed, it needs room for one copy). {_FILES}"
        )
    if parameter.is_meta:
        return f"they are on the device 'meta', which holds none. Load them. {_FILES}"
    return ""
