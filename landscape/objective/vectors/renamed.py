"""Tensors that a model's library saves under other names than the model's own."""

# pyright: reportMissingImports=false
from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def renamed(model: Any, names: Iterable[str]) -> dict[str, str]:
    """Names in a checkpoint to those that a model of Hugging Face gives these tensors on loading.

    Names of several tensors that are joined on loading (experts) stay as they are, and so do those
    of any other model.
    """
    found = {name: name for name in names}
    if not any(kind.__name__ == "PreTrainedModel" for kind in type(model).__mro__):
        return found
    try:
        from transformers.conversion_mapping import get_model_conversion_mapping
        from transformers.core_model_loading import WeightRenaming
    except ImportError:  # before version 5 names were the same
        return found
    rules = [r for r in get_model_conversion_mapping(model) if isinstance(r, WeightRenaming)]
    for name in found:
        for rule in rules:
            found[name] = rule.rename_source_key(found[name])[0]
    # Names that fall together, or a save under today's names: the rules are of no use here.
    return found if len(set(found.values())) == len(found) else {name: name for name in found}
