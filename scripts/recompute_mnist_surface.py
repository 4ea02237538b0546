"""Recompute somebody else's loss surface, point by point, and report the largest difference.

The experiment was made with the 2018 tool of Li et al. (arXiv:1712.09913): a 784-64-64-64-10
network, two stored filter-normalized directions, and a stored 25 x 25 surface over all 60,000
MNIST training images, scaled to [-1, 1]. Its three files and MNIST lie below data/ or
$LANDSCAPE_DATA.

    python scripts/recompute_mnist_surface.py --experiment data/checkpoints/mnist_dense_entropy
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch

import landscape as ls
from landscape.exchange.checkpoints.state import load_state
from landscape.exchange.li2018 import reader as li2018
from landscape.results.affine import Plane
from landscape.results.surface import Surface
from landscape.tasks.folders import find_data
from landscape.tasks.idx import read_idx
from landscape.tasks.models import mlp
from landscape.tasks.task import Data, classification_error, cross_entropy

STEM = "model_20230414_171505_10"
DIRECTIONS = f"{STEM}_states_xignore=biasbn_xnorm=filter_yignore=biasbn_ynorm=filter.h5"
SURFACE = f"{DIRECTIONS}_[-1.0,1.0,25]x[-1.0,1.0,25].h5"
MNIST = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--experiment", type=Path, help="folder of the three files")
    parser.add_argument("--out", type=Path, help="results file for both surfaces")
    parser.add_argument("--smoke", action="store_true", help="four corners only")
    args = parser.parse_args()
    every = 24 if args.smoke else 1

    try:
        folder = args.experiment
        if folder is None:
            folder = find_data("checkpoints/mnist_dense_entropy", [SURFACE])[SURFACE].parent
        images = training_images()
    except FileNotFoundError as error:
        print(f"Nothing recomputed, for want of the experiment or MNIST. {error}")
        return
    model = mlp(Data(train=images, test=images, classes=10), widths=(64, 64, 64), activation="relu")
    # The same tensors in the same order, under other names (fc1.weight is 1.weight here).
    state = dict(zip(model.state_dict(), load_state(folder / STEM).values(), strict=True))
    model.load_state_dict(state)
    plane = li2018.read_directions(folder / DIRECTIONS, state)
    stored = li2018.read_measured(folder / SURFACE, directions=plane)
    if not (isinstance(stored, Surface) and isinstance(plane, Plane)):
        raise SystemExit(f"{folder} holds a line, not a surface.")

    objective = ls.Objective(
        model,
        cross_entropy,
        images,
        metrics={"error": classification_error},
        batch_size=2000,
    )
    alpha, beta = (axis[::every] for axis in (stored.alpha, stored.beta))
    begin = time.perf_counter()
    found = ls.loss_surface(
        objective,
        plane,
        extent=(alpha[0], alpha[-1], beta[0], beta[-1]),
        resolution=(len(alpha), len(beta)),
    )
    seconds = (time.perf_counter() - begin) / found.loss.size
    if args.out:
        found.save(args.out, "surface/recomputed")
        stored.save(args.out, "surface/stored")

    theirs = stored.values[:, ::every, ::every]
    relative = np.abs(found.loss / theirs[0] - 1)
    differing = np.abs(found.values[1] - theirs[1]) * objective.data.size
    print(f"{relative.size} points, {objective.data.size} images each, {seconds:.3f} s per point")
    print(
        f"loss: largest relative difference {relative.max():.2g}, median {np.median(relative):.2g}"
    )
    print(
        f"accuracy: {int((differing < 0.5).sum())} points equal; at the others at most "
        f"{differing.max():.0f} of {objective.data.size} images are classified differently "
        f"({100 * differing.max() / objective.data.size:.4f} percentage points)"
    )


def training_images() -> tuple[torch.Tensor, torch.Tensor]:
    """All MNIST training images, scaled to [-1, 1], and their labels."""
    files = find_data("mnist", MNIST)
    images = read_idx(files[MNIST[0]], dimensions=3).astype(np.float32)
    labels = read_idx(files[MNIST[1]], dimensions=1).astype(np.int64)
    return torch.from_numpy(images / 127.5 - 1), torch.from_numpy(labels)


if __name__ == "__main__":
    main()
