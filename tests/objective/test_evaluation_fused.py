"""Layers joined with what follows, and a shared first layer: right on odd nets, or refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import landscape as ls
from landscape.objective.strategies.cpu_functions import Shortcuts
from landscape.objective.strategies.deferred import Deferred


class Odd(nn.Module):
    """Two convolutions of ten by eleven images; what is between them is given."""

    def __init__(self, between, pool=None) -> None:
        super().__init__()
        self.a = nn.Conv2d(2, 4, 3, padding=1)
        self.b = nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.between = between
        self.pool = pool or nn.MaxPool2d(2)
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        return self.head(self.pool(self.between(self, x)).mean((2, 3)))


def plain(net, x):
    return net.b(net.a(x).relu()).relu()


def reads_before_and_after(net, x):
    made = net.a(x)
    return torch.relu(made) + made + net.b(made.relu()) * made.sigmoid()


def adds_in_place(net, x):
    made = net.a(x)
    out = F.relu(made, inplace=True)
    out = net.b(out)
    out += made
    return F.relu(out, inplace=True)


def adds_and_reads_the_parts(net, x):
    a = net.a(x)
    b = net.b(a)
    total = b + a
    b.mul_(2)
    return total.relu() + b.tanh() + a + (total + total) + (1.0 + total) + torch.add(b, a, alpha=2)


def adds_another_shape(net, x):
    made = net.b(net.a(x).tanh())
    return F.gelu(made + made.mean(0, keepdim=True), approximate="tanh") + made.T.T


def twice_the_same(net, x):
    return net.b(net.b(net.a(x).relu()).relu()).relu()


def views_and_numbers(net, x):
    made = net.b(
        net.a(x).view(x.shape[0], 4, -1)[:, :, : x.shape[2] * x.shape[3]].view(-1, 4, 10, 11)
    )
    if float(made.detach().numpy().sum()) > 1e9 or len(made) != made.shape[0]:
        return made
    return made.clone(memory_format=torch.contiguous_format).view(made.shape[0], 4, 10, 11)


def weights_read_elsewhere(net, x):
    return net.b(net.a(x).relu()) * net.b.weight.norm() + net.a.weight.mean()


def first_sees_weights(net, x):
    return net.b(net.a(x * net.b.weight.norm()).relu())


def writes_over_what_a_layer_read(net, x):
    hidden = net.a(x).relu()
    made = net.b(hidden)
    hidden.zero_()
    return made.relu() + hidden


def kept_until_the_next_pass(net, x):
    before, net.before = getattr(net, "before", None), net.a(x)
    if before is not None and before.shape == net.before.shape:
        return net.b(net.before.relu()) + 0 * before
    return net.b(net.before.relu())


NETS = [
    plain, reads_before_and_after, adds_in_place, adds_and_reads_the_parts, adds_another_shape,
    twice_the_same, views_and_numbers, weights_read_elsewhere, first_sees_weights,
    writes_over_what_a_layer_read, kept_until_the_next_pass,
]  # fmt: skip
MAY_REFUSE = {
    weights_read_elsewhere, first_sees_weights, writes_over_what_a_layer_read,
    kept_until_the_next_pass,
}  # fmt: skip


def cross_entropy(model, batch):
    return F.cross_entropy(model(batch[0]), batch[1], reduction="none")


def measured(net, images, **options):
    data = images, torch.arange(len(images)) % 3
    objective = ls.Objective(net, cross_entropy, data, batch_size=8, **options)
    rng, origin = np.random.default_rng(0), objective.parameters()
    restriction = objective.restrict(origin, 0.3 * rng.normal(size=(2, len(origin))))
    return restriction(rng.normal(size=(11, 2))).mean[0]


def measured_or_refused(net, images, strategy):
    try:
        return measured(net, images, strategy=strategy)
    except ValueError as refused:
        if "cannot be used here" not in str(refused):
            raise
        return None


@pytest.fixture
def images():
    torch.manual_seed(0)
    return torch.randn(19, 2, 10, 11)


@pytest.mark.parametrize("strategy", ["fused", "shared"])
@pytest.mark.parametrize("between", NETS, ids=lambda net: net.__name__)
def test_right_on_odd_nets_or_refused(between, strategy, images):
    net = Odd(between)
    wanted = measured(net, images, precision="double")
    net.__dict__.pop("before", None)
    found = measured_or_refused(net, images, strategy)
    if found is None:
        assert between in MAY_REFUSE
        return
    np.testing.assert_allclose(found, wanted, rtol=2e-5)
    assert wanted.std() > 1e-3


@pytest.mark.parametrize("strategy", ["fused", "shared"])
@pytest.mark.parametrize(
    "change",
    [
        lambda net: net.b.register_forward_hook(lambda m, given, made: made.abs()),
        lambda net: net.b.register_forward_pre_hook(lambda m, given: (given[0] * 2,)),
        lambda net: net.a.requires_grad_(False),
        lambda net: net.b.weight.requires_grad_(False),
        lambda net: setattr(net, "b", nn.Conv2d(4, 4, 3, padding="same", padding_mode="circular")),
        lambda net: setattr(net, "b", nn.Conv2d(4, 4, 3, 1, 2, 2, groups=4)),
        lambda net: setattr(net, "b", nn.ConvTranspose2d(4, 4, 3, padding=1)),
        lambda net: nn.utils.parametrizations.weight_norm(net.b),
        lambda net: setattr(net.b, "weight", net.a.weight) or setattr(net.b, "in_channels", 2),
        lambda net: setattr(net, "head", nn.Sequential(nn.Dropout(), nn.Linear(4, 3))),
        lambda net: net.double(),
    ],
    ids=[
        "hook", "hook before", "frozen", "frozen weight", "circular", "dilated", "transposed",
        "weight norm", "shared weight", "dropout", "double",
    ],
)  # fmt: skip
def test_right_or_refused_with_other_layers(change, strategy, images):
    net = Odd(plain)
    change(net)
    if net.b.weight is net.a.weight:
        net.between = lambda net, x: net.b(net.a(x)[:, :2]).relu()
    images = images.to(net.a.weight.dtype)
    wanted = measured(net, images, precision="double")
    found = measured_or_refused(net, images, strategy)
    if found is not None:
        np.testing.assert_allclose(found, wanted, rtol=2e-5)


@pytest.mark.parametrize(
    "options",
    [
        {"kernel_size": 2},
        {"kernel_size": (3, 2)},
        {"kernel_size": 2, "stride": 1},
        {"kernel_size": 3, "stride": 2, "padding": 1},
        {"kernel_size": 2, "dilation": 2},
        {"kernel_size": 4, "ceil_mode": True},
        {"kernel_size": (2, 1), "stride": (2, 1)},
        {"kernel_size": 2, "return_indices": True},
    ],
)
@pytest.mark.parametrize("last", [False, True])
def test_maxima_of_neighbours_are_max_pooling(options, last, images):
    images[0, 0, 3, 3], images[1, 1, 0, 0] = np.nan, np.inf
    if last:
        images = images.contiguous(memory_format=torch.channels_last)
    wanted = F.max_pool2d(images, **options)
    with torch.no_grad(), Shortcuts(lambda made: False):
        found = F.max_pool2d(images, **options)
        module = nn.MaxPool2d(**options)(images)
    for one in (found, module):
        torch.testing.assert_close(one, wanted, rtol=0, atol=0, equal_nan=True)


def test_nothing_is_read_before_it_is_computed(images):
    made = []
    net = Odd(plain)
    net.b.register_forward_hook(lambda module, given, output: made.append(output))
    wanted = measured(net, images, precision="double")
    np.testing.assert_allclose(measured(net, images, strategy="fused"), wanted, rtol=2e-5)
    deferred = [one for one in made if isinstance(one, Deferred)]
    assert deferred
    with pytest.raises(ValueError, match="another point"):
        deferred[0].sum()
