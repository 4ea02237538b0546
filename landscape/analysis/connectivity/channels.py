"""Which axes of tensors and values run over the same units."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from landscape.analysis.connectivity.permutations import Group, Permutable, Place

PINNED = 0  # the units that keep their order


@dataclass(frozen=True)
class Label:
    """Which units run along an axis; `block` neighbouring elements each. Unit set 0 is pinned."""

    units: int
    block: int = 1


FIXED = Label(PINNED)


class Channels:
    """Sets of units, joined where two of them meet (union-find)."""

    def __init__(self, model: nn.Module) -> None:
        self.tensors: dict[str, Tensor] = dict((*model.named_parameters(), *model.named_buffers()))
        every = (
            *model.named_parameters(remove_duplicate=False),
            *model.named_buffers(remove_duplicate=False),
        )
        first = {id(t): name for name, t in reversed(list(self.tensors.items()))}
        self.known: dict[str, str] = {name: first[id(t)] for name, t in every}
        self.frozen: set[str] = {n for n, p in model.named_parameters() if not p.requires_grad}
        self.parent: list[int] = [PINNED]
        self.size: list[int] = [0]
        self.places: dict[tuple[str, int], Label] = {}
        self.told: list[str] = []

    def root(self, units: int) -> int:
        """The set that these units belong to by now."""
        while self.parent[units] != units:
            units = self.parent[units]
        return units

    def new(self, size: int) -> Label:
        """A set of so many units."""
        self.parent.append(len(self.parent))
        self.size.append(size)
        return Label(len(self.parent) - 1)

    def pin(self, label: Label, why: str) -> None:
        """Let units keep their order."""
        root = self.root(label.units)
        if root != PINNED:
            self.parent[root] = PINNED
            self.told.append(f"{self.size[root]} units: {why}")

    def join(self, first: Label, second: Label, why: str) -> Label:
        """The label of an axis on which two values meet element by element."""
        one, other = self.root(first.units), self.root(second.units)
        if one == other and (first.block == second.block or one == PINNED):
            return first
        if PINNED in (one, other) or first.block != second.block:
            self.pin(first, why)
            self.pin(second, why)
            return FIXED
        self.parent[max(one, other)] = min(one, other)
        return first

    def place(self, name: str, axis: int, label: Label) -> None:
        """The axis of a tensor is ordered as `label` says; also where the tensor is used twice."""
        key = (self.known[name], axis)
        if key[0] in self.frozen:
            self.pin(label, f"{name} is not trained")
        if key in self.places:
            label = self.join(self.places[key], label, f"{name} is used twice")
        self.places[key] = label

    def permutable(self) -> Permutable:
        """The sets that are free, and why others are not."""
        groups: dict[int, list[Place]] = {}
        for (name, axis), label in self.places.items():
            if root := self.root(label.units):
                groups.setdefault(root, []).append(Place(name, axis, 1, label.block))
        found = [Group(p[0].name, self.size[r], tuple(p)) for r, p in groups.items()]
        return Permutable(tuple(g for g in found if g.units > 1), tuple(dict.fromkeys(self.told)))
