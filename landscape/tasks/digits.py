"""Handwritten digits, 8×8 pixels, embedded in scikit-learn (UCI, Alpaydin & Kaynak 1998)."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch

from landscape.tasks.task import Data


def digits() -> Data:
    """1,797 images, scaled to [0, 1], shape (1, 8, 8); every sixth is a test image."""
    *pixels, targets = _columns()
    scaled = np.stack(pixels, axis=1).astype(np.float32) / 16
    images = torch.from_numpy(scaled).reshape(-1, 1, 8, 8)
    labels = torch.from_numpy(targets.astype(np.int64))
    test = torch.arange(len(labels)) % 6 == 5
    return Data(train=(images[~test], labels[~test]), test=(images[test], labels[test]), classes=10)


def _columns() -> np.ndarray:
    """64 pixels and the digit, shape (65, 1797), without importing scikit-learn if need not be."""
    found = find_spec("sklearn")
    file = Path(found.origin or "").parent / "datasets/data/digits.csv.gz" if found else Path()
    if file.is_file():
        return np.loadtxt(file, delimiter=",", unpack=True)
    from sklearn.datasets import load_digits

    pixels, targets = load_digits(return_X_y=True)
    return np.vstack([np.asarray(pixels).T, np.asarray(targets)])
