"""Draws that only some later batch makes: seen by where the process's generators stand afterwards.

A look at the first batch does not see them, and to look at all batches costs more than a point. So
the generators are compared, and only if they moved, by the loss or by another thread, all batches
are looked at, once.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from landscape.objective.inspection.look import look_again
from landscape.objective.lending.loan import Loan
from landscape.objective.lending.reach import Reached, put_at, same_state, state_of
from landscape.objective.policies.precision import arithmetic

if TYPE_CHECKING:
    from landscape.objective.objective import Objective


class Standing:
    """Where the generators stand that the losses of an objective could draw from.

    Args:
        objective: Whose losses.
    """

    def __init__(self, objective: Objective) -> None:
        self._objective = objective
        self._own = Reached(objective.metrics.values()).generators
        self._looked = objective.looked_at_all
        self._before = None if self._looked else self._now()

    def draws_later(self, loan: Loan) -> bool:
        """Whether a batch draws of which that was not known; the objective knows it then.

        Args:
            loan: The model, at its own weights.

        Raises:
            ValueError: If it does, and no common random numbers were given.
        """
        objective, nature = self._objective, self._objective.nature(loan)
        if self._before is None or nature.draws or same_state(self._before, self._now()):
            return False
        try:
            with arithmetic(objective.precision, objective.device):
                for batch, _ in objective.data.batches():
                    found = look_again(
                        loan,
                        objective.metrics,
                        batch,
                        nature,
                        common=objective.common_random_numbers,
                    )
                    if found is not nature:
                        objective.know(found)
                        self._put_back()
                        return True
        except ValueError:
            self._put_back()
            raise
        objective.looked_at_all = True  # another thread it was
        return False

    def _now(self) -> dict[str, Any]:
        return {
            "torch": torch.get_rng_state().numpy(),
            "numpy": np.random.get_state(legacy=False),
            "python": random.getstate(),
            **{str(k): state_of(g) for k, g in enumerate(self._own)},
        }

    def _put_back(self) -> None:
        before = self._before or {}
        torch.set_rng_state(torch.from_numpy(before["torch"]))
        np.random.set_state(before["numpy"])
        random.setstate(before["python"])
        for number, generator in enumerate(self._own):
            put_at(generator, before[str(number)])
