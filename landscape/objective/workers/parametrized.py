"""Parametrized modules (weight norm, orthogonal weights ...) as bytes, for other processes.

`torch.nn.utils.parametrize` gives such a module a class of its own, which cannot be pickled. It is
sent as the class it had, its attributes and the names of its parametrized tensors, and gets a class
of its own again where it arrives.
"""

from __future__ import annotations

from collections import OrderedDict
from types import ModuleType, SimpleNamespace
from typing import Any

from torch import nn
from torch.nn.utils import parametrize


def rebuilding(pickler: ModuleType) -> Any:
    """What `torch.save` takes as `pickle_module`: like a given one, and for parametrized modules.

    Args:
        pickler: A module with a `Pickler`, such as `pickle`.
    """

    class Pickler(pickler.Pickler):
        def reducer_override(self, obj: Any) -> Any:
            if isinstance(obj, nn.Module) and parametrize.is_parametrized(obj):
                # Of loading state dicts, which workers do not; weight norm's cannot be pickled.
                sent = {**obj.__dict__, "_load_state_dict_pre_hooks": OrderedDict()}
                return _empty, (type(obj).__mro__[1],), sent, None, None, _fill
            inherited = getattr(super(), "reducer_override", None)
            return NotImplemented if inherited is None else inherited(obj)

    return SimpleNamespace(**{**vars(pickler), "Pickler": Pickler})


def _empty(kind: type[nn.Module]) -> nn.Module:
    return kind.__new__(kind)


def _fill(module: nn.Module, attributes: dict[str, Any]) -> None:
    module.__dict__.update(attributes)
    parametrize._inject_new_class(module)
    for name in module.__dict__["_modules"]["parametrizations"]:
        parametrize._inject_property(module, name)
