"""What torch calls at every optimizer's step: one pair of hooks for all recorders of the process.

Torch goes through its hooks while it calls them, so none may come or go while another thread steps:
these stay where they are once a recorder has begun, and call whoever listens at the moment.
"""

from __future__ import annotations

import threading
from typing import Any, Protocol

from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

from landscape.recording.numbers.gradients import Arguments

_lock = threading.Lock()
_listening: tuple[Listening, ...] = ()  # replaced, never changed
_there = False


class Listening(Protocol):
    """Who is told of every step; two frames above it is torch's own of the step."""

    def before(self, optimizer: Any, args: Any, kwargs: dict[str, Any]) -> Arguments | None:
        """Called before a step; may return other arguments for it."""

    def after(self, optimizer: Any, args: Any, kwargs: dict[str, Any]) -> None:
        """Called when it was made."""


def listen(who: Listening) -> None:
    """Tell `who` of every step from now on."""
    global _listening, _there
    with _lock:
        _listening = (*_listening, who)
        if not _there:
            register_optimizer_step_pre_hook(_before)
            register_optimizer_step_post_hook(_after)
            _there = True


def leave(who: Listening) -> None:
    """Tell it nothing any more."""
    global _listening
    with _lock:
        _listening = tuple(one for one in _listening if one is not who)


def _before(optimizer: Any, args: Any, kwargs: dict[str, Any]) -> Arguments | None:
    changed: Arguments | None = None
    for who in _listening:
        result = who.before(optimizer, args, kwargs)
        if result is not None:
            args, kwargs = changed = result
    return changed


def _after(optimizer: Any, args: Any, kwargs: dict[str, Any]) -> None:
    for who in _listening:
        who.after(optimizer, args, kwargs)
