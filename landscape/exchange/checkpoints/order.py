"""In which order checkpoints were taken: by the number that tells them apart, else as given."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

_COUNTS = ("step", "iter", "iteration", "it", "batch", "checkpoint", "ckpt", "epoch", "ep")
_DIGITS = r"(\d{1,3}(?:,\d{3})+(?!\d)|\d+)"
_NUMBER = re.compile(_DIGITS)
_COUNTING = re.compile(rf"(?<![a-z])({'|'.join(_COUNTS)})s?[-_=. ]?$", re.IGNORECASE)
_COUNTED = re.compile(rf"{_COUNTING.pattern[:-1]}{_DIGITS}", re.IGNORECASE)
_JOINING = tuple("-_.:T ")
_ALONE = re.compile(r"(?<![A-Za-z0-9.])(\d+)(?![A-Za-z0-9])")
_FIRST = re.compile(r"(?<![a-z])(init|initial|start|begin|untrained|random)(?![a-z])", re.I)
_LAST = re.compile(r"(?<![a-z])(final|last|end|finished|trained)(?![a-z])", re.IGNORECASE)


def ordered(paths: Sequence[Path]) -> tuple[list[Path], list[int]]:
    """Checkpoints in the order in which they were taken, and their steps.

    What counts is, first, the step that the Hugging Face trainer noted in each; then the number
    that differs between the names (``step`` before ``epoch`` where both do, unless steps begin
    anew in every epoch; dates and versions as a whole). Names without one keep the order given;
    those called ``init`` or the like, or given before all numbered ones, come first, others last.
    Names in alphabetical order, as a shell or a folder lists them, have no order: of these the ones
    called ``final`` or the like come last.

    Returns:
        The paths, and strictly increasing steps: the numbers where all have one (an unnumbered
        first one has step 0), else the place in the order.
    """
    paths = list(paths)
    noted = [_noted(path) for path in paths]
    numbers = noted if None not in noted and len(set(noted)) == len(noted) else _numbers(paths)
    listed = paths == sorted(paths, key=str)
    numbered = [i for i, number in enumerate(numbers) if number is not None]

    def key(place: int) -> tuple[int, int, int]:
        number, name = numbers[place], _called(paths[place])
        if number is not None:
            return (1, number, place)
        named_first, named_last = bool(_FIRST.search(name)), bool(_LAST.search(name))
        if not numbered:
            return (0 if listed and named_first else 2 if listed and named_last else 1, 0, place)
        before = place < numbered[0] and not listed
        return (0 if named_first or (before and not named_last) else 2, int(named_last), place)

    order = sorted(range(len(paths)), key=key)
    return [paths[i] for i in order], _steps([numbers[i] for i in order])


def _steps(numbers: list[int | None]) -> list[int]:
    if len(numbers) > 1 and numbers[0] is None and (numbers[1] or 0) > 0:
        numbers = [0, *numbers[1:]]
    known = [number for number in numbers if number is not None]
    if len(known) == len(numbers) and all(a < b for a, b in pairwise(known)):
        return known
    return list(range(len(numbers)))


def _numbers(paths: list[Path]) -> list[int | None]:
    """The number of each checkpoint that tells it from the others; None where it has none."""
    parts = [_NUMBER.split(str(path.absolute())) for path in paths]
    if len(paths) > 1 and len({tuple(part[::2]) for part in parts}) == 1:
        found = _differing(parts)
        return [*found] if found is not None else [None] * len(paths)
    own = [_own(path) for path in paths]
    known = [counts for counts in own if counts is not None]
    epochs = [epoch for epoch, _ in known if epoch is not None]
    numbers = [number for _, number in known]
    found = _counted(numbers, epochs if len(epochs) == len(numbers) else None)
    given = iter(found or ())
    return [next(given) if counts is not None and found else None for counts in own]


def _differing(parts: list[list[str]]) -> list[int] | None:
    """The numbers at the place where names differ that are alike but for their numbers."""
    columns = {at: [_int(p[at]) for p in parts] for at in range(1, len(parts[0]), 2)}
    columns = {at: column for at, column in columns.items() if len(set(column)) > 1}
    words = {at: _COUNTING.search(parts[0][at - 1]) for at in columns}
    called = {word[1].lower(): columns[at] for at, word in reversed(words.items()) if word}
    epochs = called.get("epoch", called.get("ep"))
    for word in _COUNTS:
        if word in called and (found := _counted(called[word], epochs)):
            return found
    runs: list[list[list[int]]] = []  # of numbers with one sign between: dates, versions
    for at, column in columns.items():
        if at - 2 in columns and parts[0][at - 1] in _JOINING:
            runs[-1].append(column)
        else:
            runs.append([column])
    for run in runs:
        for most in range(1, len(run) + 1):
            if found := _places(run[:most]):
                return found
    return None


def _counted(numbers: list[int], epochs: list[int] | None) -> list[int] | None:
    """Numbers that count; or places, where they begin anew in every epoch. None: they are alike."""
    pairs = sorted(zip(numbers, epochs or numbers, strict=True))
    rising = all(a[1] <= b[1] for a, b in pairwise(pairs))
    return _places([numbers] if rising or epochs is None else []) or _places(
        [epochs, numbers] if epochs else []
    )


def _places(columns: list[list[int]]) -> list[int] | None:
    """The numbers of the only column, or which place rows of several have; None: some are alike."""
    rows = [*zip(*columns, strict=True)]
    if len(set(rows)) < len(rows):
        return None
    return [*columns[0]] if len(columns) == 1 else [sorted(rows).index(row) for row in rows]


def _own(path: Path) -> tuple[int | None, int] | None:
    """The epoch and the number in a name that is like no other.

    The number is that after a word that counts, else the last.
    """
    name = _called(path)
    counted = {word.lower(): _int(number) for word, number in _COUNTED.findall(name)}
    named = next((counted[word] for word in _COUNTS if word in counted), None)
    alone = _ALONE.findall(name)
    if named is None and not alone:
        return None
    return counted.get("epoch", counted.get("ep")), int(alone[-1]) if named is None else named


def _int(digits: str) -> int:
    return int(digits.replace(",", ""))


def _called(path: Path) -> str:
    return path.stem if path.suffix and not path.is_dir() else path.name


def _noted(path: Path) -> int | None:
    note = path / "trainer_state.json"
    if not note.is_file():
        return None
    try:
        return int(json.loads(note.read_text())["global_step"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{note} does not say the step ({error!r:.200}).") from error
