"""Where generators of random numbers stand: whether somebody drew, without watching every pass."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch

from landscape.objective.lending.reach import Reached, put_at, same_state, state_of


class Standing:
    """Where the process's generators stand, and those in reach of some functions.

    Args:
        reached: What the functions reach.
    """

    def __init__(self, reached: Reached) -> None:
        self._own, self._torchs = reached.generators, reached.torchs
        self._before = self._now()

    @property
    def moved(self) -> bool:
        """Whether one stands elsewhere by now, by whoever drew from it."""
        return not same_state(self._before, self._now())

    def put_back(self) -> None:
        """Let all stand where they stood."""
        torch.set_rng_state(torch.from_numpy(self._before["torch"]))
        np.random.set_state(self._before["numpy"])
        random.setstate(self._before["python"])
        for number, generator in enumerate(self._own):
            put_at(generator, self._before[str(number)])
        for number, generator in enumerate(self._torchs):
            generator.set_state(torch.from_numpy(self._before[f"torch {number}"]))

    def _now(self) -> dict[str, Any]:
        return {
            "torch": torch.get_rng_state().numpy(),
            "numpy": np.random.get_state(legacy=False),
            "python": random.getstate(),
            **{str(number): state_of(g) for number, g in enumerate(self._own)},
            **{f"torch {number}": g.get_state().numpy() for number, g in enumerate(self._torchs)},
        }
