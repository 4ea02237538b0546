"""Ctrl-C that waits for a safe place, so that nothing is left half done."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType


@contextlib.contextmanager
def held_back() -> Iterator[Callable[[], None]]:
    """Inside, the first Ctrl-C is only noted; a second one interrupts at once.

    Other signal handlers than Python's own, and threads other than the main one, are left alone.

    Yields:
        A function that raises `KeyboardInterrupt` if Ctrl-C was pressed; call it where stopping
        is safe. It is also called at the end.
    """
    pressed = 0

    def check() -> None:
        if pressed:
            raise KeyboardInterrupt

    def note(signum: int, frame: FrameType | None) -> None:
        nonlocal pressed
        pressed += 1
        if pressed > 1:
            raise KeyboardInterrupt

    mine = (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )
    if mine:
        signal.signal(signal.SIGINT, note)
    try:
        yield check
    finally:
        if mine:
            signal.signal(signal.SIGINT, signal.default_int_handler)
    check()
