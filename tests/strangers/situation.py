"""What a situation of the table "What works with what" is, and how one is judged."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import landscape as ls
from landscape.objective.strategies.choice import STRATEGIES


@dataclass(frozen=True)
class Verdict:
    """What became of a situation.

    Attributes:
        works: Whether the right number, run or file came out; else it was refused in one line.
        remark: What there is to say: the strategies that agree, or the message.
    """

    works: bool
    remark: str = ""


@dataclass(frozen=True)
class Situation:
    """Something of a stranger's.

    Attributes:
        kind: The heading under which it stands.
        name: What the stranger would call it.
        run: Tries it in an empty folder; raises AssertionError when something is silently wrong.
    """

    kind: str
    name: str
    run: Callable[[Path], Verdict]


SITUATIONS: dict[str, Situation] = {}


def situation(kind: str, name: str) -> Callable[[Callable[[Path], Verdict]], Any]:
    """Put a function into the table; its random numbers begin at seed 0."""

    def register(run: Callable[[Path], Verdict]) -> Callable[[Path], Verdict]:
        def seeded(folder: Path) -> Verdict:
            torch.manual_seed(0)
            np.random.seed(0)
            return run(folder)

        key = run.__name__
        assert key not in SITUATIONS, f"{key} stands in the table already"
        SITUATIONS[key] = Situation(kind, name, seeded)
        return run

    return register


def measures(
    model: nn.Module,
    loss: Any,
    data: Any,
    want: Any,
    *,
    options: Mapping[str, Any] | None = None,
    relative: float = 1e-5,
    compiled: bool = False,
) -> Verdict:
    """Measure at the model's own parameters in every way there is; each must give `want`.

    Args:
        model: The stranger's.
        loss: The stranger's.
        data: The stranger's.
        want: The number that the stranger's own call gives.
        options: For the `Objective`.
        relative: How far a number may be off, by rounding.
        compiled: Whether to try the strategy that needs a compiler, and many seconds, too.
    """
    want = want.detach().item() if isinstance(want, torch.Tensor) else float(want)
    options = dict(options or {})
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    drawn = torch.get_rng_state()
    strategies = [name for name in STRATEGIES if compiled or name != "compiled"]
    strategies = [] if "strategy" in options else strategies
    agreeing = []
    for strategy in (None, *strategies):
        chosen = options if strategy is None else {**options, "strategy": strategy}
        objective = ls.Objective(model, loss, data, **chosen)
        vector = objective.parameters()
        plane = ls.random_plane(vector, objective.layout)
        try:
            single = objective.at(vector).mean[0, 0]
            surface = ls.loss_surface(objective, plane, extent=0.5, resolution=3)
        except ValueError as error:
            if strategy is None or "cannot be used here" not in str(error):
                raise
            continue
        assert single == pytest.approx(want, rel=relative), f"at a single point, {strategy}"
        assert surface.loss[1, 1] == pytest.approx(want, rel=relative), f"in a surface, {strategy}"
        assert np.ptp(surface.loss) > 0, f"a flat surface, {strategy}"
        agreeing += [strategy] if strategy else []
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, state[name]), f"{name} was changed"
    assert torch.equal(torch.get_rng_state(), drawn), "random numbers were used up"
    return Verdict(True, ", ".join(agreeing))


def refuses(words: str, attempt: Callable[[], Any]) -> Verdict:
    """The attempt ends in a clear error of one line that matches `words`.

    Args:
        words: A regular expression for what the message must say.
        attempt: What the stranger does.
    """
    with pytest.raises((ValueError, TypeError, OSError)) as caught:
        attempt()
    message = str(caught.value)
    assert re.search(words, message), message
    assert "\n" not in message, message
    return Verdict(False, message)
