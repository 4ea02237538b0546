"""Threads that share the batches of a point."""

import threading

import numpy as np
import pytest
import torch
from test_evaluation_strategies import SUITED, WORKS, classify, error
from torch import nn

import landscape as ls
from landscape.objective.strategies import search
from landscape.objective.strategies.choice import SHARED, Choice


def measured(work, **how):
    model, loss, data = work
    metrics = {"error": error} if loss is classify else {}
    objective = ls.Objective(model, loss, data, metrics=metrics, precision="single")
    objective.tuning.use(Choice(**how))
    rng = np.random.default_rng(0)
    restriction = objective.restrict(
        objective.parameters(), 0.05 * rng.normal(size=(2, objective.layout.size))
    )
    return restriction(rng.normal(size=(7, 2)))


@pytest.mark.parametrize(("strategy", "name"), [(s, n) for s in SHARED for n in sorted(SUITED[s])])
@pytest.mark.parametrize("threads", [2, 3])
def test_threads_change_nothing_but_rounding(strategy, name, threads):
    how = {"strategy": strategy, "batch_size": 5, "chunk": 4 if strategy == "linear" else 1}
    whole, before = torch.get_num_threads(), threading.active_count()
    alone = measured(WORKS[name](), **how)
    found = measured(WORKS[name](), **how, threads=threads)
    again = measured(WORKS[name](), **how, threads=threads)
    np.testing.assert_allclose(found.mean, alone.mean, rtol=1e-6)
    np.testing.assert_array_equal(found.mean, again.mean)
    np.testing.assert_allclose(found.standard_error, alone.standard_error, rtol=1e-5)
    assert torch.get_num_threads() == whole
    assert threading.active_count() == before


class Keeps(nn.Module):
    """Keeps what it made for later, as some attention layers do."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 3)
        self.seen = None

    def forward(self, x):
        self.seen = self.linear(x)
        return self.seen


class Counts(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 3)
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, x):
        self.calls += 1
        return self.linear(x)


class Lists(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear, self.seen = nn.Linear(4, 3), [0]

    def forward(self, x):
        self.seen[0] = self.linear(x)
        return self.seen[0]


class Scratch(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear, self.room = nn.Linear(4, 3), torch.zeros(64, 3)

    def forward(self, x):
        self.room[: len(x)] = self.linear(x).detach()
        return self.room[: len(x)] + 0


@pytest.mark.parametrize("net", [Keeps, Counts, Lists, Scratch])
def test_a_model_that_keeps_something_of_a_pass_is_refused(net):
    data = (torch.randn(20, 4), torch.arange(20) % 3)
    with pytest.raises(ValueError, match=r"keeps something of every pass|changes tensors"):
        measured((net(), classify, data), strategy="sequential", batch_size=5, threads=2)


def test_a_model_with_hooks_is_refused():
    data = (torch.randn(20, 4), torch.arange(20) % 3)
    net = nn.Linear(4, 3)
    net.register_forward_hook(lambda module, given, output: None)
    with pytest.raises(ValueError, match="hooks"):
        measured((net, classify, data), strategy="sequential", batch_size=5, threads=2)


def test_an_exception_in_a_thread_reaches_the_caller():
    main = threading.main_thread()

    def loss(model, batch):
        value = classify(model, batch)
        if threading.current_thread() is not main:
            raise ZeroDivisionError("in a thread")
        return value

    data = (torch.randn(20, 4), torch.arange(20) % 3)
    whole, before = torch.get_num_threads(), threading.active_count()
    with pytest.raises(ZeroDivisionError, match="in a thread"):
        measured((nn.Linear(4, 3), loss, data), strategy="sequential", batch_size=5, threads=2)
    assert torch.get_num_threads() == whole
    assert threading.active_count() == before


def test_threads_are_tried_where_there_are_cores(monkeypatch):
    monkeypatch.setattr("landscape.objective.tuning._WORTH_CHOOSING", 0.0)
    monkeypatch.setattr(search, "_SHARE", 1e3)
    whole = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        model, loss, data = WORKS["mlp"]()
        objective = ls.Objective(model, loss, data, strategy="linear")
        plane = ls.random_plane(objective.parameters(), objective.layout)
        ls.loss_surface(objective, plane, resolution=9)
        assert objective.choice is not None
        assert any(name.endswith(", 2") for name in objective.choice.tried)
    finally:
        torch.set_num_threads(whole)
