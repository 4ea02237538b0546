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
from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch
from torch import nn

import landscape as ls
from landscape.analysis.surface import Surface
from landscape.exchange import li2018
from landscape.recording.checkpoints import load_state
from landscape.tasks.folders import find_data
from landscape.tasks.idx import read_idx
from landscape.tasks.task import classification_error, cross_entropy

STEM = "model_20230414_171505_10"
DIRECTIONS = f"{STEM}_states_xignore=biasbn_xnorm=filter_yignore=biasbn_ynorm=filter.h5"
SURFACE = f"{DIRECTIONS}_[-1.0,1.0,25]x[-1.0,1.0,25].h5"
MNIST = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--experiment", type=Path, help="folder of the three files")
    parser.add_argument("--every", type=int, default=1, help="only every n-th row and column")
    parser.add_argument("--batch-size", type=int, default=2000)
    parser.add_argument("--out", type=Path, default=Path("data/mnist_surface.results.h5"))
    args = parser.parse_args()

    folder = args.experiment
    if folder is None:
        folder = find_data("checkpoints/mnist_dense_entropy", [SURFACE])[SURFACE].parent
    state = load_state(folder / STEM)
    plane = li2018.read_plane(folder / DIRECTIONS, state)
    stored = li2018.read_measured(folder / SURFACE, directions=folder / DIRECTIONS)
    if not isinstance(stored, Surface):
        raise SystemExit(f"{SURFACE} holds a line, not a surface.")

    model = network()
    model.load_state_dict(state)
    objective = ls.Objective(
        model,
        cross_entropy,
        training_images(),
        metrics={"error": classification_error},
        batch_size=args.batch_size,
    )
    alpha, beta = (axis[:: args.every] for axis in (stored.alpha, stored.beta))
    begin = time.perf_counter()
    found = ls.loss_surface(
        objective,
        plane,
        extent=(alpha[0], alpha[-1], beta[0], beta[-1]),
        resolution=(len(alpha), len(beta)),
    )
    seconds = (time.perf_counter() - begin) / found.loss.size
    found.save(args.out, "surface/recomputed")
    stored.save(args.out, "surface/stored")

    theirs = stored.values[:, :: args.every, :: args.every]
    relative = np.abs(found.loss / theirs[0] - 1)
    images = np.abs(found.values[1] - theirs[1]) * objective.data.size
    print(f"{relative.size} points, {objective.data.size} images each, {seconds:.3f} s per point")
    print(
        f"loss: largest relative difference {relative.max():.2g}, median {np.median(relative):.2g}"
    )
    print(
        f"accuracy: {int((images < 0.5).sum())} points equal; at the others at most "
        f"{images.max():.0f} of {objective.data.size} images are classified differently "
        f"({100 * images.max() / objective.data.size:.4f} percentage points)"
    )


def network() -> nn.Module:
    """The network of the experiment; its layers carry the names in the checkpoint."""
    widths = (784, 64, 64, 64, 10)
    layers: list[tuple[str, nn.Module]] = [("flatten", nn.Flatten())]
    for n in range(1, 5):
        layers.append((f"fc{n}", nn.Linear(widths[n - 1], widths[n])))
        if n < 4:
            layers.append((f"relu{n}", nn.ReLU()))
    return nn.Sequential(OrderedDict(layers))


def training_images() -> tuple[torch.Tensor, torch.Tensor]:
    """All MNIST training images, scaled to [-1, 1], and their labels."""
    files = find_data("mnist", MNIST)
    images = read_idx(files[MNIST[0]], dimensions=3).astype(np.float32)
    labels = read_idx(files[MNIST[1]], dimensions=1).astype(np.int64)
    return torch.from_numpy(images / 127.5 - 1), torch.from_numpy(labels)


if __name__ == "__main__":
    main()
