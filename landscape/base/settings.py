"""Settings: what numbers depend on, as a file gives them back.

A result's settings are JSON: names to texts, numbers, truth values, None, lists and tables of them.
They are brought into that form when a result is made, not when it is saved, so that a result in
memory and the same from a file have equal settings.

What a user adds stands apart, under ``user``, where it can neither hide nor be hidden by what the
package says itself; only ``task`` and ``data``, which captions name, stand beside that.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

USER = "user"
_SHOWN = ("task", "data")  # a user's words that stand beside the package's
USERS = (*_SHOWN, USER)
_DEEPEST = 50


def users_settings(given: Mapping[str, Any] | None) -> dict[str, Any]:
    """What a user wants kept with the results, apart from what the package says.

    Raises:
        ValueError: If something cannot be kept; the message names it.

    >>> users_settings({"task": "mine", "seed": 3, "widths": (8, 8)})
    {'task': 'mine', 'user': {'seed': 3, 'widths': [8, 8]}}
    """
    kept = as_json(dict(given or {}), "settings")
    own = {name: value for name, value in kept.items() if name not in _SHOWN}
    shown = {name: value for name, value in kept.items() if name in _SHOWN}
    return {**shown, **({USER: own} if own else {})}


def joined(*parts: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a plane, an objective and so on, together.

    Raises:
        ValueError: If two of them say something else about the same.
    """
    whole: dict[str, Any] = {}
    for part in parts:
        for name, value in part.items():
            if name in whole and canonical(whole[name]) != canonical(value):
                raise ValueError(
                    f"Two settings are called {name!r}, {whole[name]!r} and {value!r}; give one of "
                    "them another name."
                )
            whole[name] = value
    return whole


def of_all(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Settings of several lines: what all share, and lists of what differs.

    >>> of_all([{"kind": "random", "seed": 0}, {"kind": "random", "seed": 1}])
    {'kind': 'random', 'seed': [0, 1]}
    """
    names = dict.fromkeys(name for part in parts for name in part)
    values = {name: [part.get(name) for part in parts] for name in names}
    alike = {name: len({canonical(v) for v in found}) == 1 for name, found in values.items()}
    return {name: found[0] if alike[name] else found for name, found in values.items()}


def difference(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> str:
    """The first setting that keeps two measurements from being one; empty when none does.

    The device is none: how points are evaluated changes a number by rounding only.
    """
    one, other = _compared(mine), _compared(theirs)
    for name in sorted({*one, *other}):
        if canonical(one.get(name)) != canonical(other.get(name)):
            return f"{name} differs ({one.get(name)}; {other.get(name)})"
    return ""


def devices(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, str]:
    """The setting that says where two parts of one measurement were measured."""
    said = [str(part["device"]).split(", ") for part in (mine, theirs) if "device" in part]
    names = dict.fromkeys(name for part in said for name in part)
    return {"device": ", ".join(names)} if names else {}


def as_json(value: Any, name: str, *, depth: int = 0) -> Any:
    """A value in the form in which a file gives it back: tuples are lists, paths are texts.

    Args:
        value: What is to be kept.
        name: What to call it in a message.
        depth: How deep it lies in another.

    Raises:
        ValueError: If it, or something in it, is none of what JSON knows.
    """
    if depth > _DEEPEST:
        raise ValueError(f"{name} is nested more than {_DEEPEST} deep; it cannot be kept.")
    if value is None or isinstance(value, bool | np.bool_):
        return None if value is None else bool(value)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return float(value)
    if isinstance(value, os.PathLike):
        return os.fsdecode(value)
    if isinstance(value, np.ndarray):
        value = value.tolist()
        return as_json(value, name, depth=depth)
    if isinstance(value, list | tuple):
        return [as_json(v, f"{name}[{k}]", depth=depth + 1) for k, v in enumerate(value)]
    if isinstance(value, Mapping):
        return _table(value, name, depth)
    raise ValueError(
        f"{name} is a {type(value).__name__}; texts, numbers, lists and tables of them can be kept "
        "with a result. Give what describes it, such as str(...)."
    )


def canonical(value: Any) -> str:
    """One text for all equal settings; NaN equals NaN."""
    return json.dumps(value, sort_keys=True)


def _compared(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Without the device, and with a user's words where files of the first versions have them."""
    apart = ("device", "statistics", USER)  # `fixed_hash` tells statistics apart
    found = {name: value for name, value in settings.items() if name not in apart}
    for name, value in (settings.get(USER) or {}).items():
        found[f"{USER}.{name}" if name in found else name] = value
    return found


def _table(value: Mapping[Any, Any], name: str, depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, one in value.items():
        if not isinstance(key, str | int | float | bool | np.integer | None):
            raise ValueError(f"{name} has the key {key!r}; keys are texts or numbers.")
        plain = as_json(key, name)
        text = plain if isinstance(plain, str) else json.dumps(plain)
        if text in found:
            raise ValueError(f"{name} has two keys that are written {text!r}; rename one.")
        found[text] = as_json(one, f"{name}[{text!r}]", depth=depth + 1)
    return found
