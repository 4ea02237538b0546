"""Surfaces at a fraction of the cost against the truth: work, stated error, true error.

    python benchmarks/fast_cases.py digits-random ...    the truth, first
    python benchmarks/fast_surface.py digits-random ...  replays and runs; adds to results.json
    python benchmarks/fast_surface.py lenet:everywhere   samples alone, for real
    python benchmarks/fast_surface.py --table            what is known so far, as Markdown
    python benchmarks/fast_surface.py --missed           how narrow a feature may be

Where the truth is a table of every sample at every point, the method is replayed on it: the same
code, reading from the table instead of running the model. Where it was only affordable at random
points, `landscape.loss_surface` runs for real, with its time, and is compared there and at the
check points of all seeds, which are measured on all samples too. Errors are relative to the 5 to
95 % range of the surface; work is in passes over the data, the 30 of every check included.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import numpy as np
import torch
from fast_cases import CASES, FOLDER, grid, table_of

import landscape as ls
from landscape.analysis.sparing.refinement import Refinement
from landscape.analysis.sparing.rounds import Rounds
from landscape.analysis.sparing.samples import Samples
from landscape.analysis.sparing.surface import _measure

RESULTS = FOLDER / "results.json"
SEEDS, TOLERANCE = (0, 1, 2), 0.01


class Replay:
    """A table of losses as something to measure, with the samples in a random order."""

    rows = 1

    def __init__(self, blocks: list[np.ndarray], points: np.ndarray, *, seed: int, step: int):
        self.blocks, self.points, self.step = blocks, points, step
        self.starts = np.cumsum([0, *(block.shape[1] for block in blocks)])
        self.size = int(self.starts[-1])
        self.order = np.random.default_rng(seed).permutation(self.size)
        self.scouts = min(32, self.size // 100)
        self.scouts = self.scouts if self.scouts >= 8 else 0

    def __call__(self, points: np.ndarray, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        index = np.sort(self.order[start:stop])
        mean, m2 = np.zeros(len(points)), np.zeros(len(points))
        for k, point in enumerate(points):
            losses = np.concatenate(
                [
                    block[self.points[point]][index[(index >= a) & (index < b)] - a]
                    for block, a, b in zip(
                        self.blocks, self.starts[:-1], self.starts[1:], strict=True
                    )
                ]
            ).astype(np.float64)
            mean[k] = losses.mean()
            m2[k] = np.square(losses - mean[k]).sum()
        return mean[None], m2[None]

    def metrics(
        self, points: np.ndarray, mean: np.ndarray, m2: np.ndarray, count: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        with np.errstate(all="ignore"):
            return mean, np.sqrt(m2 / np.maximum(count - 1, 1))


def truth_of(blocks: list[np.ndarray], points: np.ndarray) -> np.ndarray:
    total = np.array(
        [sum(float(block[p].astype(np.float64).sum()) for block in blocks) for p in points]
    )
    return total / sum(block.shape[1] for block in blocks)


def quantiles(errors: np.ndarray) -> list[float]:
    return [round(float(q), 6) for q in np.quantile(errors, (0.5, 0.95, 1))]


def replayed(
    name: str, *, every: int, step: int, seed: int, full: int | None = None
) -> dict[str, Any]:
    """Points and samples together, points alone (step 0), or samples alone (full 99)."""
    alpha, _, blocks, seconds = table_of(name)
    side = len(alpha)
    points = np.arange(side * side).reshape(side, side)[::every, ::every]
    truth = truth_of(blocks, points.ravel()).reshape(points.shape)
    stretches = Replay(blocks, points.ravel(), seed=seed, step=step)
    rounds = Rounds(stretches, points.size)
    refinement = Refinement(rounds, points.shape, metrics=1, full=full)
    filled, found, attempts = _measure(refinement, rounds, TOLERANCE, seed)
    span = float(np.ptp(np.quantile(truth, (0.05, 0.95))))
    errors = np.abs(filled.values[0] - truth) / span
    stated = max(float(np.quantile(filled.error[0], 0.95)) / span, found.quantiles()[1])
    return {
        "case": name,
        "mode": "samples" if full else "points and samples" if step else "points",
        "points": points.size,
        "truth points": points.size,
        "samples": stretches.size,
        "seed": seed,
        "passes": round(rounds.passes, 1),
        "saving": round(points.size / rounds.passes, 1),
        "measured": round(float(filled.measured.mean()), 4),
        "median samples": int(np.median(rounds.count[rounds.measured])),
        "attempts": attempts,
        "decay": round(filled.decay, 3),
        "stated": round(stated, 5),
        "check": list(found.quantiles()),
        "true": quantiles(errors),
        "covered": round(float((errors * span <= filled.error[0] + 1e-6 * span).mean()), 4),
        "full seconds": round(seconds * points.size / side**2),
    }


def everywhere(name: str, seed: int) -> dict[str, Any]:
    """Samples alone, for real: every point measured, on as many samples as the tolerance asks."""
    case = CASES[name]
    task, plane = case.build()
    train = tuple(part[: case.samples] for part in task.train)
    objective = ls.Objective(task.model, task.loss, train, batch_size=case.batch)
    alpha, beta = grid(case, plane)
    points = np.stack(np.meshgrid(alpha, beta), axis=-1).reshape(-1, 2)
    began, cpu = time.perf_counter(), time.process_time()
    stretches = Samples(objective.restrict(plane.origin, plane.directions), points, seed=seed)
    rounds = Rounds(stretches, len(points))
    shape = (len(beta), len(alpha))
    refinement = Refinement(rounds, shape, metrics=1, full=99)
    filled, found, attempts = _measure(refinement, rounds, TOLERANCE, seed)
    stated = float(np.quantile(filled.error[0], 0.95) / filled.span[0])
    return {
        "case": name,
        "mode": "samples",
        "points": len(points),
        "truth points": len(found.points),
        "samples": case.samples,
        "seed": seed,
        "passes": round(rounds.passes, 1),
        "saving": round(len(points) / rounds.passes, 1),
        "median samples": int(np.median(rounds.count)),
        "attempts": attempts,
        "stated": round(max(stated, found.quantiles()[1]), 5),
        "check": list(found.quantiles()),
        "true": list(found.quantiles()),
        "seconds": time.perf_counter() - began,
        "processor seconds": time.process_time() - cpu,
    }


def measure(name: str, seed: int) -> None:
    """`loss_surface` with the tolerance, for real, with its time."""
    case = CASES[name]
    task, plane = case.build()
    train = tuple(part[: case.samples] for part in task.train)
    objective = ls.Objective(task.model, task.loss, train, batch_size=case.batch)
    began, cpu = time.perf_counter(), time.process_time()
    surface = ls.loss_surface(
        objective, plane, extent=case.extent, resolution=case.resolution, tolerance=TOLERANCE,
        seed=seed,
    )  # fmt: skip
    took = {"seconds": time.perf_counter() - began, "processor seconds": time.process_time() - cpu}
    surface.save(FOLDER / f"{name}-{seed}.results.h5", f"surface/{name}")
    (FOLDER / f"{name}-{seed}.time.json").write_text(json.dumps(took))
    print(name, seed, took, surface.accuracy, flush=True)


def known_truth(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Where the truth is known: the table's random points, and the check points of all seeds."""
    index, truth = np.zeros(0, int), np.zeros(0)
    if (FOLDER / f"{name}.grid.npz").exists() and (blocks := table_of(name)[2]):
        index = np.load(FOLDER / f"{name}.grid.npz")["index"]
        truth = truth_of(blocks, np.arange(len(index)))
    for file in sorted(FOLDER.glob(f"{name}-[0-9].results.h5")):
        said = ls.Surface.load(file, f"surface/{name}").accuracy
        assert said is not None
        if "at" in said["check"]:
            index = np.append(index, said["check"]["at"])
            truth = np.append(truth, said["check"]["values"][0])
    index, first = np.unique(index, return_index=True)
    return index, truth[first]


