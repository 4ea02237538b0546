"""Claims about what lies between networks: curves, instability, averages."""

from __future__ import annotations

import copy

import numpy as np
import torch

import landscape as ls

from .claim import Claim, numbers
from .setting import SEEDS, load, objective, train

MODEL = "mlp-64-64-relu"


def curve() -> list[Claim]:
    """Networks from two initialisations, the line and a Bezier curve with one bend between them."""
    ends, ways, lines, removed = [], [], [], []
    for seed in SEEDS:
        points = []
        for part in (0, 1):
            task = load(MODEL, seed=10 * seed + part)
            adam = torch.optim.Adam(task.model.parameters(), lr=0.002)
            train(task, adam, steps=1500, batch=100, seed=10 * seed + part)
            points.append(objective(task).parameters().copy())
        measure = objective(task)
        found = ls.find_curve(measure, *points, steps=1000, seed=seed)
        profile = ls.curve_profile(measure, found)
        way, line = profile.barrier("entezari2022")
        ends.append(float(profile.loss[0, [0, -1]].max()))
        ways.append(float(profile.loss[0].max()))
        lines.append(float(profile.loss[1].max()))
        removed.append(1 - way / line)
    return [
        Claim(
            "Two networks from different initialisations are joined by a simple curve of low loss",
            "Garipov et al. 2018, arXiv:1802.10026",
            "a Bezier curve removes ≥ 95 % of the straight line's barrier",
            f"{numbers(removed, '.1%')} (loss at most {numbers(ways)} on the curve, "
            f"{numbers(lines)} on the line, {numbers(ends)} at the ends)",
            min(removed) >= 0.95,
        )
    ]


def alignment() -> list[Claim]:
    """Barriers between initialisations: as trained, after matching, after repair.

    Means over the three pairs of three networks, all trained until they fit their images.
    """
    shallow = {width: f"mlp-{width}-{width}-relu" for width in (32, 128, 256)}
    deep = "mlp" + "-128" * 6 + "-relu"
    found = np.array([[_matched(m, seed) for m in (*shallow.values(), deep)] for seed in SEEDS])
    ends, heights, errors = found[..., 0], found[..., 1:4], found[..., 4:]
    told = "; ".join(
        f"{name}: " + ", ".join("/".join(f"{v:.3g}" for v in seed) for seed in heights[:, number])
        for number, name in enumerate([*(f"width {width}" for width in shallow), "6 × 128"])
    )
    trained, matched, _ = np.moveaxis(heights[:, :-1], 2, 0)
    less = 1 - errors[..., 1] / errors[..., 0]
    return [
        Claim(
            "Permuting the units of one network onto those of another removes most of the barrier",
            "Ainsworth et al. 2023, arXiv:2209.04836",
            "≥ 2/3 of it at every width",
            f"as trained/matched/repaired: {told}; loss of the networks "
            f"{ends.min():.2g} to {ends.max():.2g}",
            bool((3 * matched <= trained).all()),
        ),
        Claim(
            "What matching leaves of the barrier falls with the width",
            "Entezari et al. 2022, arXiv:2110.06296; Ainsworth et al. 2023, arXiv:2209.04836",
            f"lower at each of the widths {', '.join(map(str, shallow))} than at the one before",
            "; ".join(numbers(seed) for seed in matched),
            bool((np.diff(matched, axis=1) < 0).all()),
        ),
        Claim(
            "Restoring the statistics of the units lowers what matching leaves (REPAIR), by more "
            "in deep networks, where their variance collapses layer after layer",
            "Jordan et al. 2023, arXiv:2211.08403",
            "error barrier (the paper's quantity) lower at every width; by more with six hidden "
            "layers of 128 than with two",
            f"less by {'; '.join(numbers(seed, '.0%') for seed in less[:, :-1])} at the widths, by "
            f"{numbers(less[:, -1], '.0%')} with six layers; of the loss by "
            f"{'; '.join(numbers(seed, '.0%') for seed in 1 - heights[..., 2] / heights[..., 1])}",
            bool((less > 0).all() and (less[:, -1] > less[:, 1]).all()),
        ),
    ]


