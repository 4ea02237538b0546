"""How large a recording becomes, and whether the disk can hold it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Size:
    """The expected size of a recording.

    Attributes:
        state: Bytes of one stored state.
        update: Bytes of the numbers stored at every step.
        every: Steps between two stored states; None: the first and the last only.
        steps: Steps to come; None when unknown.
        fixed: Bytes stored once.

    >>> Size(state=4_000_000, update=100, every=1, steps=999).total
    4000099900
    >>> str(Size(state=4_000_000, update=100, every=10, steps=999))
    '101 states of 4.0 MB, 404.1 MB in all'
    """

    state: int
    update: int
    every: int | None
    steps: int | None
    fixed: int = 0

    @property
    def states(self) -> int | None:
        """Number of states, the first and the last included; None when unknown."""
        if self.steps is None:
            return None
        if self.every is None:
            return 1 + (self.steps > 0)
        return 1 + -(-self.steps // self.every)

    @property
    def total(self) -> int | None:
        """Bytes of the whole file; None when the number of steps is unknown."""
        if self.states is None or self.steps is None:
            return None
        return self.fixed + self.states * self.state + self.steps * self.update

    def __str__(self) -> str:
        if self.total is None:
            return f"{bytes_text(self.state)} for each state"
        return f"{self.states} states of {bytes_text(self.state)}, {bytes_text(self.total)} in all"

    def check(self, path: Path) -> None:
        """Refuse what the disk cannot hold.

        Raises:
            OSError: With advice what to do instead.
        """
        folder = path.absolute().parent
        while not folder.exists():
            folder = folder.parent
        free = shutil.disk_usage(folder).free
        if path.is_file():  # it is replaced, or holds a part already
            free += path.stat().st_size
        needed = self.total if self.total is not None else self.fixed + 2 * self.state
        if needed > free:
            raise OSError(
                f"{path} would hold {self}, but only {bytes_text(free)} are free on its disk. "
                "Record fewer states (every=10), halve them (dtype='float16-delta'), choose "
                "tensors (parameters='regex'), keep only distances and angles (every=None, "
                "sketch=256), or choose another disk."
            )


def bytes_text(count: float) -> str:
    """A number of bytes for people, in powers of 1000.

    >>> bytes_text(999), bytes_text(1_500_000)
    ('999 B', '1.5 MB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
