"""Trace and density: exact on matrices that are known, with error bars that hold."""

from __future__ import annotations

import signal

import numpy as np
import pytest
from synthetic import bowl
from test_curvature_spectrum import matrix_of, trained

import landscape as ls
from landscape.analysis.curvature.quadrature import gauss, orthonormal, probed
from landscape.objective.second_order.hessian import Hessian

__all__ = ["trained"]


def test_the_trace_has_an_error_that_holds(trained):
    task, vector, dense = trained
    objective = ls.Objective(task.model, task.loss, task.train)
    spectrum = ls.hessian_spectrum(objective, vector, top=12, bottom=0, tolerance=1e-2)
    exact, n = np.trace(dense), len(vector)
    vectors = orthonormal(spectrum.vector)
    known = np.einsum("ki,ij,kj->", vectors, dense, vectors)
    found = np.array(
        [
            probed(lambda v: dense @ v, n, vectors, [slice(None)], probes=30, seed=s)[:, 0]
            for s in range(40)
        ]
    )
    estimate, error = known + found.mean(axis=1), found.std(axis=1, ddof=1) / np.sqrt(30)
    assert np.sqrt(np.mean((estimate / exact - 1) ** 2)) < 0.015
    assert np.mean(np.abs(estimate - exact) > 2 * error) <= 0.08
    trace = ls.hessian_trace(objective, vector, spectrum=spectrum, seed=3)
    assert trace.value == pytest.approx(estimate[3], rel=1e-4)
    assert trace.standard_error == pytest.approx(error[3], rel=1e-2)
    blocks = [np.trace(dense[e.slice, e.slice]) for e in objective.layout]
    assert (np.abs(trace.tensor_value - blocks) < 4 * trace.tensor_error + 1e-3).all()
    assert trace.tensor_value.sum() == pytest.approx(trace.value, rel=1e-9)


def test_the_trace_of_a_bowl_is_exact():
    found = ls.hessian_trace(bowl(np.arange(1.0, 21)), np.zeros(20), probes=2)
    assert found.known == 12
    assert found.value == pytest.approx(210, rel=1e-6)


def test_the_density_of_a_known_spectrum():
    values = np.r_[np.linspace(-1, 1, 300), 7, 9]
    objective = bowl(values)
    spectrum = ls.hessian_spectrum(objective, np.zeros(302), top=2, bottom=0)
    found = ls.spectral_density(objective, np.zeros(302), spectrum=spectrum, runs=6, steps=40)
    assert found.known.round(3).tolist() == [9, 7]
    np.testing.assert_allclose(found.weight.sum(axis=1), 300 / 302, rtol=1e-9)
    grid = np.linspace(-1.2, 8, 200)
    exact = np.array([(values <= g).mean() for g in grid])
    assert np.abs(found.share_below(grid) - exact).max() < 0.06
    first, error = found.moment(1)
    assert abs(first - 16) < 4 * error + 1e-3
    smooth = found.smoothed(np.linspace(-3, 3, 2001), 0.1)
    np.testing.assert_allclose(smooth.sum(axis=1) * 0.003, 300 / 302, rtol=1e-3)


def test_a_run_that_ends_early_has_all_its_weight():
    a = matrix_of(np.r_[np.full(10, 1.0), np.full(10, 2.0)])
    nodes, weights = gauss(lambda v: a @ v, 20, np.zeros((0, 20)), steps=6, seed=0)
    assert weights.sum() == pytest.approx(1)
    assert (weights > 1e-9).sum() == 2
    assert sorted(nodes[weights > 1e-9].round(9)) == [1, 2]


def test_a_spectrum_of_something_else_is_refused(trained):
    task, vector, _ = trained
    objective = ls.Objective(task.model, task.loss, task.train, samples=50)
    spectrum = ls.hessian_spectrum(objective, vector, top=1, bottom=0)
    with pytest.raises(ValueError, match="another point"):
        ls.hessian_trace(objective, vector + 1, spectrum=spectrum)
    with pytest.raises(ValueError, match="another block"):
        ls.spectral_density(objective, vector, spectrum=spectrum, tensors="bias")
    other = ls.Objective(task.model, task.loss, task.train, samples=60)
    with pytest.raises(ValueError, match="another data"):
        ls.hessian_trace(other, vector, spectrum=spectrum)
    with pytest.raises(ValueError, match="at least 2"):
        ls.hessian_trace(objective, vector, probes=1)
    with pytest.raises(ValueError, match="at least 1"):
        ls.spectral_density(objective, vector, runs=0)


def test_ctrl_c_gives_the_model_back(monkeypatch):
    objective = bowl(np.arange(1.0, 51))
    before = objective.parameters()
    spectrum = ls.hessian_spectrum(objective, np.zeros(50), top=2, bottom=0)
    own, count = Hessian._matvec, 0

    def pressed(self, x):
        nonlocal count
        count += 1
        if count == 15:
            signal.raise_signal(signal.SIGINT)
        return own(self, x)

    monkeypatch.setattr(Hessian, "_matvec", pressed)
    with pytest.raises(ls.Interrupted) as stop:
        ls.spectral_density(objective, np.zeros(50), spectrum=spectrum, runs=9, steps=5)
    assert stop.value.partial.weight.shape == (2, 5)
    count = 0
    with pytest.raises(ls.Interrupted):
        ls.hessian_trace(objective, np.zeros(50), spectrum=spectrum)
    np.testing.assert_array_equal(objective.parameters(), before)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
