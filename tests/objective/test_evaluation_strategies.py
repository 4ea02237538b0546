"""Every strategy gives the numbers of the plain one in double precision, or says why it cannot."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from test_objective_restoration import assert_unchanged, built, state_of, unsettled
from torch import nn

import landscape as ls
from landscape.objective.strategies.choice import STRATEGIES, Choice
from landscape.objective.strategies.cpu_functions import Shortcuts


def classify(model, batch):
    return F.cross_entropy(model(batch[0]), batch[1], reduction="none")


def error(model, batch):
    return (model(batch[0]).argmax(-1) != batch[1]).float()


class Residual(nn.Module):
    """Convolutions with batch norm after them and before them, a skip, a grouped layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(2, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8))
        self.second = nn.Conv2d(8, 8, 3, padding=1, groups=2)
        self.norm = nn.BatchNorm2d(8, affine=False)
        self.before = nn.BatchNorm2d(8)  # follows a sum: cannot be folded
        self.hidden = nn.Linear(8, 6)
        self.hidden_norm = nn.BatchNorm1d(6)
        self.head = nn.Linear(6, 3)

    def forward(self, x):
        x = self.first(x).relu()
        x = self.before(self.norm(self.second(x)) + x).relu()
        return self.head(self.hidden_norm(self.hidden(x.mean((2, 3)))).relu())


def residual():
    torch.manual_seed(0)
    model = Residual()
    images = torch.randn(41, 2, 6, 6)
    for _ in range(20):
        model(images)
    return model, classify, (images, torch.arange(41) % 3)


def mlp():
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Flatten(), nn.Linear(12, 16), nn.ReLU(), nn.Dropout(), nn.Linear(16, 16, bias=False),
        nn.Tanh(), nn.Linear(16, 5),
    )  # fmt: skip
    return net, classify, (torch.randn(41, 3, 4), torch.arange(41) % 5)


def lenet():
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(1, 4, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 6, 3), nn.ReLU(),
        nn.MaxPool2d(2), nn.Flatten(), nn.Linear(54, 10), nn.ReLU(inplace=True), nn.Linear(10, 5),
    )  # fmt: skip
    return net, classify, (torch.randn(41, 1, 16, 17), torch.arange(41) % 5)


WORKS = {"mlp": mlp, "lenet": lenet, "residual": residual, "gpt": lambda: built("gpt"),
         "dropout": lambda: built("mlp with dropout"),
         "regression": lambda: built("regression")}  # fmt: skip
SUITED = {
    "sequential": set(WORKS),
    "channels last": {"residual", "lenet"},
    "folded": {"residual"},
    "fused": set(WORKS),
    "shared": {"lenet"},
    "linear": {"mlp", "dropout"},
    "onednn": set(WORKS),
    "stacked": {"mlp", "residual", "dropout", "lenet"},
    "compiled": {"mlp", "residual", "dropout"},
    "graphed": set(),  # needs a GPU
    "streamed": set(WORKS),
}


def measured(work, directions=2, points=13, **options):
    model, loss, data = work
    metrics = {"error": error} if loss is classify else {}
    objective = ls.Objective(model, loss, data, metrics=metrics, **options)
    rng = np.random.default_rng(0)
    restriction = objective.restrict(
        objective.parameters(), 0.05 * rng.normal(size=(directions, objective.layout.size))
    )
    return restriction(rng.normal(size=(points, directions))), objective


@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("name", WORKS)
def test_agrees_with_double_precision(name, strategy, directions):
    if name not in SUITED[strategy]:
        if strategy not in ("stacked", "compiled"):  # what torch can run is its own business
            with pytest.raises(ValueError, match="cannot be used here"):
                measured(WORKS[name](), strategy=strategy)
        return
    reference, _ = measured(WORKS[name](), directions, precision="double", batch_size=64)
    precision = None if strategy == "streamed" else "single"  # in its own type
    found, objective = measured(
        WORKS[name](), directions, strategy=strategy, batch_size=16, precision=precision
    )
    assert objective.choice.strategy == strategy
    np.testing.assert_allclose(found.mean[0], reference.mean[0], rtol=1e-5)
    np.testing.assert_allclose(found.mean[1:], reference.mean[1:], atol=1.1 / 41)  # ties
    assert found.mean[0].std() > 0


