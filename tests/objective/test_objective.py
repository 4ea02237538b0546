"""The objective against closed forms: means, metrics, forms of data and loss, clear errors."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

import landscape as ls


class Vector(nn.Module):
    """A model that is nothing but its parameters."""

    def __init__(self, size: int, dtype: torch.dtype = torch.float64) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.zeros(size, dtype=dtype))

    def forward(self) -> torch.Tensor:
        return self.theta


def squared(model, batch):
    x, y = batch
    return (model(x).squeeze(-1) - y).square()


@pytest.fixture
def regression():
    """A linear model with 7 samples; its loss has a closed form."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(7, 3, generator=generator, dtype=torch.float64)
    y = torch.randn(7, generator=generator, dtype=torch.float64)
    return nn.Linear(3, 1).double(), (x, y)


def exact(data, theta):
    x, y = (t.numpy() for t in data)
    return (x @ theta[:3] + theta[3] - y) ** 2


@pytest.mark.parametrize("form", ["each", "mean", "pair"])
@pytest.mark.parametrize("batch_size", [None, 1, 3, 7, 100])
def test_means_weigh_samples_whatever_the_batches(regression, form, batch_size):
    model, data = regression
    losses = {
        "each": squared,
        "mean": lambda m, b: squared(m, b).mean(),
        "pair": lambda m, b: (squared(m, b).sum(), torch.tensor(len(b[0]))),
    }
    objective = ls.Objective(model, losses[form], data, precision="double", batch_size=batch_size)
    theta = np.array([0.3, -1.0, 2.0, 0.5])
    # Seven double-precision terms: rounding is a few times 2⁻⁵³.
    np.testing.assert_allclose(
        objective.at(theta).mean[0, 0], exact(data, theta).mean(), rtol=1e-14
    )


def test_token_means_weigh_tokens():
    losses = torch.tensor([[1.0, 2.0, 0.0], [5.0, 0.0, 0.0], [3.0, 4.0, 5.0]])
    mask = torch.tensor([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0], [1.0, 1.0, 1.0]])

    def loss(model, batch):
        return (batch["loss"] * batch["mask"]).sum() + 0 * model().sum(), batch["mask"].sum()

    for batch_size in (1, 2, 3):
        objective = ls.Objective(
            Vector(1), loss, {"loss": losses, "mask": mask}, batch_size=batch_size
        )
        assert objective.at(np.zeros(1)).mean[0, 0] == 20 / 6  # not the mean of batch means


def test_every_form_of_data_gives_the_same_number(regression):
    model, (x, y) = regression
    theta = np.array([0.3, -1.0, 2.0, 0.5])

    class Pair(NamedTuple):
        x: torch.Tensor
        y: torch.Tensor

    class Stream(IterableDataset):
        def __iter__(self):
            return iter(zip(x, y, strict=True))

    def keyed(model, batch):
        return squared(model, (batch["x"], batch["y"]))

    forms = [
        ((x, y), squared),
        (Pair(x, y), squared),
        ({"x": x, "y": y, "name": "kept as it is"}, keyed),
        (TensorDataset(x, y), squared),
        (DataLoader(TensorDataset(x, y), batch_size=3), squared),
        (DataLoader(Stream(), batch_size=2), squared),
        ([(x[:5], y[:5]), (x[5:], y[5:])], squared),
        ([Pair(x[:5], y[:5]), Pair(x[5:], y[5:])], squared),
        (((x.numpy(), y.numpy())), squared),
    ]
    for data, loss in forms:
        objective = ls.Objective(model, loss, data, precision="double")
        np.testing.assert_allclose(
            objective.at(theta).mean[0, 0], exact((x, y), theta).mean(), rtol=1e-14
        )


class Opaque:
    """A batch that nobody but the loss can look into."""

    value = 1.0


