"""Sharpness rises to the optimizer's threshold and stays there: the edge of stability.

After Cohen et al. 2021 (arXiv:2103.00065): gradient descent at three learning rates, momentum and
Nesterov; and 2022 (arXiv:2207.14484): Adam, by the preconditioned Hessian. Full batch, squared
error, a tanh net on 300 digits. Right: share of the gradient in the top ten eigenvectors, before
and at the edge; and what single updates of the last run should and did change.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from gallery import Script
from matplotlib.figure import Figure
from torch import nn
from torch.nn import functional as F

import landscape as ls
from landscape.plots.style import styled

WIDTH, IMAGES = 48, 300
RUNS = {  # name: optimizer, torch's class and options, steps
    "GD, lr 0.25": ("gd", torch.optim.SGD, {"lr": 0.25}, 4000),
    "GD, lr 0.35": ("gd", torch.optim.SGD, {"lr": 0.35}, 4000),
    "GD, lr 0.5": ("gd", torch.optim.SGD, {"lr": 0.5}, 4000),
    "momentum 0.9, lr 0.2": ("momentum", torch.optim.SGD, {"lr": 0.2, "momentum": 0.9}, 1500),
    "Adam, lr 0.003": ("adam", torch.optim.Adam, {"lr": 0.003}, 1500),
}


def main() -> None:
    script = Script("fig_edge_of_stability", __doc__)
    torch.set_num_threads(1)
    found = {}
    for name in RUNS:
        found[name] = script.measured(f"curvature/{name}", lambda name=name: measured(script, name))
    with styled("paper", columns=2):
        figure = Figure()
        figure.set_size_inches(7, 5)
        (a, b), (c, d) = figure.subplots(2, 2)
        descents = [p for p in found.values() if p.optimizer == "gd"]
        others = [p for p in found.values() if p.optimizer != "gd"]
        ls.plot_sharpness(descents, ax=a)
        ls.plot_sharpness([descents[-1], *others], relative=True, ax=b)
        ls.plot_gradient_share(descents, ax=c)
        ls.plot_predicted_change(descents[-1], ax=d)
    thirds = {name: p.relative_sharpness[-(len(p.step) // 3) :] for name, p in found.items()}
    late = {name: np.nanmean(part) for name, part in thirds.items()}
    last = descents[-1]
    edge = int(np.argmax(last.relative_sharpness > 0.98))
    script.save(
        figure,
        f"Full-batch runs on {IMAGES} digits, squared error. Mean of sharpness over threshold in "
        f"the last third: {', '.join(f'{n} {v:.3f}' for n, v in late.items())}. {last.name}: the "
        f"top {last.value.shape[1]} hold {last.top_share[max(edge - 1, 0)]:.0%} of the gradient "
        f"before the edge (step {last.step[max(edge - 1, 0)]}) and {last.top_share[-1]:.0%} at the "
        "end: because the steps oscillate there; training along them alone fails (Song et al. "
        "2024, arXiv:2405.16002). Sharpness depends on the parametrisation (Dinh et al. 2017).",
    )


def measured(script: Script, name: str) -> ls.CurvaturePath:
    """Train, record, and measure the Hessian along the run."""
    optimizer, kind, options, steps = RUNS[name]
    every = 50
    if script.smoke:
        steps, every = 20, 10
    model, data = problem()
    path = script.data / f"edge-{name.replace(' ', '-').replace(',', '')}.h5"
    path.parent.mkdir(parents=True, exist_ok=True)
    moments = train(path, name, model, data, kind(model.parameters(), **options), steps, every)
    run = ls.Trajectory(path)
    rest = {key: value for key, value in options.items() if key != "lr"}
    run.run.update(optimizer=optimizer, options=rest)
    objective = ls.Objective(
        model, half_squared_error, data, settings={"task": f"{IMAGES} digits, squared error"}
    )
    top = 10 if optimizer == "gd" else 1
    return ls.curvature_path(objective, run, every=every, top=top, second_moments=moments)


def train(
    path: Path, name: str, model: nn.Module, data: tuple, optimizer: torch.optim.Optimizer,
    steps: int, every: int,
) -> dict[int, np.ndarray]:  # fmt: skip
    """Full-batch steps; states before and after every n-th step; second moments where kept."""
    moments = {}
    path.unlink(missing_ok=True)
    layout = ls.Layout.of(model)
    rates = {"lr": optimizer.param_groups[0]["lr"]}
    with ls.TrajectoryWriter(path, layout, run={"name": name, "lr": rates["lr"]}) as writer:
        for step in range(steps + 1):
            if step % every in (0, 1):
                flat = torch.cat([p.detach().reshape(-1) for p in model.parameters()])
                writer.append_state(step, flat.numpy())
                if step and isinstance(optimizer, torch.optim.Adam):
                    moments[step] = ls.second_moment(optimizer, model)
            if step < steps:
                optimizer.zero_grad()
                half_squared_error(model, data).mean().backward()
                optimizer.step()
                writer.append_update(rates)
    return moments


def problem() -> tuple[nn.Module, tuple[torch.Tensor, torch.Tensor]]:
    images, labels = (part[:IMAGES] for part in ls.load_task("digits/mlp").train)
    x = images.reshape(IMAGES, -1)
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(64, WIDTH), nn.Tanh(), nn.Linear(WIDTH, WIDTH), nn.Tanh(), nn.Linear(WIDTH, 10)
    )
    return model, (x - x.mean(dim=0), F.one_hot(labels, 10).float())


def half_squared_error(model: nn.Module, batch: tuple) -> torch.Tensor:
    return 0.5 * (model(batch[0]) - batch[1]).square().sum(dim=1)


if __name__ == "__main__":
    main()
