"""What is large is held, read and chosen once: planes, states, ways of evaluating."""

from __future__ import annotations

import gc
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from synthetic import bowl, random_walk, write_run
from torch import nn

import landscape as ls

SIZE = 1237  # parameters, a number that no other tensor here has


class Wide(nn.Module):
    """A linear map from so many numbers to one."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(-1, 1, SIZE)[None])


def held(shape):
    found = [o for o in gc.get_objects() if issubclass(type(o), torch.Tensor)]
    return sum(tensor.shape == shape for tensor in found)


@pytest.fixture
def only_new():
    """What was there before is not looked through."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.parametrize("more", [{}, {"tolerance": 0.05}, {"budget": 70.0}])
def test_a_plane_is_held_once_however_it_is_measured(only_new, more):
    most = []

    def loss(model, batch):
        most.append(held((2, SIZE)))
        return (batch[0] @ model.weight[0, :3]).square()

    torch.manual_seed(0)
    objective = ls.Objective(
        Wide(), loss, (torch.randn(600, 3),), strategy="sequential", batch_size=300
    )
    plane = ls.random_plane(objective.parameters(), objective.layout, normalization="none")
    ls.loss_surface(objective, plane, resolution=9, **more)
    assert max(most) == 1


@pytest.mark.parametrize("more", [{}, {"tolerance": 0.05}])
def test_a_walk_reads_each_state_once(tmp_path, more):
    run, read = write_run(tmp_path / "run.h5", random_walk(9, 8, seed=0)), Counter()

    class Counted(ls.Trajectory):
        def state(self, index):
            read[index] += 1
            return super().state(index)

    ls.walk(bowl(np.ones(8)), Counted(run.path), **more)
    assert read == Counter(range(10))


def test_a_subset_goes_on_with_what_is_known():
    objective = bowl(np.ones(8))
    objective.tuning.use(None)
    part = objective.subset(2, seed=1)
    assert part.data.size == 2
    assert part.tuning is not objective.tuning
    assert part.settings["samples"] == 2
    assert part.settings["population"] == 3


def test_threads_measure_one_after_the_other_and_are_told_so():
    model, calls = nn.Linear(2, 1, bias=False), []

    def loss(model, batch):
        calls.append(1)
        return model(batch[0]).square().squeeze(1)

    objective = ls.Objective(model, loss, (torch.randn(64, 2),), batch_size=1)
    origin = objective.parameters()
    points = np.linspace(-1, 1, 40)[:, None]
    wanted = objective.restrict(origin, np.eye(2)[:1])(points).mean

    def measure(number):
        while True:
            try:
                return objective.restrict(origin, np.eye(2)[:1])(points).mean
            except RuntimeError as problem:
                if "being measured already" not in str(problem):
                    raise
                time.sleep(0.001)  # else this thread takes the other one's turns

    with ThreadPoolExecutor(2) as pool:
        for found in pool.map(measure, range(6)):
            np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(objective.parameters(), origin)
