"""What a file holds, in lines of text, for `landscape info`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from landscape.base.runs.trajectory import Trajectory
from landscape.results.recorded import is_run
from landscape.results.registry import load_results


def describe(path: Path) -> Iterator[str]:
    """Lines about a recorded run or a results file.

    Raises:
        SchemaError: If it is neither.
    """
    size = path.stat().st_size / 2**20
    if is_run(path):
        yield from _run(Trajectory(path), size)
    else:
        yield f"{path}: results, {size:.1f} MB"
        for name, result in load_results(path).items():
            yield from _result(name, result)


def told(path: Path) -> dict[str, Any]:
    """The same for programs: settings, sizes and ends of what a file holds.

    Raises:
        SchemaError: If it is neither.
    """
    if not is_run(path):
        results = load_results(path)
        return {
            "file": str(path), "kind": "results",
            "results": {name: _told_of(result) for name, result in results.items()},
        }  # fmt: skip
    run = Trajectory(path)
    return {
        "file": str(path), "kind": "run", "complete": run.complete, "live": run.live,
        "states": len(run), "first_step": int(run.steps[0]), "last_step": int(run.steps[-1]),
        "parameters": run.layout.size, "run": run.run, "provenance": run.provenance,
        "scalars": {n: [_number(c[0]), _number(c[-1])] for n, c in run.scalars.items() if len(c)},
        "tensors": {entry.name: list(entry.shape) for entry in run.layout},
    }  # fmt: skip


def _told_of(result: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"kind": type(result).__name__, "schema": result.schema}
    for field in dataclasses.fields(result):
        value = getattr(result, field.name)
        if isinstance(value, np.ndarray):
            found[field.name] = {"shape": list(value.shape), "type": str(value.dtype)}
        elif value is not None:
            found[field.name] = _number(value) if isinstance(value, float) else value
    return found


def _number(value: float) -> float | None:
    """A number that JSON has; None for what is not finite."""
    return float(value) if np.isfinite(value) else None


def _run(run: Trajectory, size: float) -> Iterator[str]:
    ended = "complete" if run.complete else "not closed: interrupted or killed"
    if run.live:
        ended = f"still being recorded, at step {run.steps[0] + run.updates}"
    yield f"{run.path}: recorded run, {size:.1f} MB, {ended}"
    yield f"  {len(run)} states, steps {run.steps[0]} to {run.steps[-1]}"
    yield f"  {run.layout.size:,} parameters in {len(run.layout)} tensors" + (
        f", {run.buffers_layout.size:,} buffer values" if len(run.buffers_layout) else ""
    )
    for name, column in run.scalars.items():
        known = column[np.isfinite(column)]
        ends = f"{known[0]:.4g} to {known[-1]:.4g}" if len(known) else "no finite value"
        yield f"  {name}: {len(column)} values, {ends}"
    yield f"  run: {_pairs(run.run) or 'not recorded'}"
    yield f"  made by: {_pairs(run.provenance) or 'not recorded'}"
    yield f"  {'parameter':40} {'shape':>18} {'size':>10}  kind"
    for entry in run.layout:
        yield f"  {entry.name:40} {entry.shape!s:>18} {entry.size:>10,}  {entry.kind}"


def _result(name: str, result: Any) -> Iterator[str]:
    yield f"  {name}: {type(result).__name__}"
    for field in dataclasses.fields(result):
        value = getattr(result, field.name)
        if isinstance(value, np.ndarray):
            shape = "x".join(map(str, value.shape)) or "one number"
            if value.dtype == bool:
                text = f"{shape}, {int(value.sum())} of {value.size} true"
            else:
                bad = value.size - int(np.isfinite(value).sum())
                text = shape + (f", {bad} of {value.size} not finite" if bad else "")
            yield f"    {field.name:16} {text}"
        elif isinstance(value, dict):
            yield f"    {field.name:16} {_pairs(value) or 'none'}"
        elif value is not None:
            yield f"    {field.name:16} {', '.join(value) if isinstance(value, tuple) else value}"


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {_short(value)}" for key, value in values.items())


def _short(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"({_pairs(value)})" if value else "none"
    if isinstance(value, list):
        return " ".join(map(str, value)) or "none"
    return str(value)
