"""The adaptive rate's variance: RAdam's closed forms, and the simulation against them."""

from __future__ import annotations

import numpy as np
import pytest

import landscape as ls
from landscape.analysis.adaptive_rate import degrees_of_freedom, inverse_chi_variance


def test_numbers_of_the_paper():
    found = ls.adaptive_rate_variance(steps=[4, 5, 10, 100, 1000, 10000], samples=10)
    np.testing.assert_allclose(
        found.rectification, [np.nan, 0.0173, 0.0490, 0.2153, 0.6453, 0.9998], atol=5e-5
    )
    assert degrees_of_freedom(np.array([10**6]))[0] == pytest.approx(1999)
    assert inverse_chi_variance(np.array([5.0]))[0] == pytest.approx(0.2520, abs=5e-5)
    assert inverse_chi_variance(np.array([500.0]))[0] == pytest.approx(1.0075e-3, abs=5e-8)


def test_closed_form_is_the_variance_of_a_scaled_inverse_chi():
    # Twin: integrate the density of χ²_ρ numerically.
    from scipy.integrate import quad
    from scipy.stats import chi2

    for rho in (5.0, 12.5, 40.0):
        moments = [
            quad(lambda x, k=k, rho=rho: (rho / x) ** (k / 2) * chi2.pdf(x, rho), 0, np.inf)[0]
            for k in (1, 2)
        ]
        assert inverse_chi_variance(np.array([rho]))[0] == pytest.approx(
            moments[1] - moments[0] ** 2, rel=1e-6
        )


def test_simulation_follows_the_closed_form():
    found = ls.adaptive_rate_variance(steps=[20, 50, 200, 1000], samples=6000, seed=1)
    # An exponential average has (Σ w)² / Σ w² degrees of freedom.
    power = 0.999**found.step
    exact = inverse_chi_variance(1999 * (1 - power) / (1 + power))
    gap = np.abs(found.simulated - exact)
    assert (gap < 4 * found.standard_error + 0.01 * exact).all()
    # RAdam's ρ_t takes it for a plain one: too large by the ratio of degrees, at most 12 %.
    assert (found.closed_form / exact > 0.99).all()
    assert (found.closed_form / exact < 1.12).all()
    # Rectified, the variance is the same at every step; as it was, it falls 60-fold.
    assert found.rectified.max() / found.rectified.min() < 1.5
    assert found.simulated[0] / found.simulated[-1] > 40


def test_first_order_approximation_is_good_from_step_ten():
    found = ls.adaptive_rate_variance(steps=[10, 100, 1000], samples=10)
    np.testing.assert_allclose(found.first_order, found.closed_form, rtol=0.4)
    np.testing.assert_allclose(found.first_order[1:], found.closed_form[1:], rtol=0.03)


def test_seeded():
    a, b, c = (ls.adaptive_rate_variance(steps=[9], samples=50, seed=s) for s in (0, 0, 1))
    assert a.simulated[0] == b.simulated[0] != c.simulated[0]


def test_saved_and_loaded(tmp_path):
    found = ls.adaptive_rate_variance(steps=[3, 9], samples=50)
    found.save(tmp_path / "out.h5", "adaptive-rate")
    loaded = ls.load_results(tmp_path / "out.h5")["adaptive-rate"]
    np.testing.assert_array_equal(loaded.closed_form, found.closed_form)


@pytest.mark.parametrize("options", [{"steps": [0]}, {"beta2": 1.0}, {"samples": 1}])
def test_refused(options):
    with pytest.raises(ValueError, match="must be positive"):
        ls.adaptive_rate_variance(**options)
