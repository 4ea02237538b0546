"""What is permuted, repaired or averaged is checked: against the loss, and on shared layers."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import prune

import landscape as ls
from landscape.analysis.connectivity.permutations import Group, Permutable, Place, check_function
from landscape.analysis.connectivity.symmetries import own_buffers, permutable_of

X = torch.randn(40, 5, generator=torch.Generator().manual_seed(0))


def layers() -> nn.Sequential:
    return nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 2))


def squares(model: nn.Module, batch: Any) -> Tensor:
    return model(batch[0]).square().mean(dim=1)


@pytest.mark.parametrize(
    "looks",
    [
        lambda m, b: squares(m, b) + m[0](b[0])[:, 0],
        lambda m, b: squares(m, b) + m[0].weight[0].abs().sum(),
    ],
    ids=["a hidden unit", "a row of weights"],
)
def test_a_loss_that_looks_at_single_units_is_not_aligned(looks: Any) -> None:
    objective = ls.Objective(layers(), looks, (X,))
    a = objective.parameters()
    with pytest.raises(ValueError, match="the loss looks at hidden units or single weights"):
        ls.align(objective, a, -a)


@pytest.mark.parametrize(
    "loss",
    [
        lambda m, b: squares(m, b) + sum(p.square().sum() for p in m.parameters()),
        lambda m, b: squares(m, (b[0] + torch.randn_like(b[0]),)),
        lambda m, b: (m(b[0]) - m(b[0].flip(0))).square().mean(1),
    ],
    ids=["weight decay", "draws", "two calls"],
)
def test_a_loss_that_permutations_leave_as_it_is_may_be_aligned(loss: Any) -> None:
    objective = ls.Objective(layers(), loss, (X,))
    a = objective.parameters()
    assert ls.align(objective, a, -a).group


def test_what_a_loss_draws_from_its_own_generator_is_not_used_up() -> None:
    generator = torch.Generator().manual_seed(3)
    before = generator.get_state()

    def loss(model: nn.Module, batch: Any) -> Tensor:
        return squares(model, (batch[0] + torch.randn(batch[0].shape, generator=generator),))

    objective = ls.Objective(layers(), loss, (X,))
    a = objective.parameters()
    ls.align(objective, a, -a, method="activations")
    assert torch.equal(generator.get_state(), before)


@pytest.mark.parametrize("units", [2, 3])
def test_small_groups_and_constant_weights_are_really_moved(units: int) -> None:
    for seed in range(10):
        model = nn.Sequential(nn.Linear(3, units), nn.ReLU(), nn.Linear(units, 2))
        nn.init.constant_(model[0].weight, 0.3)  # pyright: ignore[reportArgumentType]
        nn.init.constant_(model[2].weight, 0.2)  # pyright: ignore[reportArgumentType]
        places = (Place("0.weight", 0), Place("2.weight", 1))  # and not the bias
        wrong = Permutable((Group("wrong", units, places),))
        with pytest.raises(ValueError, match="no symmetries"):
            check_function(model, wrong, ((3 * torch.randn(64, 3),), {}), seed=seed)


def test_a_class_is_not_known_by_its_name_alone() -> None:
    class GPT(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = nn.Linear(5, 8), nn.Linear(8, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.two(F.relu(self.one(x)))

    found, _ = permutable_of(ls.Objective(GPT(), squares, (X,)))
    assert [group.units for group in found.groups] == [8]


class Shared(nn.Module):
    """A layer that is called twice between two others."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.inner, self.last = nn.Linear(5, 8), nn.Linear(8, 8), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.first(x))
        for _ in range(2):
            x = F.relu(self.inner(x))
        return self.last(x)


def tied() -> nn.Sequential:
    model = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8))
    model[4].weight = model[2].weight
    return nn.Sequential(*model, nn.ReLU(), nn.Linear(8, 2))


@pytest.mark.parametrize("build", [Shared, tied])
@pytest.mark.parametrize("method", ["weights", "activations"])
def test_layers_that_share_weights_keep_their_function_and_are_not_repaired(
    build: Any, method: Any
) -> None:
    torch.manual_seed(0)
    objective = ls.Objective(build(), squares, (X,))
    a = objective.parameters().copy()
    b = np.random.default_rng(0).normal(0, 0.3, a.size).astype(np.float32)
    found = ls.align(objective, a, b, method=method)
    np.testing.assert_allclose(
        objective.at(found.vector).mean, objective.at(b).mean, rtol=1e-5, atol=1e-7
    )
    moved = np.asarray(ls.repair(objective, a, b, np.array([0.5]))[0]) - (a + b) / 2
    names = {e.name for e in objective.layout if np.abs(moved[e.slice]).max() > 1e-6}
    assert names == {e.name for e in list(objective.layout)[:2]}  # the first layer's alone


def test_repair_sees_samples_from_all_over_the_data() -> None:
    x = torch.cat([X.repeat(80, 1) - 5, X.repeat(80, 1) + 5])  # in order, 6,400 samples
    torch.manual_seed(0)
    objective = ls.Objective(layers(), squares, (x,))
    a = objective.parameters().copy()
    b = np.random.default_rng(0).normal(0, 0.3, a.size).astype(np.float32)
    middle = ls.repair(objective, a, b, np.array([0.5]))[0]

    def deviation(vector: np.ndarray) -> np.ndarray:
        return (x.numpy() @ vector[:40].reshape(8, 5).T).std(axis=0)

    np.testing.assert_allclose(deviation(middle), (deviation(a) + deviation(b)) / 2, rtol=0.02)