def compared(name: str, seed: int) -> dict[str, Any]:
    """A surface that was measured, where the truth is known."""
    surface = ls.Surface.load(FOLDER / f"{name}-{seed}.results.h5", f"surface/{name}")
    said = surface.accuracy
    assert said is not None
    assert surface.error is not None
    index, truth = known_truth(name)
    wrong = np.abs(surface.loss.ravel()[index] - truth)
    span = said["span"][0]
    counts = np.asarray(surface.samples)
    return {
        "case": name,
        "mode": "points and samples",
        "points": surface.loss.size,
        "truth points": len(index),
        "samples": CASES[name].samples,
        "seed": seed,
        "passes": round(said["passes"], 1),
        "saving": round(said["full"] / said["passes"], 1),
        "measured": round(float((counts > 0).mean()), 4),
        "median samples": int(np.median(counts[counts > 0])),
        "attempts": said["attempts"],
        "decay": round(said["decay"], 3),
        "stated": said["stated"][0],
        "check": [said["check"][q][0] for q in ("median", "95 %", "largest")],
        "true": quantiles(wrong / span),
        "covered": round(float((wrong <= surface.error[0].ravel()[index] + 1e-6 * span).mean()), 4),
        **json.loads((FOLDER / f"{name}-{seed}.time.json").read_text()),
    }


