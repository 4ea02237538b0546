"""Passes that take turns: one runs at a time, until it needs weights that others need as well.

Every pass is a thread. It stops where a module is about to be given its weights; then the next pass
runs until it stops there too. So the weights of a module are made for all passes before those of
another, whatever the model and the loss do in between. They are made in the thread that gives the
turns: an allocator keeps for every thread what that thread has freed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Sequence
from contextvars import copy_context
from typing import Any

Task = Callable[[], Any]


class _Abandoned(BaseException):
    """Ends a pass whose result nobody waits for."""


class Turns:
    """Runs several passes module by module.

    Args:
        tasks: The passes, in the order in which they take turns.
        begin: Told the number of the pass that goes on, before it does.
        aim: Told the number of the pass for which something is made, before it is.
        leave: Called when a pass stops; what it returns goes to `come_back` before it goes on.
        come_back: Called when a pass goes on.
        check: Called now and then; raises to stop.
        room: How many passes may go on from a place together; the others wait until these end or
            wait elsewhere.
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        *,
        begin: Callable[[int], None],
        aim: Callable[[int], None],
        leave: Callable[[], Any],
        come_back: Callable[[Any], None],
        check: Callable[[], None],
        room: Callable[[Any], int],
    ) -> None:
        self._tasks, self._begin, self._check, self._room = tasks, begin, check, room
        self._leave, self._come_back, self._aim = leave, come_back, aim
        self._results: list[Any] = [None] * len(tasks)
        self._errors: list[BaseException | None] = [None] * len(tasks)
        self._waits_for: dict[int, Any] = dict.fromkeys(range(len(tasks)))
        self._makes: dict[int, Any] = {}
        self._made: dict[int, Any] = {}
        self._go = [threading.Semaphore(0) for _ in tasks]
        self._stopped = threading.Semaphore(0)
        self._now, self._running, self._abandoned = -1, False, False

    def run(self) -> list[Any]:
        """What the passes return.

        Raises:
            BaseException: What the first of them, or `check`, raised.
        """
        threads = [
            threading.Thread(target=copy_context().run, args=(self._pass, i), daemon=True)
            for i in range(len(self._tasks))
        ]
        for thread in threads:
            thread.start()
        try:
            while self._waits_for:
                place = next(iter(self._waits_for.values()))
                together = [i for i, other in self._waits_for.items() if other is place]
                together = together[: self._room(place)]
                self._make_in_steps(together)
                for number in together:
                    self._check()
                    self._resume(number)
                    if (error := self._errors[number]) is not None:
                        raise error
        finally:
            self._abandoned = True
            if self._running:
                self._stopped.acquire()
            for number in list(self._waits_for):
                self._resume(number)
            for thread in threads:
                thread.join()
        return self._results

    def meet(self, place: Any, make: Any) -> Any:
        """Wait, in a pass, until it is its turn at a place; what is made for it there.

        Args:
            place: Where.
            make: A function that makes it; or a generator that returns it, of whose steps each is
                taken for all who wait at the place before the next.
        """
        number = self._now
        self._waits_for[number], self._makes[number] = place, make
        held = self._leave()
        self._stopped.release()
        self._go[number].acquire()
        self._come_back(held)
        if self._abandoned:
            raise _Abandoned
        return self._made.pop(number)

    def _make_in_steps(self, numbers: Sequence[int]) -> None:
        steps = {n: self._makes.pop(n) for n in numbers if _is_in_steps(self._makes.get(n))}
        while steps:
            self._check()
            for number in list(steps):
                self._aim(number)
                try:
                    next(steps[number])
                except StopIteration as end:
                    self._made[number] = end.value
                    del steps[number]

    def _resume(self, number: int) -> None:
        self._now = number
        make = self._makes.pop(number, None)
        if not self._abandoned:
            self._begin(number)
            if make is not None:
                self._made[number] = make()
        self._running = True
        self._go[number].release()
        self._stopped.acquire()
        self._running = False

    def _pass(self, number: int) -> None:
        self._go[number].acquire()
        try:
            if not self._abandoned:
                self._results[number] = self._tasks[number]()
        except _Abandoned:
            pass
        except BaseException as error:
            self._errors[number] = error
        del self._waits_for[number]
        self._stopped.release()


def _is_in_steps(make: Any) -> bool:
    return isinstance(make, Generator)