def _matched(model: str, seed: int) -> list[float]:
    """Loss of three networks; their barriers as trained, matched, repaired; the last of error."""
    ends = []
    for part in (0, 1, 2):
        task = load(model, seed=10 * seed + part)
        adam = torch.optim.Adam(task.model.parameters(), lr=0.001)
        train(task, adam, steps=4000, batch=128, seed=10 * seed + part)
        ends.append(objective(task).parameters().copy())
    ways = ({}, {"align": "weights"}, {"align": "weights", "repair": True})
    found = [ls.barriers(objective(task), ends, resolution=11, **how) for how in ways]  # pyright: ignore[reportPossiblyUnbound]
    heights = [float(b.height("entezari2022").mean()) for b in found]
    errors = [float(b.height("entezari2022", metric="error").mean()) for b in found[1:]]
    return [float(found[0].ends().mean()), *heights, *errors]


def instability() -> list[Claim]:
    """Copies of a run part at step k and see other orders of the data: error barrier over k."""
    forks, steps, found = (0, 300), 1000, []
    for seed in SEEDS:
        task = load("mlp-32-32-32-relu", seed=seed)
        measure, start = objective(task), copy.deepcopy(task.model.state_dict())
        for fork in forks:
            task.model.load_state_dict(start)
            _adam(task, steps=fork, seed=seed)
            parted, ends = copy.deepcopy(task.model.state_dict()), []
            for order in (1, 2):
                task.model.load_state_dict(parted)
                _adam(task, steps=steps - fork, seed=100 * (seed + 1) + order)
                ends.append(measure.parameters().copy())
            pair = ls.barriers(measure, ends)
            found.append(float(pair.refined("frankle2020", metric="error")[0]))
    early, late = np.array(found).reshape(len(SEEDS), len(forks)).T
    return [
        Claim(
            "Copies that part early end in other basins, copies that part later in one",
            "Frankle et al. 2020, arXiv:1912.05671",
            f"error barrier ≥ 2 % from step {forks[0]}, < 2 % from step {forks[1]} of {steps}",
            f"{numbers(early, '.1%')} against {numbers(late, '.1%')}",
            bool(early.min() >= 0.02 > late.max()),
        )
    ]


def soup() -> list[Claim]:
    """Networks fine-tuned from one at several rates; the choice sees one half of the test data."""
    best, greedy = [], []
    for seed in SEEDS:
        task = load("mlp-128-128-relu", seed=seed)
        sgd = torch.optim.SGD(task.model.parameters(), lr=0.1)
        train(task, sgd, steps=500, batch=50, seed=seed)
        kept, tuned = copy.deepcopy(task.model.state_dict()), []
        for number, rate in enumerate((0.02, 0.05, 0.1, 0.2, 0.3, 0.4)):
            task.model.load_state_dict(kept)
            sgd = torch.optim.SGD(task.model.parameters(), lr=rate)
            train(task, sgd, steps=1000, batch=50, seed=100 * (seed + 1) + number)
            tuned.append(objective(task).parameters().copy())
        halves = [
            ls.Objective(
                task.model, task.loss, tuple(t[h::2] for t in task.test), metrics=task.metrics
            )
            for h in (0, 1)
        ]
        found = ls.greedy_soup(halves[0], tuned)
        first = tuned[int(found.order[0])]
        best.append(float(halves[1].at(first).mean[1, 0]))
        greedy.append(float(halves[1].at(found.vector).mean[1, 0]))
    return [
        Claim(
            "A greedy soup of fine-tuned networks has a lower error than the best of them",
            "Wortsman et al. 2022, arXiv:2203.05482",
            "error on data that neither choice saw: soup below the network chosen best",
            f"{numbers(greedy, '.2%')} against {numbers(best, '.2%')}",
            all(g < b for g, b in zip(greedy, best, strict=True)),
        )
    ]


def _adam(task: ls.Task, *, steps: int, seed: int) -> None:
    adam = torch.optim.Adam(task.model.parameters(), lr=0.01)
    train(task, adam, steps=steps, batch=50, seed=seed)