def keep(row: dict[str, Any]) -> None:
    rows = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
    same = ("case", "mode", "points", "seed")
    rows = [r for r in rows if any(r[k] != row[k] for k in same)]
    RESULTS.write_text(json.dumps([*rows, row], indent=1))
    print(json.dumps(row), flush=True)


def between(values: list[float], digits: int, unit: str) -> str:
    """The range of some numbers, or the only one."""
    low, high = (f"{value:.{digits}f}" for value in (min(values), max(values)))
    return f"{low}{unit}" if low == high else f"{low} to {high}{unit}"


def table() -> str:
    rows = json.loads(RESULTS.read_text())
    lines = [
        "| surface | points | samples | what is saved | work saved | stated | true, 95 % | held |",
        "|---|---|---|---|---|---|---|---|",
    ]
    groups: dict[tuple, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["case"], row["points"], row["samples"], row["mode"]), []).append(row)
    for (case, points, samples, mode), found in groups.items():
        saved, stated, true = (
            [pick(row) for row in found]
            for pick in (
                lambda r: r["saving"],
                lambda r: 100 * r["stated"],
                lambda r: 100 * r["true"][1],
            )
        )
        held = sum(t <= s for s, t in zip(stated, true, strict=True))
        errors = (
            [between(stated, 2, " %"), between(true, 2, " %")] if any(stated) else ["exact"] * 2
        )
        known = found[0]["truth points"]
        where = "" if known == points else f" (truth at {known} points)"
        side = round(points**0.5)
        lines.append(
            f"| {CASES[case].what}{where} | {side}×{side} | {samples:,} | {mode} "
            f"| {between(saved, 1, '×')} | {errors[0]} | {errors[1]} | {held} of {len(found)} |"
        )
    return "\n".join(lines)