def test_batches_that_cannot_be_joined_stay_as_given():
    batches = [(torch.ones(2, 5), torch.zeros(2)), (torch.ones(1, 9), torch.zeros(1))]
    model = Vector(1)

    def loss(model, batch):
        return batch[0].sum(1) * model()

    assert ls.Objective(model, loss, batches).at(np.ones(1)).mean[0, 0] == (5 + 5 + 9) / 3
    several = [
        ls.Objective(model, loss, batches, samples=2, seed=s).at(np.ones(1)) for s in range(9)
    ]
    means = [found.mean.item() for found in several]
    assert set(means) == {5.0, 7.0}  # of 5 and 5, of 5 and 9
    with pytest.raises(ValueError, match="samples="):
        ls.Objective(
            model, lambda model, batch: model() + batch.value, [Opaque(), Opaque()], samples=1
        )


def test_several_inputs_several_metrics_in_one_pass(regression):
    model, (x, y) = regression
    calls = []

    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = model

        def forward(self, a, b):
            calls.append(len(a))
            return self.inner(a + b).squeeze(-1)

    def loss(model, batch):
        (a, b), y = batch
        return (model(a, b) - y).square()

    objective = ls.Objective(
        Two(),
        loss,
        ((x / 2, x / 2), y),
        metrics={"largest input": lambda model, batch: batch[0][0].abs().amax(dim=1)},
        precision="double",
    )
    objective.at(np.zeros(4))  # the first number comes after a look at the loss
    calls.clear()
    found = objective.at(np.array([0.3, -1.0, 2.0, 0.5]))
    assert found.metrics == ("loss", "largest input")
    np.testing.assert_allclose(
        found.mean[:, 0],
        [exact((x, y), np.array([0.3, -1, 2, 0.5])).mean(), x.abs().amax(1).mean() / 2],
        rtol=1e-14,
    )
    assert calls == [7]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_nan_and_infinities_are_kept_and_differ_from_not_computed(value):
    def loss(model, batch):
        return torch.where(model()[0] > 0, torch.full_like(batch[0], value), batch[0])

    objective = ls.Objective(Vector(1), loss, (torch.full((3,), 2.0),))
    restriction = objective.restrict(np.zeros(1), np.ones((1, 1)))
    found = restriction(np.array([[-1.0], [1.0], [-2.0]]))
    np.testing.assert_array_equal(found.mean[0], [2.0, value, 2.0])
    assert found.computed.all()


def test_standard_error_of_a_subset(regression):
    model, (x, y) = regression
    theta = np.array([0.3, -1.0, 2.0, 0.5])
    found = ls.Objective(model, squared, (x, y), precision="double", samples=4, seed=3).at(theta)
    chosen = np.sort(np.random.default_rng(3).permutation(7)[:4])
    losses = exact((x, y), theta)[chosen]
    np.testing.assert_allclose(found.mean[0, 0], losses.mean(), rtol=1e-14)
    wanted = losses.std(ddof=1) / 2 * np.sqrt(1 - 4 / 7)
    # The variance is a difference of squares: a few more roundings.
    np.testing.assert_allclose(found.standard_error[0, 0], wanted, rtol=1e-12)
    whole = ls.Objective(model, squared, (x, y)).at(theta)
    assert whole.standard_error[0, 0] == 0


def test_dropout_is_off_and_frozen_parameters_are_not_moved():
    model = nn.Sequential(nn.Linear(2, 8), nn.Dropout(0.9), nn.Linear(8, 1))
    model[0].requires_grad_(False)
    model.train()
    data = (torch.randn(6, 2), torch.randn(6))
    objective = ls.Objective(model, squared, data)
    assert objective.layout.size == 9
    model.eval()
    with torch.no_grad():
        wanted = squared(model, data).double().mean().item()
    model.train()
    # Float32 sums of eight products in another order.
    np.testing.assert_allclose(objective.at(objective.parameters()).mean[0, 0], wanted, rtol=1e-6)