def normed() -> tuple[ls.Objective, list[np.ndarray], list[np.ndarray]]:
    """A net with batch norm, the weights of two trained ones, and their statistics."""
    found = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        model = nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))
        for _ in range(20):
            model.train()(X * torch.rand(5) * 3 + 1)
        found.append(ls.Objective(copy.deepcopy(model).eval(), squares, (X,)))
    vectors = [objective.parameters().copy() for objective in found]
    return found[0], vectors, [own_buffers(objective) for objective in found]


def test_statistics_follow_the_units_of_vectors_that_bring_none() -> None:
    objective, vectors, buffers = normed()
    with pytest.warns(UserWarning, match="statistics of the objective's model for all networks"):
        found = ls.barriers(objective, vectors, resolution=401, align="weights")
    loss = found.values[0, 0]
    assert abs(loss[-1] - loss[-2]) < 0.02 * np.ptp(loss)  # the line ends at the second network
    own = ls.barriers(objective, vectors, buffers=buffers, resolution=3, align="weights")
    assert own.settings["buffers"] == "recorded, interpolated"
    with pytest.raises(ValueError, match="known of 2, but those of the others are"):
        ls.barriers(objective, vectors, buffers=[buffers[0], None], resolution=3)  # pyright: ignore


def test_statistics_of_another_network_are_warned_of() -> None:
    objective, vectors, _ = normed()
    for call in (
        lambda: ls.barriers(objective, vectors, resolution=3),
        lambda: ls.greedy_soup(objective, vectors),
        lambda: ls.loss_line(objective, ls.line_between(*vectors), resolution=3),
    ):
        with pytest.warns(UserWarning, match="recalibrated"):
            call()


def test_runs_around_other_frozen_weights_are_refused(tmp_path: Any) -> None:
    runs = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        model = layers()
        model[0].requires_grad_(False)
        optimizer = torch.optim.SGD(model[2].parameters(), lr=0.1)
        with ls.Recorder(tmp_path / f"{seed}.h5", model, optimizer, run={"name": f"seed {seed}"}):
            squares(model, (X,)).mean().backward()
            optimizer.step()
        runs.append(ls.Trajectory(tmp_path / f"{seed}.h5"))
    with pytest.raises(ValueError, match=r"0\.weight was not trained in 'seed 0'"):
        ls.barriers(ls.Objective(model, squares, (X,)), runs, resolution=3)


def test_a_barrier_of_what_should_be_large_is_warned_of() -> None:
    def accuracy(model: nn.Module, batch: Any) -> Tensor:
        return (model(batch[0])[:, 0] > 0).float()

    objective = ls.Objective(layers(), squares, (X,), metrics={"accuracy": accuracy})
    a = objective.parameters()
    with pytest.warns(UserWarning, match="measure an error in its place"):
        ls.barriers(objective, [a, -a], resolution=3)


def test_averages_of_different_models_or_endless_weights_are_refused() -> None:
    with pytest.raises(ValueError, match="of different models"):
        ls.average([np.zeros(1), np.ones(5)])
    for weights in ([np.inf, 1.0], [np.nan, 1.0], [[1.0, 2.0]]):
        with pytest.raises(ValueError, match="one weight each"):
            ls.average([np.ones(3), np.ones(3)], weights)  # pyright: ignore[reportArgumentType]


def test_networks_are_vectors_or_tensors_of_this_model(tmp_path: Any) -> None:
    model = layers()
    objective = ls.Objective(model, squares, (X,))
    a = objective.parameters().copy()
    assert ls.align(objective, torch.tensor(a), a).before == pytest.approx(1)  # pyright: ignore
    assert ls.find_curve(objective, torch.tensor(a), a, steps=1).kind == "bezier"  # pyright: ignore
    run = ls.Trajectory(ls.record_run(ls.Run("digits/mlp-4", "adam", steps=1), tmp_path / "run.h5"))
    given = [(model, "flat weights"), (run, r"run\.final"), (a[:-3], "another model")]
    for network, said in given:
        for call in (
            lambda n=network: ls.align(objective, a, n),
            lambda n=network: ls.align_many(objective, [a, n]),
            lambda n=network: ls.find_curve(objective, a, n, steps=1),
            lambda n=network: ls.repair(objective, a, n, np.array([0.5])),
            lambda n=network: ls.greedy_soup(objective, [a, n]),
        ):
            with pytest.raises(ValueError, match=said):
                call()
    for call in (
        lambda: ls.average([run, run]),
        lambda: ls.line_between(run, run),
        lambda: ls.plane_through(a, run, run),
    ):
        with pytest.raises(ValueError, match=r"give its last state, run\.final"):
            call()


def test_arguments_by_name_and_computed_weights_are_followed() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two, self.three = nn.Linear(5, 8), nn.Linear(8, 6), nn.Linear(6, 2)

        def forward(self, x: Tensor, scale: float = 1.0) -> Tensor:
            return self.three(F.relu(self.two(F.relu(self.one(x))))) * scale

    model = Scaled()
    prune.l1_unstructured(model.two, "weight", amount=0.5)
    objective = ls.Objective(model, lambda m, b: m(scale=2.0, x=b[0]).square().mean(1), (X,))
    found, _ = permutable_of(objective)
    assert not found.groups  # the mask of the pruned layer has its own order
    prune.remove(model.two, "weight")
    found, _ = permutable_of(objective := ls.Objective(model, objective.metrics["loss"], (X,)))
    assert sorted(group.units for group in found.groups) == [6, 8]


def test_compiled_models_are_refused_in_one_line() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        scripted = torch.jit.script(layers())
    for compiled in (torch.compile(layers(), backend="eager"), scripted):
        objective = ls.Objective(compiled, squares, (X,))
        a = objective.parameters()
        with pytest.raises(ValueError, match="give the Objective the model that was compiled"):
            ls.align(objective, a, -a)
