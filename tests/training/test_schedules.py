"""Schedules: closed forms, torch's own as twins, errors."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from torch.optim.lr_scheduler import (
    ConstantLR,
    CosineAnnealingLR,
    LinearLR,
    MultiStepLR,
    SequentialLR,
)

from landscape.optim.registry import build
from landscape.training.schedules import NAMES, build_schedule, ramped_batch


def rates(make, *, steps=20, optimizer="sgd", key="lr", lr=0.5):
    """The learning rate (or `key`) of every update."""
    w = torch.nn.Parameter(torch.ones(2, 2))
    opt = build(optimizer, [w], lr=lr)
    scheduler = make(opt)
    seen = []
    for _ in range(steps):
        seen.append(opt.param_groups[0][key])
        w.grad = torch.zeros_like(w)
        opt.step()
        scheduler.step()
    return seen


def ours(name, **options):
    return rates(lambda o: build_schedule(name, o, steps=20, options=options))


def test_trapezoid_is_torchs_three_schedulers_in_a_row():
    def twin(o):
        parts = [
            LinearLR(o, 1 / 4, 1.0, total_iters=3),
            ConstantLR(o, 1.0, total_iters=1),
            LinearLR(o, 1.0, 1 / 5, total_iters=4),
        ]
        return SequentialLR(o, parts, milestones=[4, 15])

    assert ours("trapezoid", warmup=4, decay=0.25) == pytest.approx(rates(twin), rel=1e-12)


def test_cosine_is_torchs():
    twin = rates(lambda o: CosineAnnealingLR(o, 20, eta_min=0.05))
    assert ours("cosine", final=0.1) == pytest.approx(twin, rel=1e-12)
    with_warmup = ours("cosine", warmup=0.25)
    assert with_warmup[:6] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.5])
    assert with_warmup[-1] == pytest.approx(0.25 * (1 + math.cos(math.pi * 14 / 15)))


def test_step_decay_is_torchs():
    twin = rates(lambda o: MultiStepLR(o, [5, 15], gamma=0.2))
    assert ours("step", milestones=(0.25, 15), gamma=0.2) == pytest.approx(twin, rel=1e-12)


def test_range_test_rises_by_a_constant_ratio_to_the_full_rate():
    found = ours("range", start=1e-3)
    assert found[0] == pytest.approx(0.5e-3)
    assert found[-1] == pytest.approx(0.5)
    ratios = [b / a for a, b in pairwise(found)]
    assert ratios == pytest.approx([1e3 ** (1 / 19)] * 19)


def test_constant_and_warmup():
    assert ours("constant") == [0.5] * 20
    assert ours("warmup", warmup=2) == [0.25] + [0.5] * 19


def test_one_cycle_moves_momentum_against_the_rate():
    def make(o):
        return build_schedule("one-cycle", o, steps=20)

    lr, momentum = (rates(make, optimizer="momentum", key=key) for key in ("lr", "momentum"))
    assert max(lr) == pytest.approx(0.5)
    assert lr.index(max(lr)) == momentum.index(min(momentum)) == 5
    assert (max(momentum), min(momentum)) == pytest.approx((0.95, 0.85))
    assert lr[-1] < lr[0] < 0.05


@pytest.mark.parametrize("optimizer", ["sgd", "adagrad", "adam", "lookahead", "muon", "lbfgs"])
@pytest.mark.parametrize("name", NAMES)
def test_every_schedule_reaches_every_kind_of_optimizer(name, optimizer):
    w = torch.nn.Parameter(torch.ones(2, 2))
    opt = build(optimizer, [w, torch.nn.Parameter(torch.ones(2))], lr=0.5)
    scheduler = build_schedule(name, opt, steps=20)
    inner = opt.inner[0] if hasattr(opt, "inner") else opt
    seen = set()
    for _ in range(20):
        opt.zero_grad()
        w.grad = torch.zeros_like(w)
        seen.add(inner.param_groups[0]["lr"])
        opt.step(lambda: torch.zeros(()))
        scheduler.step()
    assert (len(seen) > 1) == (name != "constant")
    if optimizer == "sgd":
        assert opt.param_groups[0]["momentum"] == 0


def test_batch_ramp_doubles_in_equal_parts():
    sizes = [ramped_batch(t, steps=100, start=64, end=512) for t in range(100)]
    assert sizes == [64] * 25 + [128] * 25 + [256] * 25 + [512] * 25
    assert {ramped_batch(t, steps=9, start=64, end=64) for t in range(9)} == {64}


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("linear", {}, "schedule must be one of constant"),
        ("cosine", {"decay": 0.1}, "takes no option decay; allowed: warmup, final"),
        ("one-cycle", {"max_lr": 0.1}, "takes no option max_lr"),
        ("trapezoid", {"warmup": 15, "decay": 10}, "together take 25 of 20"),
        ("warmup", {"warmup": 30}, "up to 20; got 30"),
        ("warmup", {"warmup": -0.1}, "warmup must be"),
        ("range", {"start": 0.0}, "start must be"),
    ],
)
def test_errors(name, options, expected):
    optimizer = build("sgd", [torch.nn.Parameter(torch.ones(2))])
    with pytest.raises(ValueError, match=expected):
        build_schedule(name, optimizer, steps=20, options=options)
