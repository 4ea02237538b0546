"""CUDA graphs give the plain strategy's numbers, or say why they cannot be used."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from test_objective_restoration import NAMES, assert_unchanged, built, state_of

import landscape as ls
from landscape.objective.strategies.graphed import graphed
from landscape.objective.strategies.sequential import sequential
from landscape.objective.strategies.work import UnsuitableError


def restriction_of(name, *, loss=None, device="cpu"):
    model, own, data = built(name)
    objective = ls.Objective(model.to(device), loss or own, data, batch_size=4, device=device)
    axes = np.random.default_rng(0).normal(size=(2, objective.layout.size))
    return objective.restrict(objective.parameters(), 0.1 * axes)


def test_a_processor_is_refused():
    restriction = restriction_of("mlp")
    with (
        restriction.lent() as work,
        pytest.raises(UnsuitableError, match="need a CUDA device"),
        graphed(work),
    ):
        pass


gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.mark.gpu
@gpu
@pytest.mark.parametrize("name", NAMES)
def test_it_agrees_with_the_plain_strategy(name):
    restriction = restriction_of(name, device="cuda")
    model = restriction.problem.model
    before = state_of(model)
    points = np.random.default_rng(1).normal(size=(9, 2))
    with restriction.lent() as work:
        batches = restriction.problem.data.batches(4)
        with sequential(work) as measure:
            wanted = measure(points, batches)
        try:
            with graphed(work) as measure:
                found = torch.cat([measure(points[:4], batches), measure(points[4:], batches)], 1)
        except UnsuitableError as problem:
            assert name == "gpt"  # its loss makes a number on the processor
            assert "cannot be captured" in str(problem)  # noqa: PT017 - both are right
            return
    torch.testing.assert_close(found, wanted, rtol=1e-6, atol=1e-8, equal_nan=True)
    assert_unchanged(model, before)


@pytest.mark.gpu
@gpu
def test_a_loss_that_looks_at_numbers_is_refused():
    def looking(model, batch):
        each = model(batch[0]).square().mean(dim=1)
        return each / max(1.0, each.max().item())

    restriction = restriction_of("mlp", loss=looking, device="cuda")
    with (
        restriction.lent() as work,
        graphed(work) as measure,
        pytest.raises(UnsuitableError, match="cannot be captured"),
    ):
        measure(np.zeros((1, 2)), restriction.problem.data.batches(4))
