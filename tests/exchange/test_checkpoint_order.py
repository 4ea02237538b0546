"""Checkpoints in the order in which they were taken, whatever people call them."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from landscape.exchange.checkpoints.order import ordered

ORDERS = [  # as they were taken; steps, where the numbers say them
    (["epoch1_step5.pt", "epoch2_step1.pt", "epoch2_step3.pt"], None),  # steps begin anew
    (["e1/epoch=1-step=9.ckpt", "e2/epoch=2-step=18.ckpt"], [9, 18]),
    (["epoch1_batch100.pt", "epoch1_batch200.pt", "epoch2_batch100.pt", "epoch10_batch9.pt"], None),
    (["init.pt", "epoch1_step5.pt", "epoch2_step1.pt", "epoch2_step3.pt", "final.pt"], None),
    (
        ["step=1,000.pt", "step=2,000.pt", "step=2,500.pt", "step=10,000.pt"],
        [1000, 2000, 2500, 10000],
    ),
    (["net-2023-12-31.pt", "net-2024-01-15.pt", "net-2024-02-01.pt"], None),
    (["v1.1.pt", "v1.2.pt", "v1.10.pt", "v2.0.pt"], None),
    (["weights.01-0.35.pt", "weights.02-0.29.pt", "weights.10-0.21.pt"], [1, 2, 10]),
    (["acc0.91_epoch1.pt", "acc0.95_epoch2.pt", "acc0.93_epoch3.pt"], [1, 2, 3]),
]


@pytest.mark.parametrize(("names", "steps"), ORDERS)
def test_the_order_is_found_in_whatever_order_they_are_given(names, steps):
    taken = [Path(name) for name in names]
    steps = steps or list(range(len(names)))
    for seed in range(5):
        given = random.Random(seed).sample(taken, len(taken))
        assert ordered(given) == (taken, steps)
