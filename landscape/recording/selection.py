"""Which of a model's parameters are recorded: all, by name, by regular expression, by function."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace

from torch import Tensor, nn

from landscape.base.layout import Entry, Layout

Selection = str | Iterable[str] | Callable[[str, Tensor], bool]


def selected_layout(model: nn.Module, parameters: Selection = "all") -> Layout:
    r"""The layout of the trainable parameters that are meant.

    Args:
        model: The model.
        parameters: ``all``; a regular expression that the whole name must match
            (``r"layer4\..*"``); a list of names; or ``function(name, parameter) -> bool``.

    Raises:
        ValueError: If nothing is selected, a listed name does not exist, or parameters are sharded.

    >>> model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    >>> [entry.name for entry in selected_layout(model, r".*bias")]
    ['0.bias', '1.bias']
    """
    _check_here(model)
    layout = Layout.of(model)
    if isinstance(parameters, str) and parameters == "all":
        return layout
    names = [entry.name for entry in layout]
    if callable(parameters):
        tensors = dict(model.named_parameters())
        wanted = {name for name in names if parameters(name, tensors[name])}
    elif isinstance(parameters, str):
        try:
            wanted = {name for name in names if re.fullmatch(parameters, name)}
        except re.error as error:
            raise ValueError(
                f"parameters={parameters!r} is not a regular expression ({error})."
            ) from error
    else:
        wanted = set(parameters)
        unknown = sorted(wanted - set(names))
        if unknown:
            raise ValueError(
                f"parameters names {unknown[0]!r}, which is not a trainable parameter; the model "
                f"has {', '.join(names[:8])}{', …' if len(names) > 8 else ''}."
            )
    if not wanted:
        raise ValueError(
            f"parameters={parameters!r} selects nothing; the model has {', '.join(names[:8])}"
            f"{', …' if len(names) > 8 else ''}."
        )
    entries: list[Entry] = []
    offset = 0
    for entry in layout:
        if entry.name in wanted:
            entries.append(replace(entry, offset=offset))
            offset += entry.size
    return Layout(tuple(entries))


def _check_here(model: nn.Module) -> None:
    """Refuse parameters of which this process holds a part only."""
    for name, parameter in model.named_parameters():
        if hasattr(parameter, "full_tensor") or getattr(parameter, "_fsdp_flattened", False):
            raise ValueError(
                f"The parameter {name} is spread over several processes (FSDP, tensor parallel), "
                "and this one holds a part of it. Save whole state dicts while it trains "
                "(get_model_state_dict with full_state_dict=True) and make a run of them: "
                "landscape import; or train with DistributedDataParallel."
            )
