"""Histograms of gradients: counted exactly, recorded at every step, read back and drawn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from synthetic import random_walk, write_run

import landscape as ls
from landscape.recording.numbers.histogram import count_magnitudes, count_on_device, fetch_counts

EDGES = 2.0 ** np.arange(-47, 16)


def awkward() -> np.ndarray:
    """Sizes over all the bins, exact powers of two, and what is no number."""
    generator = np.random.default_rng(0)
    spread = generator.choice([-1, 1], 300_000) * 2.0 ** generator.uniform(-60, 25, 300_000)
    special = [0, -0.0, 1e-45, np.inf, -np.inf, np.nan, *EDGES, *-EDGES]
    return np.concatenate([spread, special]).astype(np.float32)


def by_comparison(values: np.ndarray) -> np.ndarray:
    """The twin: sorted into the bins by comparing with their edges."""
    sizes = np.abs(values.astype(np.float64))
    return np.bincount(np.searchsorted(EDGES, sizes, side="right"), minlength=64)


def test_counts_are_those_of_comparisons():
    values = awkward()
    values[np.isnan(values)] = np.inf  # NaN compares with nothing
    (counts,) = count_magnitudes(values[None])
    np.testing.assert_array_equal(counts, by_comparison(values))
    assert counts.sum() == values.size


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_a_device_counts_the_same(device):
    values = awkward()
    found = fetch_counts(count_on_device(torch.from_numpy(values).to(device)))
    np.testing.assert_array_equal(found, count_magnitudes(values[None])[0])


@pytest.fixture
def recorded(tmp_path):
    """A recorded run, and the gradients that its steps started from."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(5, 40), torch.nn.ReLU(), torch.nn.Linear(40, 3))
    inputs, targets = torch.randn(8, 5), torch.randn(8, 3)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    gradients = []
    with ls.Recorder(tmp_path / "run.h5", model, optimizer, every=3, gradient_histogram=True):
        for _ in range(7):
            optimizer.zero_grad()
            (model(inputs) - targets).square().mean().backward()
            gradients.append(torch.cat([p.grad.flatten() for p in model.parameters()]).numpy())
            optimizer.step()
    return ls.Trajectory(tmp_path / "run.h5"), np.array(gradients), model, optimizer


def test_every_step_is_counted_though_few_states_are_kept(recorded):
    run, gradients, *_ = recorded
    found = ls.gradient_histogram(run)
    assert found.step.tolist() == [1, 2, 3, 4, 5, 6, 7]
    np.testing.assert_array_equal(found.edge, EDGES)
    np.testing.assert_array_equal(found.count, [by_comparison(g) for g in gradients])
    np.testing.assert_allclose(found.share.sum(axis=1), 1)
    assert found.count[-1, 0] > 0  # units of the ReLU that are off
    # The quantiles of the entries themselves lie in the same factor of two.
    medians = np.quantile(np.abs(gradients), 0.8, axis=1)
    assert np.abs(np.log2(found.quantiles([0.8])[0] / medians)).max() < 1


def test_resumed_with_the_same_setting_only(recorded):
    run, _, model, optimizer = recorded
    run.close()
    with pytest.raises(ValueError, match="gradient_histogram=True"):
        ls.Recorder(run.path, model, optimizer, every=3, resume=True).start()
    options = {"every": 3, "resume": True, "gradient_histogram": True}
    with ls.Recorder(run.path, model, optimizer, **options):
        optimizer.step()
    assert ls.gradient_histogram(ls.Trajectory(run.path)).count.shape == (8, 64)


def test_needs_the_gradients(tmp_path):
    model = torch.nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(ValueError, match="motion=True"):
        ls.Recorder(tmp_path / "a.h5", model, optimizer, motion=False, gradient_histogram=True)
    plain = write_run(tmp_path / "plain.h5", random_walk(2, 3, seed=0))
    assert plain.gradient_histogram is None
    with pytest.raises(ValueError, match="--gradient-histogram"):
        ls.gradient_histogram(plain)


def made(count: list[list[float]]) -> ls.GradientHistogram:
    """Histograms with the bins below 1, from 1 to 2, from 2 to 4, and from 4 on."""
    return ls.GradientHistogram(
        name="run", optimizer="adam", step=np.arange(1, len(count) + 1), edge=[1.0, 2.0, 4.0],
        count=count,
    )  # fmt: skip


def test_quantiles_between_edges_are_interpolated_on_the_logarithmic_scale():
    found = made([[0, 4, 4, 0], [0, 0, 8, 0], [6, 2, 0, 0], [np.nan] * 4])
    low, median, high = found.quantiles([0.25, 0.5, 1.0])
    np.testing.assert_allclose(low, [2**0.5, 2**1.25, 1, np.nan])
    np.testing.assert_allclose(median, [2, 2**1.5, 1, np.nan])
    np.testing.assert_allclose(high, [4, 4, 2, np.nan])


def test_bins_and_edges_belong_together():
    with pytest.raises(ValueError, match="separate 4 bins"):
        made([[1, 2, 3]])


def test_saved_and_loaded(recorded, tmp_path):
    found = ls.gradient_histogram(recorded[0])
    found.save(tmp_path / "out.h5", "gradients/run")
    loaded = ls.load_results(tmp_path / "out.h5")["gradients/run"]
    np.testing.assert_array_equal(loaded.count, found.count)


def test_drawn_with_its_quantiles():
    histogram = made([[2, 4, 2, 0], [2, 0, 6, 0]])
    ax = Figure().add_subplot()
    ls.plot_gradient_histogram(histogram, ax=ax)
    drawn = {artist.get_gid(): artist for artist in ax.get_children() if artist.get_gid()}
    np.testing.assert_allclose(drawn["share"].get_array().T, [[0.5, 0.25], [0, 0.75]])
    np.testing.assert_array_equal(drawn["quantile 0.5"].get_ydata(), histogram.quantiles([0.5])[0])
    assert drawn["zeros"].get_text() == "zero: 25 % of the entries"
    assert ax.get_ylim() == (1, 4)
    assert ax.get_yscale() == "log"
