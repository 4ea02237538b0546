"""Results on their way to one file, which is written once."""

from __future__ import annotations

import time
from pathlib import Path
from types import TracebackType
from typing import Self

from landscape.base.result import Result, save_together

_AT_RISK = 60.0  # seconds of work that a kill may take


class Writing:
    """Results that are written together: at the end, and as soon as a minute of work waits.

    To write is to copy what stays of the file, so that a command that writes often copies often.
    After an exception, or Ctrl-C, what was added is written, too.

    Args:
        path: The file, created when missing.

    >>> import tempfile
    >>> from landscape.results.affine import Line
    >>> from landscape.results.registry import load_results
    >>> line = Line(origin=[0.0], directions=[[1.0]], gram=[[1.0]], labels=("a",))
    >>> path = Path(tempfile.mkdtemp()) / "run.results.h5"
    >>> with Writing(path) as file:
    ...     file.add(line, "direction/one")
    ...     file.add(line, "direction/two")
    >>> list(load_results(path))
    ['direction/one', 'direction/two']
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._results: dict[str, Result] = {}
        self._without: list[str] = []
        self._since = time.monotonic()

    def add(self, result: Result, name: str) -> None:
        """Write this result as group `name`."""
        self._results[name] = result
        if time.monotonic() - self._since > _AT_RISK:
            self.write()

    def remove(self, name: str) -> None:
        """Delete group `name`, where it exists, when the others are written."""
        self._without.append(name)

    def write(self) -> None:
        """Write what was added until now."""
        if self._results:
            save_together(self._path, self._results, without=self._without)
        self._results, self._without, self._since = {}, [], time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        self.write()
