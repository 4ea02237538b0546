"""Claims about decaying the learning rate and about averaging weights."""

from __future__ import annotations

import copy

import numpy as np
import torch

import landscape as ls
from landscape.training.schedules import build_schedule

from .claim import Claim, numbers
from .setting import SEEDS, flat, load, objective, train

MODEL = "mlp-64-64-relu"


def decay() -> list[Claim]:
    """Branch off a highway at a constant rate twice, decay to zero, look at the line between.

    SGD lr .3, batch 50: the trapezoid's highway, left after 1,500 and after 3,000 steps, with a
    linear decay over 300 steps each.
    """
    before, after, rises, barriers = [], [], [], []
    for seed in SEEDS:
        task = load(MODEL, seed=seed)
        measure = objective(task)
        ends = []
        for part in range(2):
            highway = torch.optim.SGD(task.model.parameters(), lr=0.3)
            train(task, highway, steps=1500, batch=50, seed=10 * seed + part)
            before.append(float(measure.at(measure.parameters()).mean[0, 0]))
            kept = copy.deepcopy(task.model.state_dict())
            branch = torch.optim.SGD(task.model.parameters(), lr=0.3)
            down = build_schedule(
                "trapezoid", branch, steps=300, options={"warmup": 0, "decay": 300}
            )
            train(task, branch, steps=300, batch=50, seed=10 * seed + part + 5, schedule=down)
            ends.append(measure.parameters().copy())
            after.append(float(measure.at(ends[-1]).mean[0, 0]))
            task.model.load_state_dict(kept)
        way = ls.line_between(*ends)
        profile = ls.loss_line(measure, way, extent=(0, 1), resolution=41)
        rises.append(float(profile.largest_increase[0]))
        barriers.append(float(profile.barrier("entezari2022")[0]))
    drops = [f"{b:.3f}→{a:.3f}" for b, a in zip(before, after, strict=True)]
    return [
        Claim(
            "Decaying the rate at the end of the highway drops the training loss (trapezoid)",
            "Xing et al. 2018, arXiv:1802.08770", "lower after the decay, at both branches",
            "; ".join(drops), all(a < b for b, a in zip(before, after, strict=True)),
        ),
        Claim(
            "The straight line between two decayed points runs down a river: monotone",
            "Wen et al. 2024, arXiv:2410.05192",
            "largest increase ≤ 1e-4; barrier above the chord beside it",
            "; ".join(
                f"increase {r:.1e}, barrier {b:.1e}" for r, b in zip(rises, barriers, strict=True)
            ),
            max(rises) <= 1e-4,
        ),
    ]  # fmt: skip


def swa() -> list[Claim]:
    """The average of iterates against the iterates, and against a decayed run."""
    average, iterates, decayed = [], [], []
    for seed in SEEDS:
        task = load(MODEL, seed=seed)
        measure = objective(task, test=True)
        train(
            task, torch.optim.SGD(task.model.parameters(), lr=0.3), steps=1000, batch=50, seed=seed
        )
        kept = copy.deepcopy(task.model.state_dict())
        points: list[np.ndarray] = []

        def after(step: int, *, held=points, model=task.model) -> None:
            if step % 100 == 0:
                held.append(flat(model).numpy())

        plain = torch.optim.SGD(task.model.parameters(), lr=0.3)
        train(task, plain, steps=2000, batch=50, seed=seed + 7, after=after)
        iterates.append(float(np.mean([measure.at(p).mean[1, 0] for p in points])))
        mean = np.mean(points, axis=0, dtype=np.float64).astype(np.float32)
        average.append(float(measure.at(mean).mean[1, 0]))
        task.model.load_state_dict(kept)
        branch = torch.optim.SGD(task.model.parameters(), lr=0.3)
        down = build_schedule("trapezoid", branch, steps=2000, options={"warmup": 0, "decay": 1000})
        train(task, branch, steps=2000, batch=50, seed=seed + 7, schedule=down)
        decayed.append(float(measure.at(measure.parameters()).mean[1, 0]))
    return [
        Claim(
            "The average of 20 iterates has a lower test error than the iterates on average",
            "Izmailov et al. 2018, arXiv:1803.05407", "average below the mean of the iterates",
            f"{numbers(average, '.2%')} against {numbers(iterates, '.2%')}",
            all(a < b for a, b in zip(average, iterates, strict=True)),
        ),
        Claim(
            "The average has a lower test error than a run of the same length that decayed",
            "Izmailov et al. 2018, arXiv:1803.05407", "average below the decayed run",
            f"{numbers(average, '.2%')} against {numbers(decayed, '.2%')}",
            all(a < b for a, b in zip(average, decayed, strict=True)),
        ),
    ]  # fmt: skip