class Formula:
    """A bowl with a feature on 50,000 samples, each of which adds a plane of its own.

    Args:
        bowl: The surface without the feature.
        feature: What is added to it, by the `share` of the samples that carry it.
        share: Part of the samples; each carries 1 / share times the feature.
        scouts: Samples that every point is looked at with.
        seed: Draws the samples.
    """

    rows, step, size = 1, 32, 50_000

    def __init__(
        self, bowl: np.ndarray, feature: np.ndarray, *, share: float, scouts: int, seed: int
    ) -> None:
        rng = np.random.default_rng(seed)
        self.bowl, self.scouts = bowl.ravel(), scouts
        tilts = 0.1 * rng.normal(size=(3, self.size))
        carried = (rng.random(self.size) < share) / share
        self.draws = np.vstack([tilts - tilts.mean(axis=1, keepdims=True), carried])
        x, y = np.meshgrid(*[np.linspace(-1, 1, len(bowl))] * 2)
        self.design = np.stack([x, y, np.ones_like(x), feature], axis=-1).reshape(-1, 4)

    def __call__(self, points: np.ndarray, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        part, design = self.draws[:, start:stop], self.design[points]
        mean = self.bowl[points] + design @ part.mean(axis=1)
        spread = np.cov(part, bias=True) * (stop - start)
        return mean[None], np.einsum("pi,ij,pj->p", design, spread, design)[None]

    def metrics(
        self, points: np.ndarray, mean: np.ndarray, m2: np.ndarray, count: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        with np.errstate(all="ignore"):
            return mean, np.sqrt(m2 / np.maximum(count - 1, 1))


FEATURES = [
    *[("bump", width, 1.0) for width in (0.005, 0.01, 0.02, 0.04, 0.08)],
    *[("ridge", width, 1.0) for width in (0.005, 0.01, 0.02, 0.04, 0.08)],
    *[("bump", 0.01, share) for share in (0.1, 0.03, 0.01)],
]


def missed(*, trials: int = 40) -> str:
    """How often a bump or a ridge of some width, anywhere on a bowl, stays unseen.

    Its height is twice the bowl's at the border of the first axis; unseen is what leaves an error
    of more than a tenth of the range anywhere, with a tolerance of a hundredth.
    """
    sizes = [(side, scouts) for side in (51, 101) for scouts in (0, 32)]
    head = [f"{n}×{n}{', scouts' if scouts else ''}" for n, scouts in sizes]
    lines = [f"| feature, width σ / extent | {' | '.join(head)} |", "|---" * 5 + "|"]
    for kind, width, share in FEATURES:
        cells = []
        for side, scouts in sizes:
            x, y = np.meshgrid(*[np.linspace(-1, 1, side)] * 2)
            unseen, work, rng = [], [], np.random.default_rng(0)
            for trial in range(trials):
                (a, b), turn = rng.uniform(-0.9, 0.9, 2), rng.uniform(0, np.pi)
                along, across = (x - a) * np.cos(turn), (y - b) * np.sin(turn)
                far = (x - a) ** 2 + (y - b) ** 2 if kind == "bump" else (along + across) ** 2
                bowl, feature = x**2 + 2 * y**2, 2 * np.exp(-far / (2 * (2 * width) ** 2))
                if feature.max() < 0.2:  # no point of the grid is on it
                    continue
                form = Formula(bowl, feature, share=share, scouts=scouts, seed=trial)
                rounds = Rounds(form, x.size)
                found = Refinement(rounds, x.shape, metrics=1).fill(TOLERANCE)
                truth = bowl.ravel() + form.design @ form.draws.mean(axis=1)
                wrong = np.abs(found.values[0].ravel() - truth) / found.scale[0].ravel()
                unseen.append((wrong > 0.1).any())
                work.append(found.measured.mean())
            cells.append(f"{np.mean(unseen):.0%}, {np.mean(work):.0%}")
        carriers = "" if share == 1 else f", on {share:.0%} of the samples"
        lines.append(f"| {kind} {width:.3f}{carriers} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    torch.set_num_threads(1)
    if "--table" in sys.argv:
        print(table())
        return
    if "--missed" in sys.argv:
        print(missed())
        return
    for argument in sys.argv[1:]:
        name, _, which = argument.partition(":")
        if which == "everywhere":
            keep(everywhere(name, 0))
            continue
        seeds = [int(which)] if which else SEEDS
        for seed in seeds:
            if CASES[name].scatter:
                if not (FOLDER / f"{name}-{seed}.results.h5").exists():
                    measure(name, seed)
                keep(compared(name, seed))
                continue
            for every in (1, 2) if CASES[name].resolution > 100 else (1,):
                for step in (0, 32):
                    keep(replayed(name, every=every, step=step, seed=seed))
                keep(replayed(name, every=every, step=32, seed=seed, full=99))


if __name__ == "__main__":
    main()
