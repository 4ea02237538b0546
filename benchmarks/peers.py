"""The other packages that measure loss surfaces, each called as its documentation says."""

# They are optional, and their annotations are narrower than what they accept.
# pyright: reportMissingImports=false, reportArgumentType=false

from __future__ import annotations

import contextlib
import io
import math
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn
from workloads import Workload

Run = Callable[[int], None]  # measure this many points


def loss_landscapes(work: Workload) -> Run:
    import loss_landscapes as package
    from loss_landscapes.metrics import Loss

    def mean(output: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return work.loss(lambda _: output, (None, y)).mean()

    metric = Loss(mean, *work.data)

    def run(points: int) -> None:
        package.random_plane(
            work.model, metric, 1, math.isqrt(points), normalization="filter", deepcopy_model=True
        )

    return run


def landscaper(work: Workload) -> Run:
    from landscaper import LossLandscape

    x, y = work.data
    batches = [(x[i : i + 128], y[i : i + 128]) for i in range(0, len(x), 128)]

    def scalar(model: nn.Module, data: list) -> float:
        with torch.no_grad():
            return float(sum(work.loss(model, b).sum().item() for b in data) / len(x))

    directions = [[torch.randn_like(p) for p in work.model.parameters()] for _ in range(2)]

    def run(points: int) -> None:
        with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
            LossLandscape.compute(
                work.model,
                batches,
                directions,
                scalar,
                steps=math.isqrt(points),
                distance=1,
                dim=2,
                device="cpu",
            )

    return run


def tool_of_2018(work: Workload, checkout: Path) -> Run:
    """The tool of Li et al. from a checkout, with its batches held in memory."""
    sys.path.insert(0, str(checkout))
    import evaluation
    import net_plotter

    class Rows(nn.Module):  # it compares rows of logits with as many targets
        def __init__(self) -> None:
            super().__init__()
            self.model = work.model

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            out = self.model(x)
            return out.flatten(0, -2)

    net, criterion = Rows(), nn.CrossEntropyLoss()
    x, y = work.data
    loader = [(x[i : i + 128], y[i : i + 128].flatten()) for i in range(0, len(x), 128)]
    weights = [w.clone() for w in net_plotter.get_weights(net)]
    directions = [net_plotter.create_random_direction(net) for _ in range(2)]
    held = [[d.numpy() for d in direction] for direction in directions]  # as it reads them

    def run(points: int) -> None:
        for a, b in np.random.default_rng(0).uniform(-1, 1, size=(points, 2)):
            net_plotter.set_weights(net, weights, held, [a, b])
            evaluation.eval_loss(net, criterion, loader)
        net_plotter.set_weights(net, weights)

    return run


def peers(work: Workload, checkout: Path | None) -> dict[str, Run]:
    """Other packages, those that are installed and can run this work."""
    found: dict[str, Run] = {}
    made = {"loss-landscapes": loss_landscapes, "landscaper": landscaper}
    if checkout is not None:
        made["tool of 2018"] = lambda work: tool_of_2018(work, checkout)
    for name, make in made.items():
        try:
            found[name] = make(work)
        except ImportError as problem:
            print(f"  {name}: {type(problem).__name__}: {problem}")
    return found
