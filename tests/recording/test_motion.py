"""Motion: sums of products over tensors of every size, however many steps come at once."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from landscape.base.layout import Entry, Layout
from landscape.recording.numbers.device_motion import DeviceMotion
from landscape.recording.numbers.motion import Motion, Numbers, last_sums

SIZES = (1, 10, 8191, 8192, 8193, 70_000, 1)
LAYOUT = Layout(
    tuple(Entry(str(i), (size,), sum(SIZES[:i]), "bias") for i, size in enumerate(SIZES))
)


@pytest.fixture
def walk():
    """θ_0, six states after it, and six gradients."""
    random = np.random.default_rng(0)
    steps = random.standard_normal((7, LAYOUT.size), dtype=np.float32)
    return np.cumsum(steps, axis=0), random.standard_normal((6, LAYOUT.size), dtype=np.float32)


def expected(thetas, gradients):
    theta, g = thetas.astype(np.float64), gradients.astype(np.float64)
    u, d = np.diff(theta, axis=0), theta[1:] - theta[0]
    unknown = np.full((1, LAYOUT.size), np.nan)
    products = [
        u * u,
        np.concatenate([unknown, u[1:] * u[:-1]]),
        g * g,
        np.concatenate([unknown, g[1:] * g[:-1]]),
        d * d,
    ]
    parts = [entry.slice for entry in LAYOUT]
    sums = [[product[:, part].sum(axis=1) for part in parts] for product in products]
    return np.moveaxis(np.array(sums), 2, 0)


def scale(thetas, gradients):
    """Σ|a||b| of each product, which rounding errors are measured against."""
    rows = expected(thetas, gradients)
    u, _, g, _, d = np.moveaxis(rows, 1, 0)
    return np.sqrt(np.stack([u * u, u * u + 1, g * g, g * g + 1, d * d], axis=1))


def test_sums_equal_those_in_double_precision(walk):
    thetas, gradients = walk
    found = Motion(LAYOUT, thetas[0], thetas[0]).sums(thetas[1:], gradients)
    true = expected(thetas, gradients)
    # Updates are rounded to float32 (6e-8 of weights up to ten times as long), and so are sums of
    # 8,192 products, by a few 1e-7 at most; sums of them are made in double precision.
    relative = np.abs(found - true) / scale(thetas, gradients)
    assert np.nanmax(relative) < 3e-6
    assert (np.isnan(found) == np.isnan(true)).all()


@pytest.mark.parametrize("cuts", [(1, 2, 3, 4, 5), (2, 5), (3,)])
def test_it_does_not_matter_how_many_steps_come_at_once(walk, cuts):
    thetas, gradients = walk
    whole = Motion(LAYOUT, thetas[0], thetas[0]).sums(thetas[1:], gradients)
    motion = Motion(LAYOUT, thetas[0], thetas[0])
    pieces = [
        motion.sums(*pair)
        for pair in zip(np.split(thetas[1:], cuts), np.split(gradients, cuts), strict=True)
    ]
    np.testing.assert_array_equal(np.concatenate(pieces), whole)
    cut = np.split(thetas[1:], cuts), np.split(gradients, cuts)
    np.testing.assert_array_equal(Motion(LAYOUT, thetas[0], thetas[0]).sums(*cut), whole)
    numbers = Numbers()
    at_once = Numbers().of(whole)
    parts = [numbers.of(piece) for piece in pieces]
    for which in (0, 1):
        for name, values in at_once[which].items():
            np.testing.assert_array_equal(np.concatenate([p[which][name] for p in parts]), values)


def test_a_known_last_update_goes_on_where_it_was(walk):
    thetas, gradients = walk
    whole = Motion(LAYOUT, thetas[0], thetas[0]).sums(thetas[1:], gradients)
    update = thetas[3] - thetas[2]
    rest = Motion(LAYOUT, thetas[0], thetas[3], update).sums(thetas[4:], gradients[3:])
    np.testing.assert_array_equal(rest[:, [0, 1, 2, 4]], whole[3:, [0, 1, 2, 4]])
    assert np.isnan(rest[0, 3]).all()
    np.testing.assert_array_equal(last_sums(LAYOUT, update)[0], whole[2, 0])


GPU = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=GPU)])
def test_the_sums_made_on_a_device_are_the_same(walk, device):
    thetas, gradients = (torch.from_numpy(rows).to(device) for rows in walk)
    motion = DeviceMotion(LAYOUT, thetas[0], thetas[0])
    made = [motion.sums(*pair).cpu() for pair in zip(thetas[1:], gradients, strict=True)]
    found, true = torch.stack(made).numpy(), expected(*walk)
    assert (np.isnan(found) == np.isnan(true)).all()
    assert np.nanmax(np.abs(found - true) / scale(*walk)) < 3e-6
