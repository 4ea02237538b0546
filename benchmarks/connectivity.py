"""Time weight matching against git re-basin's rule, and a step of a curve against one of training.

    OMP_NUM_THREADS=1 python benchmarks/connectivity.py matching
    OMP_NUM_THREADS=1 python benchmarks/connectivity.py curve --works W1 W2

One thread, processor seconds, both in turn in every round, medians of paired ratios. And compare
barriers on digits, which scripts/fig_alignment.py measured, with those of another program:

    python benchmarks/connectivity.py digits
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from workloads import Workload, workload

import landscape as ls
from landscape.analysis.connectivity.alignment import permutable_of, tensors_of
from landscape.analysis.connectivity.matching import inner_product, match_weights, ordered
from landscape.analysis.connectivity.permutations import Group

BATCH = 128


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("matching", "curve", "digits"))
    parser.add_argument("--works", nargs="+", default=["W1", "W2"], help="of W1, W2, W4, for curve")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=100, help="of training before matching")
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.what == "digits":
        digits()
    elif args.what == "matching":
        matching(args.rounds, args.steps)
    else:
        for name in args.works:
            curve(workload(name), args.rounds)


def seconds(call: Callable[..., Any], *given: Any, **options: Any) -> tuple[float, Any]:
    """Processor seconds of a call, and what it gave."""
    began = time.process_time()
    found = call(*given, **options)
    return time.process_time() - began, found


def matching(rounds: int, steps: int) -> None:
    """ResNet-20 with batch norm: two networks, one start, the same groups."""
    ratios, whole, better = [], [], 0
    for seed in range(rounds):
        work, networks = digits_on_resnet(), []
        for part in (0, 1):
            torch.manual_seed(10 * seed + part)
            for module in work.model.modules():
                if hasattr(module, "reset_parameters"):
                    module.reset_parameters()  # pyright: ignore[reportCallIssue]
            train(work.model.train(), work, steps, batch=32)
            networks.append(ls.Objective(work.model, work.loss, work.data).parameters().copy())
        objective = ls.Objective(work.model.eval(), work.loss, work.data)
        groups = permutable_of(objective)[0].groups
        a, b = (tensors_of(vector, objective.layout) for vector in networks)
        single = [{n: torch.from_numpy(t).float() for n, t in of.items()} for of in (a, b)]
        peer, orders = seconds(rebasin, *single, groups, seed)
        ours, found = seconds(match_weights, a, b, groups, restarts=0, seed=seed)
        everything, _ = seconds(ls.align, objective, *networks, restarts=0, seed=seed)
        theirs, own = (inner_product(a, ordered(b, groups, o)) for o in (orders, found[0]))
        ratios.append(ours / peer)
        whole.append(everything / peer)
        better += own >= theirs * (1 - 1e-6)
        print(
            f"round {seed}: re-basin's rule {peer:.3f} s, <a, b> {theirs:.3f}; here "
            f"{ours:.3f} s, {own:.3f} after {found[1]} sweeps; align with its tracing and "
            f"check {everything:.3f} s",
            flush=True,
        )
    print(
        f"matching, ResNet-20: {statistics.median(ratios):.3f} of re-basin's rule "
        f"({min(ratios):.3f} to {max(ratios):.3f}), with tracing and the check of the function "
        f"{statistics.median(whole):.2f}; at least as close in {better} of {rounds}"
    )


def digits_on_resnet() -> Workload:
    """ResNet-20 for digits of 16×16 pixels in three equal colours."""
    images, labels = workload("W3").data
    small = F.interpolate(images, (16, 16), mode="bilinear").expand(-1, 3, -1, -1).contiguous()
    return replace(workload("W2"), data=(small, labels))


def rebasin(
    a: dict[str, Tensor], b: dict[str, Tensor], groups: Sequence[Group], seed: int
) -> dict[str, np.ndarray]:
    """Algorithm 1 of Ainsworth et al. 2023, arXiv:2209.04836, in torch and single precision.

    Every group in turn, in random order, is assigned by the sum over its tensors of the products
    of a's with b's, which all other groups permute; until a sweep improves nothing.
    """
    random = np.random.default_rng(seed)
    order = {g.name: torch.arange(g.units) for g in groups}
    along: dict[str, list[tuple[int, str]]] = {}
    for group in groups:
        for place in group.places:
            along.setdefault(place.name, []).append((place.axis, group.name))
    improves = True
    while improves:
        improves = False
        for i in random.permutation(len(groups)):
            group, n = groups[i], groups[i].units
            total = torch.zeros(n, n)
            for place in group.places:
                if place.name not in a:
                    continue
                moved = b[place.name]
                for axis, other in along[place.name]:
                    if axis != place.axis:
                        moved = moved.index_select(axis, order[other])
                first = a[place.name].moveaxis(place.axis, 0).reshape(n, -1)
                total += first @ moved.moveaxis(place.axis, 0).reshape(n, -1).T
            chosen = torch.from_numpy(linear_sum_assignment(total.numpy(), maximize=True)[1])
            one = torch.eye(n)
            before, after = ((total * one[o]).sum() for o in (order[group.name], chosen))
            improves |= bool(after > before + 1e-12)
            order[group.name] = chosen
    return {name: o.numpy() for name, o in order.items()}


def train(model: torch.nn.Module, work: Workload, steps: int, batch: int = BATCH) -> None:
    """Plain steps of Adam, in the order in which a curve takes its batches."""
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    size, draw, done = len(work.data[0]), torch.Generator().manual_seed(0), 0
    batch = min(batch, size)
    while done < steps:
        order = torch.randperm(size, generator=draw)
        for start in range(0, size - batch + 1, batch):
            if done == steps:
                return
            index = order[start : start + batch]
            optimizer.zero_grad()
            work.loss(model, tuple(part[index] for part in work.data)).mean().backward()
            optimizer.step()
            done += 1


def curve(work: Workload, rounds: int) -> None:
    """Steps of a curve over plain steps; what begins and ends a curve is told apart."""
    model = copy.deepcopy(work.model).train()
    objective = ls.Objective(work.model, work.loss, work.data)
    a = objective.parameters().copy()
    b = np.roll(a, 1)
    each, begin = [], []
    train(model, work, 3)
    once, _ = seconds(train, model, work, 5)
    count = max(5, min(2000, round(2.5 / (once / 5))))
    for number in range(rounds):
        plain, _ = seconds(train, model, work, count)
        found = [
            seconds(ls.find_curve, objective, a, b, steps=n, seed=number, lr=1e-3)[0]
            for n in (1, count + 1)
        ]
        each.append((found[1] - found[0]) / plain)
        begin.append(found[0])
        print(f"round {number}: {1e3 * plain / count:.3f} ms a plain step, x {each[-1]:.3f}")
    print(
        f"curve, {work.what}: a step is {statistics.median(each):.3f} plain steps "
        f"({min(each):.3f} to {max(each):.3f}; {rounds} rounds of {count}); beginning and end "
        f"{statistics.median(begin):.3f} s"
    )


# Barriers of loss and error (%) of one pair of networks by an independent program: the same images,
# layers, optimizer and steps, its own learning rate and seeds, 25 places. As trained, repaired,
# matched by weights, with repair, matched by activations, with repair.
ELSEWHERE = {
    "32-32": (1.039, 18.9, 0.465, 11.6, 0.171, 4.3, 0.097, 3.1, 0.235, 7.4, 0.148, 5.2),
    "128-128": (0.881, 20.5, 0.203, 3.8, 0.0507, 1.0, 0.0268, 0.8, 0.0686, 2.3, 0.0469, 1.8),
    "512-512": (0.527, 4.9, 0.0875, 1.5, 0.0173, 0.23, 0.0096, 0.12, 0.0253, 0.32, 0.0173, 0.39),
    "128-128-128": (1.813, 75.7, 0.310, 11.1, 0.1054, 3.6, 0.0737, 3.2, 0.1238, 4.6, 0.0820, 3.5),
    "512-512-512": (0.934, 9.1, 0.0749, 1.6, 0.0224, 0.21, 0.0101, 0.21, 0.0306, 0.9, 0.0213, 0.9),
}
WAYS = ("as trained", "repaired", "matched by weights", "matched by weights, repaired",
        "matched by activations", "matched by activations, repaired")  # fmt: skip
DIGITS = Path("data") / "gallery" / "fig_alignment.results.h5"


def digits() -> None:
    """Every cell beside that of another program; n = 1 there, so it varies as single pairs do.

    The standard error here is that of the jackknife over networks: pairs share them.
    """
    results, kept = ls.load_results(DIGITS), {"loss": [0] * 3, "error": [0] * 3}
    print("| layers | way | loss here | there | ratio | error here | there | ratio |")
    print("|---" * 8 + "|")
    for name, cells in ELSEWHERE.items():
        for number, way in enumerate(WAYS):
            found, row = results[f"barriers/mlp-{name}-relu/{way}"], [f"| {name} | {way}"]
            for m, (metric, scale) in enumerate((("loss", 1), ("error", 100))):
                each = scale * found.height("entezari2022", metric=metric)
                here, there = each.mean(), cells[2 * number + m]
                error, spread = jackknife(each, found.pair), each.std(ddof=1)
                ratio = there / here
                near = 1 / 1.5 <= ratio <= 1.5
                apart = abs(there - here) / np.hypot(error, spread)
                kept[metric][0 if near else 1 if apart <= 2 else 2] += 1
                mark = "" if near else f" ({apart:.1f} errors)"
                row.append(f"{here:.3g} ± {error:.1g} | {there:.3g} | {ratio:.2f}{mark}")
            print(" | ".join(row) + " |")
    for metric, (near, chance, apart) in kept.items():
        print(
            f"{metric}: {near} of {near + chance + apart} cells within a factor of 1.5; {chance} "
            f"outside it, but within two standard errors of a difference; {apart} outside both"
        )


def jackknife(each: np.ndarray, pair: np.ndarray) -> float:
    """Standard error of a mean over pairs of networks."""
    names = np.unique(pair)
    left = np.array([each[(pair != one).all(axis=1)].mean() for one in names])
    n = len(names)
    return float(np.sqrt((n - 1) / n * ((left - left.mean()) ** 2).sum()))


if __name__ == "__main__":
    main()