def test_tied_parameters_count_once_and_move_together():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(5, 3)
            self.head = nn.Linear(3, 5, bias=False)
            self.head.weight = self.embedding.weight

        def forward(self, tokens):
            return self.head(self.embedding(tokens))

    tokens = torch.arange(5)
    objective = ls.Objective(
        Tied(), lambda m, b: F.cross_entropy(m(b[0]), b[0], reduction="none"), (tokens,)
    )
    assert objective.layout.size == 15
    weight = torch.randn(5, 3)
    wanted = F.cross_entropy(weight @ weight.T, tokens).item()
    found = objective.at(weight.reshape(-1).numpy()).mean[0, 0]
    np.testing.assert_allclose(found, wanted, rtol=1e-6)


def test_own_buffers_are_used_unless_others_are_given():
    model = nn.Sequential(nn.BatchNorm1d(1, affine=True))
    model[0].running_mean.fill_(3.0)
    model[0].running_var.fill_(4.0)
    objective = ls.Objective(
        model, lambda m, b: m(b[0]).squeeze(1), (torch.ones(2, 1),), precision="double"
    )
    theta = objective.parameters()
    eps = model[0].eps
    found = objective.at(theta).mean[0, 0]
    np.testing.assert_allclose(found, (1 - 3) / np.sqrt(4 + eps), rtol=1e-15)
    found = objective.at(theta, buffers=np.array([0.0, 1.0])).mean[0, 0]
    np.testing.assert_allclose(found, 1 / np.sqrt(1 + eps), rtol=1e-15)
    with pytest.raises(ValueError, match="2 buffer values"):
        objective.at(theta, buffers=np.zeros(3))


def test_a_buffer_written_in_forward_does_not_leak_to_the_next_point():
    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.theta = nn.Parameter(torch.zeros(1))
            self.register_buffer("calls", torch.zeros(1))

        def forward(self, x):
            self.calls += 1
            return x * self.theta + self.calls

    objective = ls.Objective(Counting(), lambda m, b: m(b), torch.zeros(4), batch_size=4)
    restriction = objective.restrict(np.zeros(1), np.ones((1, 1)))
    np.testing.assert_array_equal(restriction(np.zeros((3, 1))).mean[0], [1, 1, 1])


def test_order_of_points_changes_nothing(regression):
    model, data = regression
    objective = ls.Objective(model, squared, data)
    rng = np.random.default_rng(0)
    restriction = objective.restrict(np.zeros(4), rng.normal(size=(2, 4)))
    points = rng.normal(size=(30, 2))
    order = rng.permutation(30)
    np.testing.assert_array_equal(
        restriction(points).mean[:, order], restriction(points[order]).mean
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"loss": nn.MSELoss()}, r"loss\(model, batch\)"),
        ({"data": []}, "no batch"),
        ({"data": (torch.zeros(0, 3), torch.zeros(0))}, "empty"),
        ({"data": (torch.tensor(1.0),)}, "sample dimension"),
        ({"data": 3}, "iterable of batches"),
        ({"data": DataLoader(TensorDataset(torch.zeros(0, 3)))}, "no batch"),
        ({"precision": "half"}, "single, double"),
        ({"batch_norm": "train"}, "frozen, recal"),
        ({"batch_size": 0}, "at least 1"),
        ({"samples": 0}, "at least 1"),
    ],
)
def test_bad_arguments_are_refused(regression, arguments, message):
    model, data = regression
    given = {"loss": squared, "data": data, **arguments}
    loss, data = given.pop("loss"), given.pop("data")
    with pytest.raises(ValueError, match=message):
        ls.Objective(model, loss, data, **given)


def test_no_trainable_parameter_is_refused(regression):
    model, data = regression
    model.requires_grad_(False)
    with pytest.raises(ValueError, match="requires_grad"):
        ls.Objective(model, squared, data)


@pytest.mark.parametrize(
    "loss",
    [
        lambda m, b: squared(m, b)[:2],
        lambda m, b: squared(m, b)[:, None] * torch.ones(2),
        lambda m, b: None,
        lambda m, b: (squared(m, b).sum(), 7, 1),
    ],
)
def test_a_loss_of_the_wrong_form_is_refused(regression, loss):
    model, data = regression
    with pytest.raises(ValueError, match="'loss' returned"):
        ls.Objective(model, loss, data).at(np.zeros(4))


