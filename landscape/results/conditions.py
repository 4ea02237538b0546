"""Conditions: on which data, and in which arithmetic, a loss was measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self

from landscape.base.record import Record
from landscape.base.settings import USERS

_ALWAYS = ("samples", "population")


@dataclass(frozen=True, kw_only=True)
class Conditions(Record):
    """What an objective says of itself in the settings of what is measured of it.

    Attributes:
        said: What the user said: ``task`` and ``data``, and apart, under ``user``, all else.
        precision: In what it was computed.
        batch_norm: Whose statistics batch norms used; None: the model has none.
        weight_decay: λ of the L2 penalty that was measured too, or None.
        common_random_numbers: Seed of what the loss drew, or None.
        batch_size: Samples per batch, where they matter because the loss draws.
        samples: Samples measured on; None where only the loss can tell samples.
        population: Samples that they were drawn from; None also of a stream.
        stream: True of the first samples of a stream.
        data_hash: Tells the data from others.
        device: Where it was computed; of parts measured apart, everywhere.
        fixed_hash: Tells the model's buffers and frozen parameters from others; None: there are
            none.

    >>> conditions = Conditions(said={"task": "mine"}, precision="single", samples=8, population=9)
    >>> conditions.settings()
    {'task': 'mine', 'precision': 'single', 'samples': 8, 'population': 9}
    >>> Conditions.of({**conditions.settings(), "kind": "random"}) == conditions
    True
    """

    said: Mapping[str, Any] = field(default_factory=dict)
    precision: str | None = None
    batch_norm: str | None = None
    weight_decay: float | int | None = None
    common_random_numbers: int | None = None
    batch_size: int | None = None
    samples: int | None = None
    population: int | None = None
    stream: bool | None = None
    data_hash: str | None = None
    device: str | None = None
    fixed_hash: str | None = None

    @property
    def task(self) -> str:
        """The user's name for what was trained, or nothing."""
        return str(self.said.get("task") or "")

    def settings(self) -> dict[str, Any]:
        """Names to values; how many samples is always said, if only that it is not known."""
        told = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "said"}
        return {**self.said, **{n: v for n, v in told.items() if v is not None or n in _ALWAYS}}

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Self:
        """The record within settings of any age and origin; see `Record.of`."""
        said = {name: settings[name] for name in settings if name in USERS}
        return super().of({**settings, "said": said})
