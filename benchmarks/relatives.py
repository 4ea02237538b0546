"""What a cheaper relative of a network would save on surfaces within a tolerance.

A surface within a tolerance measures every point on some of the samples, corrected by control
points (``landscape/analysis/sparing/control_variates.py``). This asks what is left of the spread of
the samples if their losses were also known from a relative that costs a share c of a pass:

    work(c, g) = (√g + √(c (1 - g)))²,   g = variance left by the relative,

the work of the best division between both (two-level Monte Carlo; Giles 2015, Acta Numerica 24,
section 1.3), 1 being what it is without one. Relatives are the same network on images of half the
resolution, and in bfloat16. Then: what importance sampling leaves by the spread of each sample at
the control points, and by the best common weights there can be (an oracle); and what a gradient
costs in forward passes.

    python benchmarks/relatives.py --images 500

ResNet-20 on CIFAR-10, 17 × 17 points of a random plane, one thread; five minutes.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch
import torch.nn.functional as F
from fast_cases import CASES, grid
from torch import Tensor
from torch.func import functional_call

from landscape.analysis.sparing.control_variates import Control
from landscape.analysis.sparing.grids import nested_levels
from landscape.objective.strategies.remembered import processor

BATCH = 200
IN_BFLOAT16 = 12  # points


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--every", type=int, default=1, help="of rows and columns of the points")
    args = parser.parse_args()
    torch.set_num_threads(1)
    task, plane = CASES["resnet20"].build()
    columns, rows = (side[:: args.every] for side in grid(CASES["resnet20"], plane))
    model, (images, labels) = task.model.eval(), task.train
    pick = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))[: args.images]
    images, labels = images[pick], labels[pick]
    parameters = dict(model.named_parameters())
    sizes = [p.numel() for p in parameters.values()]

    def moved(point: tuple[float, float]) -> dict[str, Tensor]:
        """The weights at a point."""
        vector = plane.origin + np.asarray(point, np.float32) @ plane.directions
        parts = torch.tensor(vector).split(sizes)
        return {
            name: part.view(p.shape)
            for (name, p), part in zip(parameters.items(), parts, strict=True)
        }

    def losses(weights: dict[str, Tensor], images: Tensor, *, bfloat16: bool = False) -> np.ndarray:
        """The loss of every image."""
        found = []
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            for some, right in zip(images.split(BATCH), labels.split(BATCH), strict=True):
                logits = functional_call(model, weights, (some,)).float()
                found.append(F.cross_entropy(logits, right, reduction="none"))
        return torch.cat(found).numpy()

    points = [(x, y) for y in rows for x in columns]
    halved = F.avg_pool2d(images, 2)
    took = np.zeros(3)
    full, half = (np.empty((len(points), len(images))) for _ in range(2))
    for k, point in enumerate(points):
        weights = moved(point)
        start = time.process_time()
        full[k] = losses(weights, images)
        middle = time.process_time()
        half[k] = losses(weights, halved)
        took[:2] += middle - start, time.process_time() - middle
    some = np.random.default_rng(0).choice(len(points), IN_BFLOAT16, replace=False)
    start = time.process_time()
    rounded = np.array([losses(moved(points[k]), images, bfloat16=True) for k in some])
    took[2] = (time.process_time() - start) * len(points) / len(some)
    print(f"{processor()}; {len(points)} points, {len(images)} images")

    control = Control(nested_levels((len(rows), len(columns)))[0], (len(rows), len(columns)))
    weights = control._weights[0]  # cubic
    left = full - weights @ full[control.points]
    left_half = half - weights @ half[control.points]
    others = np.setdiff1d(np.arange(len(points)), control.points)
    alike = [np.corrcoef(left[p], left_half[p])[0, 1] for p in others]
    report("half the resolution", took[1] / took[0], 1 - np.square(alike))
    beside = [(full[k] - rounded[i]).var() / left[k].var()
              for i, k in enumerate(some) if k in others]  # fmt: skip
    report("bfloat16", took[2] / took[0], np.minimum(beside, 1))

    centred = left[others] - left[others].mean(axis=1, keepdims=True)
    variance = centred.var(axis=1)
    spread = full[control.points] - full[control.points].mean(axis=1, keepdims=True)
    by_spread = np.sqrt((spread**2 / spread.var(axis=1)[:, None]).mean(axis=0))
    best = np.sqrt((centred**2 / variance[:, None]).mean(axis=0))
    for name, drawn in (("spread at the control points", by_spread), ("an oracle", best)):
        ratio = (centred**2 / (len(images) * drawn / drawn.sum())).mean(axis=1) / variance
        print(f"importance sampling by {name}: work {told(ratio)}")

    tracked = {name: p.detach().requires_grad_() for name, p in parameters.items()}
    ratios = []
    for _ in range(5):
        start = time.process_time()
        losses(parameters, images[:BATCH])
        middle = time.process_time()
        F.cross_entropy(
            functional_call(model, tracked, (images[:BATCH],)), labels[:BATCH]
        ).backward()
        ratios.append((time.process_time() - middle) / (middle - start))
    print(f"loss and gradient: {np.median(ratios):.1f} forward passes")


def report(name: str, cost: float, left: np.ndarray) -> None:
    work = (np.sqrt(left) + np.sqrt(cost * (1 - left))) ** 2
    print(f"{name}: {cost:.2f} of a pass, variance left {told(left)}, work {told(work)}")


def told(values: np.ndarray) -> str:
    """Median, and 10 and 90 % quantiles, over points."""
    low, middle, high = np.quantile(values, (0.1, 0.5, 0.9))
    return f"{middle:.3g} ({low:.3g} to {high:.3g})"


if __name__ == "__main__":
    main()
