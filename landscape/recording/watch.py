"""Watch: whether a model is still made of the tensors that are recorded."""

from __future__ import annotations

import operator
import warnings
from collections.abc import Iterable, Sequence
from itertools import chain

import torch
from torch import Tensor, nn

from landscape.base.layout import Layout
from landscape.recording.snapshot import Snapshot
from landscape.recording.steps import MovedUnseen, Steps, stepped_by

_PART = 1 << 20  # elements of a tensor that are looked at together


class Watch:
    """Looks before every step whether layers were replaced, added or unfrozen since the last one.

    What takes the place of a recorded tensor is recorded from then on. What cannot be recorded is
    said, once: `MovedUnseen`.

    Args:
        model: The model.
        layout: The parameters that are recorded.
        beside: The tensors that are recorded beside them.
        snapshot: Told what was replaced.
    """

    def __init__(
        self, model: nn.Module, layout: Layout, beside: Iterable[Tensor], snapshot: Snapshot
    ) -> None:
        self._model, self._snapshot = model, snapshot
        self._shapes = {entry.name: torch.Size(entry.shape) for entry in layout}
        self._beside = {id(t): t for t in beside}
        self._mine: dict[int, Tensor] = {id(p): p for p in model.parameters()} | self._beside
        self._known = {n for n, p in model.named_parameters() if p.requires_grad}
        self._prints = {n: _print(p) for n, p in self._untrained()}
        self._said: set[str] = set()
        self._messages: list[str] = []
        self._checks = 0
        self._look()

    def present(self) -> list[Tensor]:
        """What the model holds now under the names that are recorded."""
        return [p for name, p in self._model.named_parameters() if name in self._shapes]

    def check(self, steps: Steps, step: int) -> None:
        """Called before step `step`, and at the end; finds what will move unseen."""
        self._checks += 1
        if self._checks == 2:  # a moving average has moved by now
            self._find_moved(step - 1)
        if self._unchanged(steps):
            return
        named = dict(self._model.named_parameters())
        recorded = set(map(id, self._snapshot.parameters))
        gone = []
        for name, shape in self._shapes.items():
            parameter = named.get(name)
            if parameter is None or parameter.shape != shape:
                gone.append(name)
            elif id(parameter) not in recorded:
                self._snapshot.replace(name, parameter)
                steps.add(parameter)
        self._snapshot.find_buffers()
        self._mine.update((id(p), p) for p in named.values())
        new = [
            n
            for n, p in named.items()
            if p.requires_grad and n not in self._known and id(p) not in self._beside
        ]
        loose = [p for o in steps.optimizers for p in stepped_by(o) if id(p) not in self._mine]
        new += [f"a loose tensor of shape {tuple(p.shape)}" for p in loose]
        self._found(
            f"From step {step} on",
            [*new, *gone],
            "was added, unfrozen or replaced by another shape after the recording began, and moves "
            "unseen. Begin another recording here, or pass beside={'name': tensor} from the start",
        )
        self._look(steps)

    def say(self) -> None:
        """Warn of what was found."""
        while self._messages:
            warnings.warn(self._messages.pop(0), MovedUnseen, stacklevel=6)

    def close(self, step: int) -> None:
        """Say what moved although it is not trained, and what the file cannot hold."""
        self._find_moved(step)
        self._found(
            f"Up to step {step}",
            self._snapshot.other_buffers(),
            "was added, taken away or given another shape, and a buffer like that is recorded as "
            "NaN or not at all. Make it before the recording begins",
        )
        self._found(
            f"Up to step {step}",
            self._snapshot.rounded(),
            "became float64, and the recording holds it rounded to float32, as it began. Convert "
            "the model before the recording begins, or pass dtype='float64'",
        )
        self.say()

    def _untrained(self) -> Iterable[tuple[str, Tensor]]:
        for name, p in self._model.named_parameters():
            if not p.requires_grad and id(p) not in self._beside:
                yield name, p

    def _find_moved(self, step: int) -> None:
        named = dict(self._model.named_parameters())
        unfrozen = {n for n, p in named.items() if p.requires_grad or id(p) in self._beside}
        moved = [
            name
            for name, first in self._prints.items()
            if name not in unfrozen and (name not in named or _print(named[name]) != first)
        ]
        self._found(
            f"Up to step {step}",
            moved,
            "moved although it is not trained (a moving average?), or went; the recording holds "
            "its first values only. Pass beside={'name': tensor} to record it",
        )

    def _found(self, when: str, names: Sequence[str], what: str) -> None:
        new = [name for name in names if name not in self._said]
        if new:
            self._said.update(new)
            others = f" and {len(new) - 1} more" if len(new) > 1 else ""
            self._messages.append(f"{when}, {new[0]}{others} {what}.")

    def _look(self, steps: Steps | None = None) -> None:
        modules = list(self._model.modules())
        self._dicts = [d for m in modules for d in (m._modules, m._parameters)]
        self._held = [d.values() for d in self._dicts]
        self._lengths = [*map(len, self._dicts)]
        self._values = [*chain.from_iterable(self._held)]
        self._parameters = list(self._model.parameters())
        self._trained = [p.requires_grad for p in self._parameters]
        self._groups = None if steps is None else _groups(steps)

    def _unchanged(self, steps: Steps) -> bool:
        groups = _groups(steps)
        if self._groups is None:
            self._groups = groups
        return (
            groups == self._groups
            and [p.requires_grad for p in self._parameters] == self._trained
            and [*map(len, self._dicts)] == self._lengths
            and all(map(operator.is_, chain.from_iterable(self._held), self._values))
        )


def _groups(steps: Steps) -> list[int]:
    return [len(getattr(o, "param_groups", ())) for o in steps.optimizers]


def _print(tensor: Tensor) -> int | None:
    """A number made of a tensor's bits in their order; None where there are none."""
    if not tensor.is_floating_point() or tensor.is_meta or tensor.layout != torch.strided:
        return None
    bits = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[tensor.itemsize]
    parts = tensor.detach().view(bits).reshape(-1).split(_PART)
    return hash(tuple(int(part.cumsum(0, dtype=torch.int64).sum()) for part in parts))
