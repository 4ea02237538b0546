"""Steps: hears every step of the optimizers that move a model, whoever makes it.

Torch's own optimizers, and everything that was initialised as one, call hooks. What only looks
like an optimizer (wrappers, schemes whose second of two calls makes the step) is heard by a
`step` or `second_step` of its own that calls the one that was there. A step may be made of others
(a wrapper steps what is inside, SAM its base optimizer): one step ends when the outermost ends.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import types
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

from torch import Tensor
from torch.optim.optimizer import Optimizer

from landscape.recording.hooks import leave, listen
from landscape.recording.numbers.gradients import Arguments

Begin = Callable[[Any, tuple[Any, ...], dict[str, Any], bool], Arguments | None]


class MovedUnseen(UserWarning):
    """Weights moved in a way that the recording does not show; the message says which.

    >>> import warnings
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("error", MovedUnseen)  # a run that must be whole
    """


class Steps:
    """Calls `begin` when a step begins, and `end` when it has been made.

    Steps of torch optimizers that were not given are heard when they step one of the parameters.

    Args:
        optimizers: Torch optimizers, or whatever has a `step`.
        parameters: The recorded parameters.
        begin: Given the optimizer, the arguments of its step, and whether this is the same step,
            which began again inside a wrapper; may return other arguments.
        end: Given the optimizer; not called when nothing was stepped.
        moved: Whether the parameters differ from the last step's; asked where it cannot be heard.
        present: What is in the place of the parameters now; asked about optimizers not heard yet.

    Attributes:
        optimizers: Those given, then the others in the order in which they were heard.

    Raises:
        TypeError: If the `step` of one cannot be heard.
    """

    def __init__(
        self,
        optimizers: Sequence[Any],
        parameters: Iterable[Tensor],
        *,
        begin: Begin,
        end: Callable[[Any], None],
        moved: Callable[[], bool],
        present: Callable[[], Iterable[Tensor]],
    ) -> None:
        self.optimizers: list[Any] = list(optimizers)
        self._numbers = {id(o): number for number, o in enumerate(self.optimizers)}
        self._parameters = {id(p) for p in parameters}
        self._begin, self._end, self._moved, self._present = begin, end, moved, present
        self._process = os.getpid()  # a forked child trains on unheard: nobody would write
        self._others: WeakKeyDictionary[Any, tuple[int, bool]] = WeakKeyDictionary()
        self._frames: list[types.FrameType] = []  # of the steps under way, the outermost first
        self._stepped = self._skipped = self._closed = False
        self._wrapped: list[tuple[Any, str, Any]] = []

    def listen(self) -> None:
        """Begin to listen; after an error nothing does."""
        try:
            self._attach()
        except BaseException:
            self.close()
            raise

    def _attach(self) -> None:
        for optimizer in self.optimizers:
            if not is_hooked(optimizer):
                self._wrap(optimizer, "step")
            if callable(getattr(optimizer, "second_step", None)):
                self._wrap(optimizer, "second_step")
        listen(self)

    def close(self) -> None:
        """Stop listening; what was wrapped is as it was."""
        self._closed = True
        leave(self)
        for optimizer, name, mine in self._wrapped:
            if vars(optimizer).get(name) is mine:
                delattr(optimizer, name)
        self._wrapped, self._frames = [], []

    def add(self, parameter: Tensor) -> None:
        """Hear steps of this parameter, too."""
        self._parameters.add(id(parameter))
        self._others.clear()

    def number(self, optimizer: Any) -> int:
        """The place of an optimizer among those that were heard."""
        number = self._numbers.setdefault(id(optimizer), len(self.optimizers))
        if number == len(self.optimizers):
            self.optimizers.append(optimizer)
        return number

    def before(
        self, optimizer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Arguments | None:
        """A torch optimizer is about to step; called by `hooks`."""
        if not self._closed and self._concerns(optimizer):
            return self._began(optimizer, sys._getframe(2), args, kwargs)
        return None

    def after(self, optimizer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """It has stepped."""
        if not self._closed and self._concerns(optimizer):
            found_inf = getattr(optimizer, "found_inf", None)
            # A fused optimizer is called by a gradient scaler even when it is not to step.
            skipped = isinstance(found_inf, Tensor) and bool(found_inf.item())
            self._ended(optimizer, sys._getframe(2), stepped=not skipped, skipped=skipped)

    def _began(
        self,
        optimizer: Any,
        frame: types.FrameType,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        wrapper: bool = False,
    ) -> Arguments | None:
        while self._frames and not _within(self._frames[-1], frame):
            if any(_within(self._frames[-1], other) for other in sys._current_frames().values()):
                warnings.warn(
                    "Two threads step at the same time: steps may be recorded as one, and with "
                    "gradients of another. Hold a lock around each step.",
                    MovedUnseen,
                    stacklevel=4,
                )
            self._frames.pop()  # else that step ended by an exception
        outermost = not self._frames
        self._frames.append(frame)
        if outermost:
            self._stepped = self._skipped = False
            self._in_wrapper = wrapper
        elif not self._in_wrapper or wrapper:
            return None
        else:  # gradients are unscaled by now
            self._in_wrapper = False
        return self._begin(optimizer, args, kwargs, not outermost)

    def _ended(
        self, optimizer: Any, frame: types.FrameType, *, stepped: bool, skipped: bool = False
    ) -> None:
        self._leave(frame)
        self._stepped, self._skipped = self._stepped or stepped, self._skipped or skipped
        if not self._frames and not self._skipped and (self._stepped or self._moved()):
            self._end(optimizer)

    def _leave(self, frame: types.FrameType) -> None:
        while self._frames and self._frames.pop() is not frame:
            pass

    def _wrap(self, optimizer: Any, name: str) -> None:
        original = getattr(optimizer, name)

        @functools.wraps(original)
        def heard(self: Any, *args: Any, **kwargs: Any) -> Any:
            if self is not optimizer and getattr(original, "__self__", None) is optimizer:
                return original.__func__(self, *args, **kwargs)  # a copy steps its own tensors
            if steps._closed or os.getpid() != steps._process:
                return original(*args, **kwargs)
            frame = sys._getframe()
            changed = steps._began(optimizer, frame, (optimizer, *args), kwargs, wrapper=True)
            if changed is not None:
                args, kwargs = changed[0][1:], changed[1]
            try:
                result = original(*args, **kwargs)
            except BaseException:
                steps._leave(frame)
                raise
            steps._ended(optimizer, frame, stepped=name == "second_step")
            return result

        steps, method = self, types.MethodType(heard, optimizer)
        with contextlib.suppress(AttributeError):
            setattr(optimizer, name, method)
        if getattr(optimizer, "__dict__", {}).get(name) is not method:
            raise TypeError(
                f"{name}() of {type(optimizer).__name__} cannot be heard, since the object takes "
                "no attribute of that name; give the optimizer inside it."
            )
        self._wrapped.append((optimizer, name, method))

    def _concerns(self, optimizer: Any) -> bool:
        if os.getpid() != self._process:
            return False
        if id(optimizer) in self._numbers:
            return True
        size = sum(len(group["params"]) for group in optimizer.param_groups)
        known = self._others.get(optimizer)
        if known is None or known[0] != size:
            mine = self._parameters.union(map(id, self._present()))
            steps = any(id(p) in mine for p in stepped_by(optimizer))
            known = self._others[optimizer] = (size, steps)
        return known[1]


def all_of(optimizer: Any) -> list[Any]:
    """The optimizers that were given: one, or several.

    Raises:
        TypeError: If one of them is none.
    """
    found = [optimizer]
    if not hasattr(optimizer, "step") and isinstance(optimizer, Iterable):
        found = list(optimizer.values() if isinstance(optimizer, Mapping) else optimizer)
    for one in found or [optimizer]:
        if not callable(getattr(one, "step", None)):
            raise TypeError(
                "optimizer must be a torch optimizer, something else with a step(), or a list of "
                f"them; got {type(one).__name__}."
            )
    return found


def is_hooked(optimizer: Any) -> bool:
    """Whether its step calls torch's hooks."""
    return isinstance(optimizer, Optimizer) and getattr(type(optimizer).step, "hooked", False)


def stepped_by(optimizer: Any) -> list[Tensor]:
    """The tensors in the parameter groups of an optimizer, or of what looks like one."""
    groups = getattr(optimizer, "param_groups", ())
    return [p for group in groups for p in group["params"]]


def _within(outer: types.FrameType, frame: types.FrameType | None) -> bool:
    """Whether `outer` is still under way, and called what led to `frame`."""
    while frame is not None and frame is not outer:
        frame = frame.f_back
    return frame is outer
