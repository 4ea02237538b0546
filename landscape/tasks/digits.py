"""Handwritten digits, 8×8 pixels, embedded in scikit-learn (UCI, Alpaydin & Kaynak 1998)."""

from __future__ import annotations

import numpy as np
import torch

from landscape.tasks.task import Data


def digits() -> Data:
    """1,797 images, scaled to [0, 1], shape (1, 8, 8); every sixth is a test image."""
    from sklearn.datasets import load_digits

    pixels, targets = load_digits(return_X_y=True)
    scaled = np.asarray(pixels, np.float32) / 16
    images = torch.from_numpy(scaled).reshape(-1, 1, 8, 8)
    labels = torch.from_numpy(np.asarray(targets, np.int64))
    test = torch.arange(len(labels)) % 6 == 5
    return Data(train=(images[~test], labels[~test]), test=(images[test], labels[test]), classes=10)
