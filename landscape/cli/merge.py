"""`landscape merge`: put the shards of a surface together."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from landscape.cli.checks import check_data_file, check_there


def merge(
    parts: Annotated[list[Path], typer.Argument(help="Results files of the shards.")],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Results file to write; it may be one of the parts.")
    ],
) -> None:
    """Put the parts together that `landscape surface --shard I/N --out PART.h5` measured.

    What is still missing afterwards is measured by the command without --shard and with this
    --out, which a surface with a tolerance always needs. Paths are added with `landscape project`.

    Example: landscape merge part1.h5 part2.h5 part3.h5 --out data/sgd.results.h5
    """
    check_there(parts)
    check_data_file(out, "A results file")
    from landscape.base.files import remove
    from landscape.results.registry import load_results
    from landscape.results.surface import Surface

    held = {path: load_results(path) for path in parts}
    for path, results in held.items():
        if not _surfaces(results):
            raise ValueError(f"{path} holds no surface, finished or not.")
    already = load_results(out) if out.exists() and out not in held else {}
    for name in sorted({name for results in held.values() for name in _surfaces(results)}):
        whole: Surface | None = None
        for path, results in held.items():
            part = _surfaces(results).get(name)
            if part is None:
                raise ValueError(f"{path} holds no part of surface {name!r}, as {parts[0]} does.")
            if whole is not None and (problem := whole.differences(part)):
                raise ValueError(
                    f"{path}: surface {name!r} is another measurement than in {parts[0]}: "
                    f"{problem}."
                )
            whole = part if whole is None else whole.merged(part)
        assert whole is not None
        finished = already.get(f"surface/{name}")
        if isinstance(finished, Surface) and (problem := whole.differences(finished)):
            raise ValueError(
                f"{out} holds surface {name!r} of another measurement ({problem}); give another "
                "--out."
            )
        before = already.get(f"unfinished/{name}")
        if isinstance(before, Surface):
            if problem := whole.differences(before):
                raise ValueError(
                    f"{out} holds an unfinished surface {name!r} of another measurement "
                    f"({problem}): finish it first, or give another --out."
                )
            whole = whole.merged(before)
        for results in held.values():
            if (plane := results.get(f"plane/{name}")) is not None:
                plane.save(out, f"plane/{name}")
                break
        done, count = int(whole.computed.sum()), whole.computed.size
        if whole.accuracy is not None or (done == count and whole.moments is None):
            whole.save(out, f"surface/{name}")
            remove(out, f"unfinished/{name}")
            typer.echo(f"{out}: surface/{name}, all {count} points of {len(parts)} part(s)")
        else:
            whole.save(out, f"unfinished/{name}")
            typer.echo(
                f"{out}: {done} of {count} points of surface {name!r}; merge the other parts "
                f"into it, or finish it: landscape surface ... --out {out}"
            )


COMMANDS = {"merge": merge}


def _surfaces(results: dict[str, Any]) -> dict[str, Any]:
    """Surfaces by the name of their plane, finished or not."""
    found = {}
    for where in ("surface/", "unfinished/"):  # what is unfinished is newer
        for name, result in results.items():
            if name.startswith(where):
                found[name.removeprefix(where)] = result
    return found
