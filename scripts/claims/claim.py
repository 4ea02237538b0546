"""Claim: what was published, what was expected here, what was measured."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Claim:
    """One row of the table of reproductions.

    Attributes:
        claim: What is claimed.
        source: Where.
        expected: What would confirm it here, with its tolerance.
        measured: What was found.
        holds: Whether it does.
    """

    claim: str
    source: str
    expected: str
    measured: str
    holds: bool


def save(claims: Sequence[Claim], path: Path, *, seconds: float) -> None:
    """Write claims as JSON, and how long it took to measure them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    held = {"seconds": seconds, "claims": [asdict(claim) for claim in claims]}
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(held, indent=1, ensure_ascii=False, default=bool))
    partial.replace(path)


def load(path: Path) -> tuple[list[Claim], float]:
    """Read what `save` wrote: the claims and the seconds."""
    held = json.loads(path.read_text())
    return [Claim(**row) for row in held["claims"]], float(held["seconds"])


def table(claims: Sequence[Claim]) -> str:
    """A Markdown table."""
    rows = ["| claim | source | expected | measured | holds |", "|---|---|---|---|---|"]
    for c in claims:
        cells = (c.claim, c.source, c.expected, c.measured, "yes" if c.holds else "**no**")
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows)


def numbers(values: Iterable[Any], form: str = ".3g") -> str:
    """Numbers in a row, the seeds of one measurement."""
    return ", ".join(format(float(v), form) for v in values)