def test_vectors_of_another_model_are_refused(regression):
    objective = ls.Objective(regression[0], squared, regression[1])
    with pytest.raises(ValueError, match="4 trainable parameters"):
        objective.at(np.zeros(5))
    with pytest.raises(ValueError, match="another model"):
        objective.restrict(np.zeros(4), np.zeros((2, 5)))
    with pytest.raises(ValueError, match="coordinates"):
        objective.restrict(np.zeros(4), np.zeros((2, 4)))(np.zeros((1, 3)))


class Noisy(nn.Linear):
    def forward(self, x):
        return F.dropout(super().forward(x))  # active in evaluation mode too


def shifted(model, batch):
    batch[0].add_(1)
    return squared(model, batch)


def ranked(model, batch):
    return squared(model, batch) / len(batch[0])


@pytest.mark.parametrize(
    ("model", "loss", "message"),
    [
        (Noisy(3, 1), squared, "random is active"),
        (nn.Linear(3, 1), shifted, "in place"),
        (nn.Linear(3, 1), ranked, "put into batches"),
    ],
)
def test_what_does_not_repeat_is_refused_with_the_reason(regression, model, loss, message):
    objective = ls.Objective(model.double(), loss, regression[1])
    with pytest.raises(ValueError, match=message):
        objective.restrict(np.ones(4), np.eye(4)[:1])(np.zeros((2, 1)))


def test_a_loss_tied_to_its_batches_works_at_a_fixed_size(regression):
    model, data = regression
    objective = ls.Objective(model, ranked, data, batch_size=7, precision="double")
    theta = np.array([0.3, -1.0, 2.0, 0.5])
    found = objective.restrict(theta, np.eye(4)[:1])(np.zeros((2, 1))).mean[0]
    np.testing.assert_allclose(found, exact(data, theta).mean() / 7, rtol=1e-14)


def test_weight_decay_is_its_own_metric(regression):
    model, data = regression
    objective = ls.Objective(model, squared, data, precision="double", weight_decay=0.3)
    origin, directions = np.array([0.3, -1.0, 2.0, 0.5]), np.arange(8.0).reshape(2, 4)
    points = np.array([[0.0, 0.0], [1.0, -2.0]])
    found = objective.restrict(origin, directions)(points)
    assert found.metrics == objective.names == ("loss", "weight decay", "loss + weight decay")
    theta = origin + points @ directions
    wanted = 0.15 * (theta**2).sum(axis=1)
    np.testing.assert_allclose(found.mean[1], wanted, rtol=1e-13)
    np.testing.assert_allclose(found.mean[2], found.mean[0] + wanted, rtol=1e-13)


def test_bfloat16_tells_its_error(regression):
    model, data = regression
    found = {
        precision: ls.Objective(model.float(), squared, data, precision=precision)
        .restrict(np.ones(4), np.eye(4)[:2])(np.linspace(-1, 1, 10).reshape(5, 2))
        for precision in ("single", "bfloat16")
    }  # fmt: skip
    error = np.abs(found["bfloat16"].mean - found["single"].mean).max(axis=1)
    np.testing.assert_allclose(found["bfloat16"].observed_error, error, rtol=1e-6)
    assert 0 < error[0] < 0.1
    assert found["single"].observed_error is None


def normalized():
    """A batch norm alone: y = (x - μ) / √(σ² + ε) · γ + β."""
    model = nn.BatchNorm1d(1)
    model.running_mean.fill_(3.0)
    model.running_var.fill_(4.0)
    return model.double()


def through(model, batch):
    return model(batch[0] * 1.0).squeeze(1).square()


