"""Claims about directions, planes and lines."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

import landscape as ls
from landscape.recording.restore import restore

from .claim import Claim, numbers
from .setting import SCRATCH, SEEDS, load, objective, recorded, train

LI = "Li et al. 2018, arXiv:1712.09913"


def invariance() -> list[Claim]:
    """Rescaling a ReLU layer by s and the next by 1/s changes the weights, not the network.

    Directions without normalization are measured twice: as far as the filter-normalized one
    reaches (a perturbation as large as the weights of the network that was not rescaled), and to
    ±1 as they are drawn (noise some thirty times as large, which destroys either network).
    """
    factors = (10.0, 100.0)
    normalized, near, far = np.zeros((3, len(SEEDS), len(factors)))
    for row, seed in enumerate(SEEDS):
        task = load("mlp-64-64-relu", seed=seed)
        train(task, torch.optim.SGD(task.model.parameters(), lr=0.1), steps=300, seed=seed)
        measure = objective(task, samples=1000, batch_size=1000, precision="double")
        origin, layout = measure.parameters(), measure.layout
        filtered, raw = (
            ls.random_line(origin, layout, seed=seed, normalization=n) for n in ("filter", "none")
        )
        reach = float(np.sqrt(filtered.gram[0, 0] / raw.gram[0, 0]))
        for column, s in enumerate(factors):
            scaled = origin.copy()
            first, bias, second = layout.entries[:3]
            scaled[first.slice] *= s
            scaled[bias.slice] *= s
            scaled[second.slice] /= s
            lines = [filtered, ls.random_line(scaled, layout, seed=seed)]
            a, b = ls.loss_line(measure, lines, extent=(-1, 1), resolution=21).loss
            normalized[row, column] = np.abs(a - b).max()
            lines = [raw, ls.random_line(scaled, layout, seed=seed, normalization="none")]
            for out, end in ((near, reach), (far, 1.0)):
                profile = ls.loss_line(measure, lines, extent=(-end, end), resolution=21)
                rises = profile.loss.max(axis=1) - profile.loss[:, 10]
                out[row, column] = rises.max() / rises.min()
    return [
        Claim(
            "Filter-normalized profiles do not see a rescaled ReLU network (s = 10, 100)", LI,
            "largest change of the profile < 1e-5", numbers(normalized.ravel(), ".1e"),
            bool((normalized < 1e-5).all()),
        ),
        Claim(
            "Profiles without normalization do (s = 10, 100)", LI,
            "the height changes by a factor above 5 over perturbations as large as the weights; "
            "beside it, over noise thirty times as large",
            f"×{numbers(near.ravel())}; beside it ×{numbers(far.ravel())}",
            bool((near > 5).all()),
        ),
    ]  # fmt: skip


def curvature() -> list[Claim]:
    """The second derivative of a profile is dᵀHd, on a smooth network."""
    gaps = []
    for seed in SEEDS:
        task = load("mlp-64-64-tanh", seed=seed)
        train(task, torch.optim.SGD(task.model.parameters(), lr=0.1), steps=300, seed=seed)
        measure = objective(task, samples=500, batch_size=500, precision="double", seed=seed)
        line = ls.random_line(measure.parameters(), measure.layout, seed=seed)
        h = 1e-3
        a, b, c = ls.loss_line(measure, line, extent=(-h, h), resolution=3).loss[0]
        plotted = (a - 2 * b + c) / h**2
        ((batch, _),) = measure.data
        model = task.model.double().eval()
        loss = task.loss(model, batch).mean()
        gradient = torch.autograd.grad(loss, list(model.parameters()), create_graph=True)
        direction = torch.from_numpy(line.directions[0].astype(np.float64))
        slope = torch.cat([g.reshape(-1) for g in gradient]) @ direction
        product = torch.autograd.grad(slope, list(model.parameters()))
        exact = float(torch.cat([p.reshape(-1) for p in product]) @ direction)
        gaps.append(abs(plotted / exact - 1))
    return [
        Claim(
            "The curvature one sees in a profile is dᵀHd (tanh network)", LI,
            "relative difference < 1e-4", numbers(gaps, ".1e"), max(gaps) < 1e-4,
        )
    ]  # fmt: skip


def null() -> list[Claim]:
    """A random walk has high explained variance and Lissajous figures, without any loss."""
    shares = []
    for seed in SEEDS:
        steps = np.random.default_rng(seed).standard_normal((101, 10_000)).cumsum(axis=0)
        SCRATCH.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=SCRATCH) as folder:
            layout = ls.Layout.of(torch.nn.Linear(10_000, 1, bias=False))
            with ls.TrajectoryWriter(Path(folder) / "walk.h5", layout) as writer:
                for step, state in enumerate(steps):
                    writer.append_state(step, state.astype(np.float32))
            with ls.Trajectory(Path(folder) / "walk.h5") as run:
                plane = ls.pca_plane(run, origin="mean")
        assert plane.explained is not None
        shares.append(plane.explained)
    return [
        Claim(
            "Two principal components of a pure random walk (100 steps, 10,000 dimensions) show "
            "60.8 % and 15.2 %", "Antognini & Sohl-Dickstein 2018, arXiv:1806.08805",
            "60.8, 15.2 % to one point", "; ".join(numbers(100 * s, ".1f") for s in shares),
            all(np.abs(s - [0.608, 0.152]).max() < 0.01 for s in shares),
        )
    ]  # fmt: skip


def line() -> list[Claim]:
    """The loss on the straight line from initialization to solution."""
    increases = {}
    for name, lr in (("sgd", 0.1), ("adam", 0.01)):
        increases[name] = []
        for seed in SEEDS:
            task = load("mlp-64-64-tanh", seed=seed)
            measure = objective(task, samples=2000, batch_size=2000)
            with recorded(name, task, lr=lr, steps=600, batch=100, seed=seed) as run:
                restore(task.model, run, -1)
                way = ls.line_between(run.initial, run.final)
            profile = ls.loss_line(measure, way, extent=(0, 1), resolution=51)
            drop = profile.loss[0, 0] - profile.loss[0, -1]
            increases[name].append(float(profile.largest_increase[0] / drop))
    title = {"sgd": "SGD, lr .1", "adam": "Adam, lr .01"}
    return [
        Claim(
            f"The loss falls along the straight line from initialization to solution ({title[n]})",
            "Goodfellow et al. 2015, arXiv:1412.6544",
            "largest increase ≤ 1 % of the drop", numbers(rise, ".2%"), max(rise) <= 0.01,
        )
        for n, rise in increases.items()
    ]  # fmt: skip
