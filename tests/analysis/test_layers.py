"""Update-to-weight and trust ratios: closed forms and the definition of LARS."""

from __future__ import annotations

import numpy as np
import torch
from synthetic import write_run

import landscape as ls
from landscape.base.layout import Entry


def test_geometric_growth(tmp_path):
    # Tensor a grows by 10 % a step, tensor b by half: their ratios are .1 and .5.
    layout = ls.Layout((Entry("a", (2, 2), 0, "weight"), Entry("b", (3,), 4, "bias")))
    states = np.stack([np.r_[1.1**s * np.ones(4), 1.5**s * np.ones(3)] for s in range(5)])
    run = write_run(
        tmp_path / "grow.h5", states.astype(np.float32), layout=layout, scalars={"lr": [0.2] * 4}
    )
    found = ls.layer_metrics(run)
    assert found.layers == ("a", "b")
    # Float32 states: differences of relative size .1 carry errors of 1e-6.
    np.testing.assert_allclose(found.update_to_weight[:, 1:].T, [[0.1, 0.5]] * 4, rtol=3e-6)
    np.testing.assert_allclose(found.trust_ratio[:, 1:].T, [[2, 0.4]] * 4, rtol=3e-6)
    assert np.isnan(found.update_to_weight[:, 0]).all()
    np.testing.assert_allclose(found.weight_norm[0], 2 * 1.1 ** np.arange(5), rtol=1e-6)


def test_trust_ratio_of_sgd_is_weight_over_gradient(tmp_path):
    torch.manual_seed(0)
    model = torch.nn.Linear(5, 4)
    inputs, targets = torch.randn(16, 5), torch.randn(16, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    expected, gradients = [], []
    with ls.Recorder(tmp_path / "sgd.h5", model, optimizer):
        for _ in range(3):
            optimizer.zero_grad()
            (model(inputs) - targets).square().mean().backward()
            expected.append([float(p.detach().norm() / p.grad.norm()) for p in model.parameters()])
            gradients.append([float(p.grad.norm()) for p in model.parameters()])
            optimizer.step()
    found = ls.layer_metrics(ls.Trajectory(tmp_path / "sgd.h5"))
    np.testing.assert_allclose(found.trust_ratio[:, 1:].T, expected, rtol=1e-4)
    np.testing.assert_allclose(found.gradient_norm[:, 1:].T, gradients, rtol=1e-6)


def test_a_tensor_that_is_zero_or_rests_has_no_ratio(tmp_path):
    states = np.array([[0.0, 1], [1, 1]], np.float32)
    layout = ls.Layout((Entry("a", (1,), 0, "bias"), Entry("b", (1,), 1, "bias")))
    found = ls.layer_metrics(write_run(tmp_path / "zero.h5", states, layout=layout))
    assert np.isnan(found.update_to_weight[0, 1])
    assert found.update_to_weight[1, 1] == 0
    assert np.isnan(found.trust_ratio).all()
    assert found.gradient_norm is None


def test_saved_and_loaded(runs, tmp_path):
    run = ls.Trajectory(runs["sgd"])
    found = ls.layer_metrics(run)
    found.save(tmp_path / "out.h5", "layers/sgd")
    loaded = ls.load_results(tmp_path / "out.h5")["layers/sgd"]
    np.testing.assert_array_equal(loaded.trust_ratio, found.trust_ratio)
    np.testing.assert_array_equal(loaded.learning_rate[1:], run.scalars["lr"])