def test_interpolated_statistics_move_with_the_coordinates():
    model, x = normalized(), torch.linspace(-1, 2, 9, dtype=torch.float64)[:, None]
    objective = ls.Objective(model, through, (x,), precision="double")
    start, end = np.array([0.0, 1.0]), np.array([2.0, 5.0])
    restriction = objective.restrict(
        np.array([1.0, 0.0]), np.zeros((1, 2)), buffers=start, buffer_directions=(end - start)[None]
    )
    t = np.array([0.0, 0.25, 1.0])
    wanted = [
        np.mean((x.numpy() - (2 * a)) ** 2 / (1 + 4 * a + model.eps)) for a in t
    ]  # fmt: skip
    np.testing.assert_allclose(restriction(t[:, None]).mean[0], wanted, rtol=1e-14)
    alone = objective.restrict(  # no direction: the coordinate moves buffers only
        np.array([1.0, 0.0]), np.zeros((0, 2)), buffers=start, buffer_directions=(end - start)[None]
    )
    np.testing.assert_array_equal(alone(t[:, None]).mean, restriction(t[:, None]).mean)
    for wrong in (np.zeros((1, 3)), np.zeros((0, 2)), np.zeros(2)):
        with pytest.raises(ValueError, match="buffer_directions"):
            objective.restrict(np.zeros(2), np.zeros((1, 2)), buffer_directions=wrong)


def test_some_samples_are_those_of_a_smaller_data_set():
    model, x = normalized(), torch.linspace(-1, 2, 9, dtype=torch.float64)[:, None]
    some, points = np.array([0, 3, 4, 8]), np.linspace(-1, 1, 5)[:, None]
    line = np.array([1.0, 0.5]), np.array([[0.3, -1.0]])
    found = ls.Objective(model, through, (x,), weight_decay=0.1).restrict(*line)(points, some)
    wanted = ls.Objective(model, through, (x[some],), weight_decay=0.1).restrict(*line)(points)
    np.testing.assert_array_equal(found.mean, wanted.mean)
    assert (found.standard_error[0] > 0).all()  # an estimate over all nine


def test_recalibrated_statistics_are_those_of_the_data_at_the_point():
    scale = nn.Linear(1, 1, bias=False).double()
    model = nn.Sequential(scale, normalized())
    x = torch.linspace(-1, 2, 9, dtype=torch.float64)[:, None]
    objective = ls.Objective(
        model, through, (x,), precision="double", batch_norm="recalibrated", batch_size=9
    )
    origin, directions = np.array([0.0, 1.0, 0.0]), np.array([[1.0, 0.0, 0.0]])
    w = np.array([0.5, 1.0, 3.0])
    found = objective.restrict(origin, directions)(w[:, None]).mean[0]
    y = w[:, None] * x.numpy()[:, 0]
    variance = y.var(axis=1, ddof=1)  # running variances are unbiased
    wanted = ((y - y.mean(axis=1, keepdims=True)) ** 2).mean(axis=1) / (variance + model[1].eps)
    np.testing.assert_allclose(found, wanted, rtol=1e-13)
    assert objective.settings["batch_norm"] == "recalibrated"
    assert model[1].running_mean.item() == 3.0


class KeepsItsWeight(nn.Linear):
    """Computes its effective weight once, and keeps it while it is not trained."""

    def __init__(self):
        super().__init__(3, 1)
        self.held = None

    def forward(self, x):
        if self.training or self.held is None:
            self.held = self.weight * 2
        return nn.functional.linear(x, self.held, self.bias)


def test_weights_that_a_layer_no_longer_reads_are_refused():
    model, x = KeepsItsWeight().eval(), torch.randn(8, 3)
    objective = ls.Objective(model, lambda m, b: m(b[0]).square().mean(dim=1), (x,))
    objective.at(objective.parameters())  # nothing is kept yet
    with torch.no_grad():
        model(x)
    objective = ls.Objective(model, lambda m, b: m(b[0]).square().mean(dim=1), (x,))
    with pytest.raises(ValueError, match=r"\(first: weight\) would change nothing.*Empty held"):
        objective.at(objective.parameters())
