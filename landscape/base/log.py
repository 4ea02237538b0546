"""What the library says while it works: the logger ``landscape``, on the error stream."""

from __future__ import annotations

import logging
import sys

from tqdm import tqdm


class _AboveTheBars(logging.Handler):
    """Lines on the present error stream; progress bars stay below them."""

    def emit(self, record: logging.LogRecord) -> None:
        tqdm.write(self.format(record), file=sys.stderr)


def _made() -> logging.Logger:
    log = logging.getLogger("landscape")
    if not log.handlers:
        log.addHandler(_AboveTheBars())
        log.propagate = False  # said once, not by the root logger too
        log.setLevel(logging.INFO)
    return log


LOG = _made()
"""``logging.getLogger("landscape").setLevel("WARNING")`` silences what things cost and where they
go; ``.propagate = True`` passes it on to the handlers of a program."""
