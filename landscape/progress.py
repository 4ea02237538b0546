"""Long work: a bar with time left, silent where nobody looks, and Ctrl-C that loses nothing."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from tqdm import tqdm


class Progress:
    """A progress bar that appears after two seconds, on terminals only.

    Args:
        what: What is being done, for example ``surface``.
        total: Number of units.
        unit: What is counted.
    """

    def __init__(self, what: str, total: int, *, unit: str = "point") -> None:
        self._bar = tqdm(
            total=total, desc=what, unit=f" {unit}", disable=None, delay=2, leave=False
        )

    def advance(self, count: int = 1) -> None:
        """Count finished units."""
        self._bar.update(count)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        self._bar.close()


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during a measurement.

    Attributes:
        partial: What had been measured until then, as the interrupted function would return it;
            None when that is nothing.
    """

    def __init__(self, partial: Any = None) -> None:
        super().__init__()
        self.partial = partial
