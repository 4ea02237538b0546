"""A small run that is recorded step by step, for tests of what watches it."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

import landscape as ls


class LiveRun:
    """A recorded linear model; `loss` of step n is n unless another is given."""

    def __init__(self, path: Path, **options) -> None:
        torch.manual_seed(0)
        self.model = nn.Linear(3, 2)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1)
        self.recorder = ls.Recorder(path, self.model, self.optimizer, **options).start()

    def steps(self, count: int, loss: float | None = None) -> None:
        """Make so many steps and commit them."""
        for _ in range(count):
            self.optimizer.zero_grad()
            self.model(torch.ones(4, 3)).square().mean().backward()
            self.optimizer.step()
            self.recorder.log(loss=float(self.recorder.step) if loss is None else loss)
        self.recorder.flush()

    def close(self, *, complete: bool = True) -> None:
        """End the recording."""
        self.recorder.close(complete=complete)
