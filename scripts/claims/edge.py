"""Claims about curvature: the edge of stability, its gradients, outliers, and parametrisation."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import landscape as ls

from .claim import Claim, numbers
from .setting import SCRATCH, load, objective, train

COHEN, ADAPTIVE = "Cohen et al. 2021, arXiv:2103.00065", "Cohen et al. 2022, arXiv:2207.14484"
IMAGES, WIDTH, EVERY = 300, 48, 50


def problem(seed: int = 0) -> tuple[nn.Module, tuple[Tensor, Tensor]]:
    """A tanh net on 300 centred digits, for squared error on one-hot targets."""
    images, labels = (part[:IMAGES] for part in ls.load_task("digits/mlp").train)
    x = images.reshape(IMAGES, -1)
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Linear(64, WIDTH), nn.Tanh(), nn.Linear(WIDTH, WIDTH), nn.Tanh(), nn.Linear(WIDTH, 10)
    )
    return model, (x - x.mean(dim=0), F.one_hot(labels, 10).float())


def half_squared_error(model: nn.Module, batch: Any) -> Tensor:
    """½ ‖output - target‖² of each sample."""
    return 0.5 * (model(batch[0]) - batch[1]).square().sum(dim=1)


def descended(
    path: Path, name: str, optimizer: str, options: dict[str, Any], *, steps: int,
    every: int = EVERY, top: int = 1, seed: int = 0,
) -> ls.CurvaturePath:  # fmt: skip
    """Train with all samples at every step, and measure the Hessian along the run.

    States are kept before and after every n-th step, so that single updates can be looked at.
    """
    model, data = problem(seed)
    kind = torch.optim.Adam if optimizer == "adam" else torch.optim.SGD
    stepper = kind(model.parameters(), **options)
    lr, rest = options["lr"], {k: v for k, v in options.items() if k != "lr"}
    run = {"name": name, "optimizer": optimizer, "lr": lr, "options": rest}
    moments: dict[int, np.ndarray] = {}
    path.parent.mkdir(parents=True, exist_ok=True)
    with ls.TrajectoryWriter(path, ls.Layout.of(model), run=run, overwrite=True) as writer:
        for step in range(steps + 1):
            if step % every in (0, 1):
                flat = torch.cat([p.detach().reshape(-1) for p in model.parameters()])
                writer.append_state(step, flat.numpy())
                if step and optimizer == "adam":
                    moments[step] = ls.second_moment(stepper, model)
            if step < steps:
                stepper.zero_grad()
                half_squared_error(model, data).mean().backward()
                stepper.step()
                writer.append_update({"lr": lr})
    settings = {"task": f"{IMAGES} digits, squared error"}
    measure = ls.Objective(model, half_squared_error, data, settings=settings)
    with ls.Trajectory(path) as trajectory:
        return ls.curvature_path(measure, trajectory, every=every, top=top, second_moments=moments)


def late(path: ls.CurvaturePath) -> float:
    """Mean of sharpness over threshold in the last third."""
    return float(np.nanmean(path.relative_sharpness[-(len(path.step) // 3) :]))


def edge() -> list[Claim]:
    """Gradient descent at two rates and Adam, full batch, 3,000 and 1,500 steps."""
    SCRATCH.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=SCRATCH) as folder:
        file = Path(folder) / "run.h5"
        slow, fast = (
            descended(file, "GD", "gd", {"lr": lr}, steps=steps, top=10)
            for lr, steps in ((0.25, 4000), (0.5, 3000))
        )
        adam = descended(file, "Adam", "adam", {"lr": 3e-3}, steps=1500)
    crossed = [int(p.step[np.argmax(p.relative_sharpness > 0.98)]) for p in (slow, fast)]
    ratios = [late(slow), late(fast)]
    before = fast.top_share[(fast.step > 0) & (fast.step < crossed[1])]
    at_edge = fast.top_share[-len(fast.step) // 3 :]
    return [
        Claim(
            "Gradient descent raises the sharpness to 2/η and stays there (η = .25, .5)", COHEN,
            "mean of λ1 η/2 over the last third in [.95, 1.10]", numbers(ratios, ".3f"),
            all(0.95 <= r <= 1.10 for r in ratios),
        ),
        Claim(
            "A smaller rate gets there later", COHEN, "step of the first crossing of .98",
            numbers(crossed, ".0f"), crossed[0] > crossed[1] > 0,
        ),
        Claim(
            "Adam trains at the adaptive edge of stability (η = .003)", ADAPTIVE,
            "mean of the preconditioned λ1 η/38 over the last third in [.95, 1.10]",
            f"{late(adam):.3f}", 0.95 <= late(adam) <= 1.10,
        ),
        Claim(
            "The gradient lies in the top eigenvectors (10 of them); beside it when: only at the "
            "edge, where the steps oscillate (Song et al. 2024, arXiv:2405.16002)",
            "Gur-Ari et al. 2018, arXiv:1812.04754",
            "least share before the edge < .5; median share in the last third > .5",
            f"{before.min():.3f}; {np.median(at_edge):.3f}",
            bool(before.min() < 0.5 < np.median(at_edge)),
        ),
    ]  # fmt: skip


def outliers() -> list[Claim]:
    """Eigenvalues apart from the bulk after training, and what rescaling layers does to them."""
    task = load("mlp-64-64-relu", seed=0)
    train(task, torch.optim.SGD(task.model.parameters(), lr=0.1), steps=1500)
    measure = objective(task, samples=2000)
    spectrum = ls.hessian_spectrum(measure, top=40, bottom=0)
    gap = 6 + int((spectrum.value[5:-1] / spectrum.value[6:]).argmax())
    classes = 10
    above = int((spectrum.value > 0.1 * spectrum.value[0]).sum())
    origin, (first, bias, second) = measure.parameters(), measure.layout.entries[:3]
    scaled = origin.copy()
    scaled[first.slice] *= 10
    scaled[bias.slice] *= 10
    scaled[second.slice] /= 10
    again = ls.hessian_spectrum(measure, scaled, top=1, bottom=0)
    losses = [float(measure.at(v).mean[0, 0]) for v in (origin, scaled)]
    factor = again.value[0] / spectrum.value[0]
    return [
        Claim(
            "About as many eigenvalues as classes stand apart from the bulk",
            "Sagun et al. 2017, arXiv:1706.04454; Papyan 2019, arXiv:1901.08244",
            f"{classes // 2} to {2 * classes} of them above a tenth of λ1, for {classes} classes",
            f"{above}; the largest gap after the first five is behind number {gap}",
            classes // 2 <= above <= 2 * classes,
        ),
        Claim(
            "Rescaling two layers of a ReLU net (by 10 and 1/10) changes the sharpness, not the "
            "function", "Dinh et al. 2017, arXiv:1703.04933",
            "the loss changes by < 1e-5 of itself, λ1 by a factor above 2 or below 1/2",
            f"{abs(losses[1] / losses[0] - 1):.1e}; {factor:.3g}",
            abs(losses[1] / losses[0] - 1) < 1e-5 and not 0.5 < factor < 2,
        ),
    ]  # fmt: skip
