"""The running mean of squared gradients that an adaptive optimizer divides by."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from landscape.base.layout import Layout
from landscape.recording.steps import MovedUnseen

_KEYS = ("exp_avg_sq", "square_avg")  # of Adam and its kin, of RMSprop


class SecondMoments:
    """Looks up what optimizers hold of parameters, in the optimizers inside wrappers too.

    `count` is asked after every step.

    Args:
        optimizers: Torch optimizers, or what contains some.
    """

    def __init__(self, optimizers: Sequence[Any]) -> None:
        self._optimizers = list(optimizers)
        self._nan = torch.tensor(torch.nan, device="cpu")
        self._seen = self._stepped = False

    def present(self, parameters: Sequence[Tensor]) -> list[Tensor | None]:
        """The second moments of parameters; None (zero) of those that were not stepped yet.

        NaN stands where an optimizer holds something else of a parameter.
        """
        states = [self._state(p) for p in parameters]
        found = [self._moment(state) for state in states]
        self._seen = self._seen or any(f is not None and f is not self._nan for f in found)
        nothing = self._stepped and all(f is None for f in found)
        return [self._nan for _ in found] if nothing else found

    def count(self, parameters: Sequence[Tensor]) -> dict[str, float | Tensor]:
        """``optimizer_step``: how many updates the moments have seen; empty where none says it."""
        self._stepped = True
        for parameter in parameters:
            number = self._state(parameter).get("step")
            if isinstance(number, Tensor):
                return {"optimizer_step": number.detach().clone()}
            if number is not None:
                return {"optimizer_step": float(number)}
        return {}

    def say(self) -> None:
        """Warn when none was ever found."""
        if not self._seen:
            warnings.warn(f"optimizer_state=True recorded nothing: {self.missing}", MovedUnseen, 6)

    @property
    def missing(self) -> str:
        """What to say where there are none."""
        names = " + ".join(type(optimizer).__name__ for optimizer in self._optimizers)
        return (
            f"{names} holds no second moments ({' or '.join(_KEYS)}); step it once, or leave them "
            "out for an optimizer that has none."
        )

    def _state(self, parameter: Tensor) -> dict[str, Any]:
        for optimizer in self._optimizers:
            for inner in _all_in(optimizer):
                if held := inner.state.get(parameter):
                    return held
        return {}

    def _moment(self, state: dict[str, Any]) -> Tensor | None:
        if not state:
            return None
        return next((state[key] for key in _KEYS if key in state), self._nan)


def _all_in(optimizer: Any) -> Iterator[torch.optim.Optimizer]:
    for held in getattr(optimizer, "__dict__", {}).values():  # of a wrapper: what it is around
        for value in held if isinstance(held, tuple | list) else (held,):
            if isinstance(value, torch.optim.Optimizer) and value is not optimizer:
                yield from _all_in(value)
    if isinstance(optimizer, torch.optim.Optimizer):
        yield optimizer


def second_moment(optimizer: torch.optim.Optimizer, model: nn.Module) -> np.ndarray:
    """The present second moments of every trained parameter, as one flat vector, shape (P,).

    A `Recorder` keeps them with each state when asked, ``optimizer_state=True``; this is for runs
    that are recorded otherwise. They are for the preconditioned sharpness of
    `landscape.curvature_path`. Parameters that were not stepped yet have zeros.

    Raises:
        ValueError: If the optimizer keeps none (it is not adaptive in this way).

    >>> w = nn.Linear(2, 1, bias=False)
    >>> adam = torch.optim.Adam(w.parameters(), betas=(0.9, 0.5))
    >>> w.weight.grad = torch.tensor([[2.0, 4.0]])
    >>> adam.step()
    >>> second_moment(adam, w).tolist()
    [2.0, 8.0]
    """
    named = dict(model.named_parameters())
    entries, moments = Layout.of(model), SecondMoments([optimizer])
    found = moments.present([named[entry.name] for entry in entries])
    if all(held is None for held in found) or any(held is moments._nan for held in found):
        raise ValueError(moments.missing)
    parts = []
    for entry, held in zip(entries, found, strict=True):
        part = torch.zeros(entry.size) if held is None else held.detach().cpu().reshape(-1)
        parts.append(part.double() if part.dtype == torch.float64 else part.float())
    return torch.cat(parts).numpy()
