"""Options that several commands share, written once: a record of options as one parameter."""

from __future__ import annotations

import copy
import dataclasses
import functools
import inspect
import re
from collections.abc import Callable
from typing import Annotated, Any, get_args, get_type_hints


def expanded(command: Callable[..., None]) -> Callable[..., None]:
    """A command with one option per field of the parameters that are annotated with a record.

    A record is a dataclass whose fields are annotated as options; it is given where it stands
    among the parameters, and its default says those of the options. In the help they stand together
    under its docstring's first words.
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
                annotation=_in_panel(kinds[field.name], records[name]),
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


def _in_panel(annotation: Any, record: Any) -> Any:
    """The annotation of an option that the help shows in its record's panel."""
    kind, option, *more = get_args(annotation)
    option = copy.copy(option)
    option.rich_help_panel = re.split("[.,:;]", inspect.getdoc(record) or "")[0]
    return Annotated[kind, option, *more]
