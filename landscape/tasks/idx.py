"""MNIST and Fashion-MNIST: 70,000 grey images of 28×28 pixels in IDX files.

LeCun et al. 1998 (Proc. IEEE 86) and Xiao et al. 2017 (arXiv:1708.07747).
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from landscape.tasks.folders import find_data, read_data
from landscape.tasks.task import Data

FILES = tuple(
    f"{part}-{kind}-ubyte" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")
)


def mnist() -> Data:
    """Handwritten digits: 60,000 for training, 10,000 for testing, standardised, (1, 28, 28)."""
    return _load("mnist", mean=0.1307, std=0.3081)


def fashion_mnist() -> Data:
    """Clothes of ten kinds: 60,000 for training, 10,000 for testing, standardised, (1, 28, 28)."""
    return _load("fashion-mnist", mean=0.2860, std=0.3530)


def read_idx(path: Path, *, dimensions: int) -> np.ndarray:
    """The unsigned bytes of an IDX file, plain or ``.gz``.

    The format: bytes 0, 0, 8 (unsigned byte), number of dimensions; then one big-endian uint32
    per dimension; then the data, last dimension fastest.

    Args:
        path: The file.
        dimensions: How many dimensions it must have.

    Raises:
        ValueError: If the file is not such a file, or is longer or shorter than it announces.
    """
    content = read_data(path)
    magic = bytes([0, 0, 8, dimensions])
    if content[:4] != magic:
        raise ValueError(
            f"{path} begins with bytes {content[:4].hex(' ')}; an IDX file of {dimensions}-"
            f"dimensional unsigned bytes begins with {magic.hex(' ')}. Fetch the original file."
        )
    start = 4 + 4 * dimensions
    if len(content) < start:
        raise ValueError(f"{path} ends within its header; expected at least {start} bytes.")
    shape = tuple(int(n) for n in np.frombuffer(content, ">u4", dimensions, offset=4))
    expected = start + math.prod(shape)
    if len(content) != expected:
        raise ValueError(
            f"{path} holds {len(content)} bytes; its header announces the shape {shape}, which "
            f"needs {expected}. Fetch the original file."
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _load(name: str, *, mean: float, std: float) -> Data:
    paths = find_data(name, FILES)
    parts = [
        _part(paths[images], paths[labels], mean=mean, std=std)
        for images, labels in (FILES[:2], FILES[2:])
    ]
    return Data(train=parts[0], test=parts[1], classes=10)


def _part(
    images_path: Path, labels_path: Path, *, mean: float, std: float
) -> tuple[Tensor, Tensor]:
    images, labels = read_idx(images_path, dimensions=3), read_idx(labels_path, dimensions=1)
    if images.shape[1:] != (28, 28) or len(images) != len(labels):
        raise ValueError(
            f"{images_path} has shape {images.shape} and {labels_path} has {len(labels)} labels; "
            "expected as many images of 28×28 pixels as labels."
        )
    if not len(labels) or labels.max() > 9:
        raise ValueError(f"{labels_path} must hold labels 0 to 9; found {sorted(set(labels))}.")
    # One pass into float32: (x/255 - mean)/std.
    pixels = torch.from_numpy(images.astype(np.float32)).mul_(1 / (255 * std)).sub_(mean / std)
    return pixels.unsqueeze(1), torch.from_numpy(labels.astype(np.int64))
