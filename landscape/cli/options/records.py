"""Options that several commands share, written once: a record of options as one parameter."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable
from typing import Any, get_type_hints


def expanded(command: Callable[..., None]) -> Callable[..., None]:
    """A command with one option per field of the parameters that are annotated with a record.

    A record is a dataclass whose fields are annotated as options; it is given where it stands
    among the parameters, and its default says those of the options.
    """
    hints = get_type_hints(command, include_extras=True)
    records = {n: t for n, t in hints.items() if dataclasses.is_dataclass(t)}
    parameters: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(command).parameters.items():
        if name not in records:
            parameters.append(parameter.replace(annotation=hints[name]))
            continue
        kinds = get_type_hints(records[name], include_extras=True)
        parameters += [
            inspect.Parameter(
                field.name,
                parameter.kind,
                default=getattr(parameter.default, field.name),
                annotation=kinds[field.name],
            )
            for field in dataclasses.fields(records[name])
        ]

    @functools.wraps(command)
    def called(**given: Any) -> None:
        for name, record in records.items():
            fields = [field.name for field in dataclasses.fields(record)]
            make: Any = record
            given[name] = make(**{field: given.pop(field) for field in fields})
        command(**given)

    called.__dict__.pop("__wrapped__")  # its signature is no longer the command's
    called.__dict__["__signature__"] = inspect.Signature(parameters)
    called.__annotations__ = {p.name: p.annotation for p in parameters}
    return called
