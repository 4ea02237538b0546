"""Out of memory: fewer points at once, then smaller batches; the numbers stay the same."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import landscape as ls
from landscape.objective.strategies import memory
from landscape.objective.strategies.choice import STRATEGIES, Choice

ERRORS = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB"),
    RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried to allocate"),
    MemoryError(),
]


def classify(model, batch):
    return F.cross_entropy(model(batch[0]), batch[1], reduction="none")


def objective_of(choice, *, loss=classify, **options):
    torch.manual_seed(0)
    data = (torch.randn(20, 2), torch.arange(20) % 3)
    objective = ls.Objective(nn.Linear(2, 3), loss, data, **options)
    objective.tuning.use(choice)
    return objective


def surface(objective):
    plane = ls.random_plane(objective.parameters(), objective.layout)
    return ls.loss_surface(objective, plane, resolution=(7, 5))


@pytest.fixture
def wanted():
    return surface(objective_of(Choice("linear", 20, 16)))


def narrow(monkeypatch, strategy, most, problem):
    """Let a strategy fail with more than `most` points; returns how many it was asked for."""
    real, asked = STRATEGIES[strategy], []

    @contextlib.contextmanager
    def narrowed(work):
        with real(work) as measure:

            def narrow_measure(coordinates, batches):
                asked.append(len(coordinates))
                if len(coordinates) > most:
                    raise problem
                return measure(coordinates, batches)

            yield narrow_measure

    monkeypatch.setitem(STRATEGIES, strategy, narrowed)
    return asked


@pytest.mark.parametrize("problem", ERRORS, ids=lambda e: type(e).__name__)
def test_a_chunk_is_halved_until_it_fits(monkeypatch, wanted, problem):
    asked = narrow(monkeypatch, "linear", 5, problem)
    objective = objective_of(Choice("linear", 20, 16))
    found = surface(objective)
    assert asked == [16, 8] + [4] * 8 + [3]
    np.testing.assert_allclose(found.values, wanted.values, rtol=1e-6)
    told = found.provenance["evaluation"]
    assert told["chunk"] == 4
    assert told["memory"] == "4 of 16 points at once, batches of 20 of 20: more did not fit"
    asked.clear()
    surface(objective)  # it is remembered
    assert max(asked) == 4
    assert "memory" not in wanted.provenance["evaluation"]


def greedy(model, batch):
    if len(batch[0]) > 5:
        raise ERRORS[1]
    return classify(model, batch)


@pytest.mark.parametrize("choice", [Choice("sequential", 20), None])
@pytest.mark.parametrize("options", [{}, {"batch_size": 20}, {"strategy": "sequential"}])
def test_batches_are_halved_when_looking_choosing_and_measuring(wanted, choice, options):
    objective = objective_of(choice, loss=greedy, **options)
    found = surface(objective)
    np.testing.assert_allclose(found.values, wanted.values, rtol=1e-6)
    told = found.provenance["evaluation"]
    assert told["batch_size"] == 5
    assert told["memory"].startswith("1 of 1 points at once, batches of 5 of")


@pytest.mark.parametrize("problem", ERRORS, ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("strategy", ["sequential", "linear"])
def test_what_does_not_fit_when_tried_is_not_chosen(monkeypatch, wanted, strategy, problem):
    monkeypatch.setattr("landscape.objective.tuning._WORTH_CHOOSING", 0)
    most = 5 if strategy == "linear" else 0
    narrow(monkeypatch, strategy, most, problem)
    objective = objective_of(None)
    if strategy == "sequential":
        with pytest.raises(type(problem)):  # nothing is smaller than one sample
            surface(objective)
        return
    np.testing.assert_allclose(surface(objective).values, wanted.values, rtol=1e-6)
    assert objective.choice.strategy != "linear"


def test_a_single_point_fits_too(wanted):
    objective = objective_of(None, loss=greedy)
    found = objective.at(objective.parameters())
    assert found.shrunk == objective.evaluation["memory"] != ""
    np.testing.assert_allclose(found.mean[0, 0], wanted.loss[2, 3], rtol=1e-6)


def test_what_never_fits_is_raised_and_so_is_every_other_error(monkeypatch):
    narrow(monkeypatch, "linear", 0, ERRORS[2])
    objective = objective_of(Choice("linear", 20, 16))
    with pytest.raises(MemoryError):
        surface(objective)
    asked = narrow(monkeypatch, "sequential", 0, RuntimeError("shapes do not match"))
    with pytest.raises(RuntimeError, match="shapes"):
        surface(objective_of(Choice("sequential", 20)))
    assert asked == [1]


def test_batches_of_a_batch_norm_policy_are_never_changed():
    def greedy(model, batch):
        raise MemoryError

    objective = objective_of(None, loss=greedy, batch_norm="batch", batch_size=10)
    with pytest.raises(MemoryError):
        objective.at(objective.parameters())


def test_an_error_is_known_by_its_cause():
    wrapped = ValueError("torch.func cannot run it")
    wrapped.__cause__ = ERRORS[1]
    assert memory.out_of_memory(wrapped)
    assert not memory.out_of_memory(ValueError("not enough memory of what was said"))
    assert not memory.out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))


def test_points_that_fit_are_counted_from_what_is_free(monkeypatch):
    objective = objective_of(Choice("linear", 10, 16))
    restriction = objective.restrict(objective.parameters(), np.eye(9)[:2])
    # Nine parameters of four bytes, three times; two numbers in and three out for each of ten
    # samples, twice: 108 + 400 bytes a point, of half of what is free.
    monkeypatch.setattr(memory, "free_bytes", lambda device: 2 * 508 * 6 + 100)
    with restriction.lent() as work:
        assert memory.points_that_fit(work, 10) == 6
    asked = narrow(monkeypatch, "linear", 99, MemoryError())
    restriction(np.random.default_rng(0).normal(size=(16, 2)))
    assert asked == [6, 6, 4]
    monkeypatch.setattr(memory, "free_bytes", lambda device: 0)
    with restriction.lent() as work:
        assert memory.points_that_fit(work, 10) == 1


def test_what_is_free_on_this_machine_is_less_than_everything():
    free = memory.free_bytes(torch.device("cpu"))
    assert free is None or 2**20 < free < 2**50
