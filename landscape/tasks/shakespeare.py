"""Tiny Shakespeare: 1,115,394 characters of 65 kinds (Karpathy 2015)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from landscape.tasks.folders import find_data, read_data
from landscape.tasks.task import Data

CHARACTERS, SYMBOLS = 1_115_394, 65
BLOCK = 64


def tiny_shakespeare() -> Data:
    """Blocks of 64 characters and their successors; the first 90 % of the text is for training.

    The blocks do not overlap, so every character is predicted once and the loss over the data set
    is one number. Symbols are numbered in the order of their code points.

    Raises:
        ValueError: If the text is not the whole original.
    """
    path = find_data("tiny-shakespeare", ("input.txt",))["input.txt"]
    text = np.frombuffer(read_data(path), np.uint8)
    symbols, numbers = np.unique(text, return_inverse=True)
    if len(text) != CHARACTERS or len(symbols) != SYMBOLS:
        raise ValueError(
            f"{path} holds {len(text)} characters of {len(symbols)} kinds; expected {CHARACTERS} "
            f"of {SYMBOLS}. Fetch the original file."
        )
    tokens = torch.from_numpy(numbers.astype(np.int64))
    split = CHARACTERS * 9 // 10
    return Data(train=blocks(tokens[:split]), test=blocks(tokens[split:]), classes=SYMBOLS)


def blocks(tokens: Tensor, *, length: int = BLOCK) -> tuple[Tensor, Tensor]:
    """Cut a text into inputs and their successors, both of shape (blocks, length).

    >>> blocks(torch.arange(6), length=2)
    (tensor([[0, 1],
            [2, 3]]), tensor([[1, 2],
            [3, 4]]))
    """
    count = (len(tokens) - 1) // length
    inputs, targets = (tokens[s : s + count * length].view(count, length) for s in (0, 1))
    return inputs, targets
