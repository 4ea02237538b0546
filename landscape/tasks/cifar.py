"""CIFAR-10, binary version: colour images of 32×32 pixels (Krizhevsky 2009)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from landscape.tasks.folders import find_data, read_data
from landscape.tasks.task import Data

FOLDER = "cifar-10-batches-bin"
FILES = ("data_batch_1.bin", "test_batch.bin")
MORE = tuple(f"data_batch_{n}.bin" for n in range(2, 6))
RECORD = 1 + 3 * 32 * 32
MEAN = (125.3 / 255, 123.0 / 255, 113.9 / 255)
STD = (63.0 / 255, 62.1 / 255, 66.7 / 255)


def cifar10() -> Data:
    """50,000 images for training, 10,000 for testing, standardised per channel, (3, 32, 32).

    Batches 2 to 5 of the training images may be absent; their images are then left out. A file
    may hold any whole number of records, so a shortened copy works too.
    """
    paths = find_data(FOLDER, FILES)
    folder = paths[FILES[0]].parent
    more = [p for name in MORE for p in (folder / name, folder / f"{name}.gz") if p.is_file()]
    train = [read_cifar(path) for path in (paths[FILES[0]], *more)]
    images, labels = (torch.cat(parts) for parts in zip(*train, strict=True))
    return Data(train=(images, labels), test=read_cifar(paths[FILES[1]]), classes=10)


def read_cifar(path: Path) -> tuple[Tensor, Tensor]:
    """Images, float32, shape (n, 3, 32, 32), standardised, and labels of one binary file.

    The format: records of one label byte and 3,072 pixel bytes: red, green, blue, each row by row.

    Raises:
        ValueError: If the size is not a whole number of records or a label exceeds 9.
    """
    content = np.frombuffer(read_data(path), np.uint8)
    if not len(content) or len(content) % RECORD:
        raise ValueError(
            f"{path} holds {len(content)} bytes, not a whole number of {RECORD}-byte records "
            "(10,000 records, 30,730,000 bytes, in an original file). Fetch the original file."
        )
    records = content.reshape(-1, RECORD)
    labels = records[:, 0].astype(np.int64)
    if labels.max() > 9:
        raise ValueError(
            f"{path} holds the label {labels.max()}; labels of CIFAR-10 are 0 to 9 (is it the "
            "binary version?)."
        )
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (MEAN, STD))
    pixels = torch.from_numpy(records[:, 1:].astype(np.float32)).view(-1, 3, 32, 32)
    return pixels.mul_(1 / (255 * std)).sub_(mean / std), torch.from_numpy(labels)