@pytest.mark.parametrize("strategy", [None, *STRATEGIES])
@pytest.mark.parametrize("name", ["batch norm", "mlp with dropout", "pooling"])
def test_leaves_the_model_as_it_was(name, strategy, monkeypatch):
    monkeypatch.setattr("landscape.objective.tuning._WORTH_CHOOSING", 0.0)
    model, loss, data = unsettled(name)
    model.requires_grad_(True)
    before = state_of(model)
    objective = ls.Objective(model, loss, data, strategy=strategy)
    origin = objective.parameters()
    restriction = objective.restrict(origin, np.stack([np.sin(origin), np.cos(origin)]))
    try:
        restriction(np.random.default_rng(0).normal(size=(70, 2)))
    except ValueError as problem:
        assert "cannot be used here" in str(problem)  # noqa: PT017 - both are right
    assert_unchanged(model, before)


QUICK = [s for s in STRATEGIES if s not in ("compiled", "graphed")]


@pytest.mark.parametrize("strategy", QUICK)
def test_the_order_of_points_changes_nothing(strategy):
    name = {"channels last": "residual", "folded": "residual", "shared": "lenet"}
    work = WORKS[name.get(strategy, "mlp")]()
    model, loss, data = work
    objective = ls.Objective(model, loss, data, strategy=strategy, batch_size=16)
    origin, rng = objective.parameters(), np.random.default_rng(0)
    restriction = objective.restrict(origin, 0.05 * rng.normal(size=(2, len(origin))))
    points, order = rng.normal(size=(13, 2)), rng.permutation(13)
    whole = restriction(points).mean
    np.testing.assert_allclose(restriction(points[order]).mean, whole[:, order], rtol=1e-6)


@pytest.mark.parametrize("strategy", QUICK)
@pytest.mark.parametrize("when", [2, 5, 9])
def test_leaves_the_model_as_it_was_when_the_loss_raises(strategy, when):
    name = {"channels last": "batch norm", "folded": "batch norm", "shared": "pooling"}
    name = name.get(strategy, "mlp with dropout")
    model, loss, data = unsettled(name)
    model.requires_grad_(True)
    before, calls = state_of(model), itertools.count(1)  # nobody can put a count back

    def failing(model, batch):
        if next(calls) >= when:
            raise ZeroDivisionError
        return loss(model, batch)

    objective = ls.Objective(model, failing, data)
    chunk = 4 if strategy in ("linear", "shared", "stacked") else 1
    objective.tuning.use(Choice(strategy, 8, chunk))
    origin = objective.parameters()
    restriction = objective.restrict(origin, np.stack([np.sin(origin), np.cos(origin)]))
    with pytest.raises(ZeroDivisionError):
        restriction(np.random.default_rng(0).normal(size=(70, 2)))
    assert_unchanged(model, before)


def test_a_choice_is_made_once_and_told(monkeypatch):
    monkeypatch.setattr("landscape.objective.tuning._WORTH_CHOOSING", 0.0)
    model, loss, data = mlp()
    objective = ls.Objective(model, loss, data)
    plane = ls.random_plane(objective.parameters(), objective.layout)
    surface = ls.loss_surface(objective, plane, resolution=9)
    told = surface.provenance["evaluation"]
    assert told["strategy"] in STRATEGIES
    sizes = ("strategy", "batch_size", "chunk", "threads")
    assert ", ".join(str(told[name]) for name in sizes) in told["tried"]
    assert told["seconds_per_point"] > 0
    assert any(name.startswith("sequential") for name in told["tried"])
    assert objective.choice is not None
    chosen = objective.choice
    ls.loss_surface(objective, plane, resolution=9)
    assert objective.choice is chosen


def test_little_work_is_not_worth_a_choice(monkeypatch):
    monkeypatch.setattr("landscape.objective.tuning._WORTH_CHOOSING", 1e6)  # on any machine
    model, loss, data = mlp()
    objective = ls.Objective(model, loss, data)
    plane = ls.random_plane(objective.parameters(), objective.layout)
    surfaces = [ls.loss_surface(objective, plane, resolution=5) for _ in range(2)]
    assert objective.choice is None
    np.testing.assert_array_equal(surfaces[0].values, surfaces[1].values)


def test_a_strategy_with_other_numbers_is_refused():
    class Coupled(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(4, 3)

        def forward(self, x):
            x = self.linear(x)
            return x - x.mean(0)  # samples are not independent

    data = (torch.randn(20, 4), torch.arange(20) % 3)
    objective = ls.Objective(Coupled(), classify, data, strategy="linear", batch_size=20)
    restriction = objective.restrict(objective.parameters(), np.eye(15)[:2])
    with pytest.raises(ValueError, match="numbers differ"):
        restriction(np.random.default_rng(0).normal(size=(9, 2)))


def test_unknown_strategies_are_refused():
    model, loss, data = mlp()
    with pytest.raises(ValueError, match="strategy must be one of sequential"):
        ls.Objective(model, loss, data, strategy="fast")


class Rereads(nn.Module):
    """Reads what its first layer made again after the rectifier."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(4, 6), nn.Linear(6, 3)

    def forward(self, x):
        made = self.first(x)
        return self.second(made.relu() + made)


@pytest.mark.parametrize("strategy", ["linear", "onednn"])
def test_a_net_that_reads_twice_is_measured_rightly_or_refused(strategy):
    torch.manual_seed(0)
    data = (torch.randn(20, 4), torch.arange(20) % 3)
    work = (Rereads(), classify, data)
    reference, _ = measured(work, precision="double", batch_size=20)
    try:
        found, _ = measured(work, strategy=strategy, batch_size=20)
    except ValueError as problem:
        assert "numbers differ" in str(problem)  # noqa: PT017 - both are right
    else:
        np.testing.assert_allclose(found.mean, reference.mean, rtol=1e-5)


def test_a_layer_with_a_forward_of_its_own_keeps_it(monkeypatch):
    monkeypatch.setattr("landscape.objective.tuning._WORTH_CHOOSING", 0.0)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    tripled = model[0]
    tripled.forward = lambda x: 3 * nn.functional.linear(x, tripled.weight, tripled.bias)
    data = (torch.randn(20, 4), torch.arange(20) % 3)
    objective = ls.Objective(model, classify, data)
    wanted = objective.at(objective.parameters()).mean[0, 0]
    size = objective.layout.size
    restriction = objective.restrict(objective.parameters(), np.eye(size)[:2])
    found = restriction(np.zeros((600, 2))).mean[0]
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
    assert "forward" in tripled.__dict__


def test_metrics_may_give_the_net_other_inputs():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    data = (torch.randn(40, 4), torch.arange(40) % 3)

    def moved(model, batch):
        return classify(model, (batch[0] + 0.02, batch[1]))

    found = []
    for strategy in ("sequential", "linear"):
        objective = ls.Objective(
            model, classify, data, metrics={"moved": moved}, strategy=strategy, batch_size=10
        )
        restriction = objective.restrict(objective.parameters(), np.eye(objective.layout.size)[:2])
        found.append(restriction(np.random.default_rng(0).normal(size=(70, 2))).mean)
    np.testing.assert_allclose(found[1], found[0], rtol=1e-5)


def test_buffers_that_move_are_measured_by_the_plain_strategy(monkeypatch):
    monkeypatch.setattr("landscape.objective.tuning._WORTH_CHOOSING", 0.0)
    model, loss, data = residual()
    objective = ls.Objective(model, loss, data)
    objective.tuning.use(Choice("stacked", 16, 4))
    origin, size = objective.parameters(), objective.buffers_layout.size
    restriction = objective.restrict(
        origin,
        np.eye(len(origin))[:1],
        buffers=np.full(size, 0.1),
        buffer_directions=np.full((1, size), 0.1),
    )
    found = restriction(np.array([[0.0], [0.5]])).mean[0]
    assert np.isfinite(found).all()
    assert found[0] != found[1]


def test_cross_entropy_over_few_classes_is_the_same():
    logits, target = 30 * torch.randn(50, 7), torch.arange(50) % 7
    logits[3, 2], logits[4, 1], logits[5, 0] = torch.inf, -torch.inf, torch.nan
    ignored = target.clone()
    ignored[::3] = -100
    with Shortcuts(lambda _: False), torch.profiler.profile() as seen:
        F.cross_entropy(logits, target, reduction="none")
    assert "aten::gather" in {event.key for event in seen.key_averages()}
    for t in (target, ignored):
        for options in ({}, {"reduction": "none"}, {"reduction": "sum"}, {"label_smoothing": 0.1}):
            wanted = F.cross_entropy(logits, t, **options)
            with Shortcuts(lambda _: False):
                found = F.cross_entropy(logits, t, **options)
            torch.testing.assert_close(found, wanted, equal_nan=True, rtol=1e-6, atol=1e-6)


def test_metrics_share_one_forward_pass():
    model, loss, data = mlp()
    calls = []
    model.register_forward_hook(lambda *_: calls.append("hook"))
    model[1].register_forward_hook(lambda *_: calls.append("layer"))
    objective = ls.Objective(model, loss, data, metrics={"error": error})
    objective.at(objective.parameters())  # with a look at the loss before the first number
    calls.clear()
    objective.at(objective.parameters())
    assert calls == ["layer", "hook", "hook"]
