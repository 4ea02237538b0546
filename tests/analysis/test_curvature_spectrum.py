"""Eigenvalues: exact spectra, a net against its written-out Hessian, errors that are honest."""

from __future__ import annotations

import signal

import numpy as np
import pytest
import torch
from dense import dense_hessian
from synthetic import Point, bowl
from torch import nn
from torch.nn import functional as F

import landscape as ls
from landscape.analysis.curvature.krylov import Krylov
from landscape.analysis.curvature.lanczos import Stopped, extremes


def matrix_of(values, seed=0):
    n = len(values)
    q, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((n, n)))
    return (q * values) @ q.T


def ends(values, top, bottom):
    ordered = np.sort(values)
    return np.concatenate([ordered[::-1][:top], ordered[:bottom]])


EXACT = {
    "ties at both ends": np.r_[5, 5, 5, 4, 4, np.zeros(50), -5, -5],
    "nine copies": np.r_[np.full(9, 2.0), np.full(9, 1.0), np.zeros(200)],
    "plus and minus": np.r_[np.arange(1, 30), -np.arange(1, 30)],
    "nothing": np.zeros(30),
    "identity": np.ones(12),
    "one number": np.r_[-3.0],
    "near ties": np.r_[1, 1 - 1e-5, 1 - 2e-5, np.linspace(-0.1, 0.5, 300)],
    "outliers and a bulk": np.r_[50, 20, 10, 9.9, 5, np.random.default_rng(0).normal(0, 0.1, 400)],
}


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("seed", [0, 1])
def test_exact_spectra(name, seed):
    values = EXACT[name]
    a = matrix_of(values)
    found = extremes(lambda v: a @ v, len(a), top=5, bottom=2, tolerance=1e-9, seed=seed, most=2000)
    n = len(a)
    np.testing.assert_allclose(
        found.value, ends(values, min(5, n), min(2, max(0, n - 5))), atol=1e-10
    )
    assert found.converged.all()
    residual = np.linalg.norm(a @ found.vector.T - found.vector.T * found.value, axis=0)
    assert (residual <= found.residual + 1e-12).all()
    np.testing.assert_allclose(found.vector @ found.vector.T, np.eye(len(found.value)), atol=1e-10)


def test_small_matrices_with_many_ties():
    for seed in range(80):
        random = np.random.default_rng(seed)
        n = int(random.integers(1, 60))
        values = random.integers(-4, 5, n).astype(float) * random.choice([1, 0, 1])
        a, top = matrix_of(values, seed), int(random.integers(1, 6))
        found = extremes(lambda v, a=a: a @ v, n, top=top, bottom=0, tolerance=1e-9, seed=seed)
        np.testing.assert_allclose(found.value, ends(values, min(top, n), 0), atol=1e-10)


def test_a_thick_restart_comes_to_the_same_pairs():
    a = matrix_of(np.random.default_rng(3).standard_normal(300))
    found = extremes(lambda v: a @ v, 300, top=3, bottom=2, tolerance=1e-8, room=40, most=2000)
    np.testing.assert_allclose(found.value, ends(np.linalg.eigvalsh(a), 3, 2), atol=1e-10)


def test_a_gradient_shortens_the_way_and_hides_nothing():
    values = np.r_[9.0, 5, 3, np.linspace(-0.5, 0.5, 400), -1]
    a, turn = matrix_of(values), np.linalg.eigh(matrix_of(values))[1]
    options = {"top": 3, "bottom": 1, "tolerance": 1e-6, "ties": False}
    sought = turn[:, [0, -3, -2, -1]]
    for gradient, most in ((1e-9 * sought.sum(axis=1), 0.99), (sought[:, 1], 1.3), (0 * a[0], 1)):
        plain = extremes(lambda v: a @ v, len(a), **options)
        found = extremes(lambda v: a @ v, len(a), gradient=gradient, **options)
        np.testing.assert_allclose(found.value, [9, 5, 3, -1], atol=1e-10)
        assert found.products <= most * plain.products
    for seed in range(4):  # the gradient can be the opposite of what is random
        one = extremes(lambda v: 2 * v, 1, top=1, bottom=0, tolerance=1e-6, seed=seed,
                       gradient=np.array([-1.0]))  # fmt: skip
        assert one.value.tolist() == [2.0]
    with pytest.raises(FloatingPointError, match="gradient"):
        extremes(lambda v: a @ v, len(a), gradient=np.nan * a[0], **options)


def test_what_counts_as_zero_is_told_and_saves_products():
    values = np.r_[10.0, 8, 6, 5, 4, np.linspace(-0.13, 0.13, 800)]
    a = matrix_of(values)
    counts = []
    for zero in (None, 1e-3):
        found = extremes(
            lambda v: a @ v, len(a), top=5, bottom=2, tolerance=1e-3, zero=zero, ties=False
        )
        allowed = np.maximum(1e-3 * np.abs(found.value), (zero or 1e-4) * 10)
        assert (found.residual <= allowed).all()
        assert found.converged.all()
        counts.append(found.products)
    assert counts[1] < 0.7 * counts[0]
    objective = bowl(np.r_[3.0, 1.0, np.zeros(20)])
    for options, settings in (
        ({}, {"tolerance": 1e-3, "zero": 1e-4}),
        ({"tolerance": 1e-6}, {"tolerance": 1e-6, "zero": 1e-6}),
        ({"zero": 1e-2, "ties": False}, {"zero": 1e-2, "ties": False}),
    ):
        found = ls.hessian_spectrum(objective, np.ones(22), top=1, bottom=1, **options)
        assert found.settings.items() >= settings.items()


def test_without_the_look_a_tie_is_told_once_and_the_result_says_that_nobody_looked():
    a = matrix_of(EXACT["ties at both ends"])
    options = {"top": 3, "bottom": 0, "tolerance": 1e-9}
    sure = extremes(lambda v: a @ v, len(a), **options)  # whose copies end the chain they show in
    np.testing.assert_allclose(sure.value, [5, 5, 5], atol=1e-10)
    assert sure.distinct_above < np.inf
    quick = extremes(lambda v: a @ v, len(a), ties=False, **options)
    np.testing.assert_allclose(quick.value, [5, 4, 0], atol=1e-10)
    assert quick.distinct_above == np.inf


def test_no_ghosts_after_many_steps():
    values = np.r_[100.0, np.linspace(0, 1, 400)]
    a = matrix_of(values).astype(np.float32)
    space = Krylov(lambda v: (a @ v.astype(np.float32)).astype(np.float64), 401, np.ones(401))
    for _ in range(150):
        space.grow()
    assert (space.ritz().value > 50).sum() == 1
    np.testing.assert_allclose(space.rows @ space.rows.T, np.eye(150), atol=1e-12)
    assert 1e-7 < space.asymmetry < 1e-3


def test_pairs_that_had_no_time_say_so():
    a = matrix_of(np.random.default_rng(3).standard_normal(300))
    found = extremes(lambda v: a @ v, 300, top=3, bottom=2, tolerance=1e-6, most=12)
    assert found.products == 12
    assert not found.converged.any()
    error = np.abs(found.value - ends(np.linalg.eigvalsh(a), 3, 2))
    assert (error > 1e-6).any()


def softmax_regression(seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(40, 4, generator=generator, dtype=torch.float64)
    return nn.Linear(4, 6, bias=False).double(), (x, torch.arange(40) % 6)


def cross_entropy(model, batch):
    return F.cross_entropy(model(batch[0]), batch[1], reduction="none")


@pytest.mark.parametrize("batch_size", [1, 7, 40])
def test_softmax_regression_at_zero(batch_size):
    model, (x, y) = softmax_regression()
    objective = ls.Objective(
        model, cross_entropy, (x, y), precision="double", batch_size=batch_size
    )
    sigma = np.linalg.eigvalsh((x.T @ x / 40).numpy())[::-1]
    found = ls.hessian_spectrum(objective, np.zeros(24), top=7, bottom=3, tolerance=1e-9)
    expected = [*[sigma[0] / 6] * 5, *[sigma[1] / 6] * 2, 0, 0, 0]  # each with multiplicity C - 1
    np.testing.assert_allclose(found.value, expected, atol=1e-10)


def test_softmax_regression_elsewhere():
    model, (x, y) = softmax_regression()
    objective = ls.Objective(model, cross_entropy, (x, y), precision="double")
    w = np.random.default_rng(1).standard_normal(24)
    p = torch.softmax(x @ torch.from_numpy(w).view(6, 4).T, dim=1).numpy()
    parts = [
        np.kron(np.diag(q) - np.outer(q, q), np.outer(r, r))
        for q, r in zip(p, x.numpy(), strict=True)
    ]
    found = ls.hessian_spectrum(objective, w, top=5, bottom=2, tolerance=1e-9)
    expected = ends(np.linalg.eigvalsh(np.mean(parts, axis=0)), 5, 2)
    np.testing.assert_allclose(found.value, expected, atol=1e-10)


def test_linear_regression_and_a_deep_scalar_net():
    model, (x, _) = softmax_regression()
    objective = ls.Objective(
        model, lambda m, b: 0.5 * (m(b[0]) - 1).square().sum(1), (x,), precision="double"
    )
    sigma = np.linalg.eigvalsh((x.T @ x / 40).numpy())
    found = ls.hessian_spectrum(objective, top=7, bottom=1, tolerance=1e-9)
    expected = [*[sigma[-1]] * 6, sigma[-2], sigma[0]]
    np.testing.assert_allclose(found.value, expected, atol=1e-10)
    deep = ls.Objective(
        Point(2).double(), lambda m, b: 0.5 * (m.weight[0].prod() - 1) ** 2 + 0 * b.sum(),
        torch.zeros(3, 1), precision="double",
    )  # fmt: skip
    found = ls.hessian_spectrum(deep, np.array([4.0, 0.25]), top=1, bottom=1)
    np.testing.assert_allclose(found.value, [16.0625, 0], atol=1e-10)


@pytest.fixture(scope="module")
def trained():
    """digits/mlp-16, a little trained, with its Hessian written out in double precision."""
    task = ls.load_task("digits/mlp-16")
    optimizer = torch.optim.Adam(task.model.parameters(), lr=0.01)
    images, labels = task.train
    for _ in range(60):
        optimizer.zero_grad()
        F.cross_entropy(task.model(images), labels).backward()
        optimizer.step()
    vector = ls.Objective(task.model, task.loss, task.train).parameters()
    dense = dense_hessian(task.model, lambda m: F.cross_entropy(m(images.double()), labels), vector)
    return task, vector, dense


@pytest.mark.parametrize("precision", ["single", "double"])
def test_a_net_on_digits_against_its_written_out_hessian(trained, precision):
    task, vector, dense = trained
    exact = np.linalg.eigvalsh(dense)
    objective = ls.Objective(task.model, task.loss, task.train, precision=precision)
    found = ls.hessian_spectrum(objective, vector, top=5, bottom=2, tolerance=1e-4)
    error = np.abs(found.value - ends(exact, 5, 2))
    assert error.max() < 1e-6 * exact[-1]
    assert found.converged.all()
    assert (error <= found.residual + 1e-7).all()
    assert found.products < 80
    true = np.linalg.norm(dense @ found.vector.T - found.vector.T * found.value, axis=0)
    assert (true <= found.residual + 2e-6 * exact[-1]).all()
    gradient = objective.gradient(vector)
    share = (found.vector @ gradient) ** 2 / (gradient @ gradient)
    np.testing.assert_allclose(found.gradient_share, share, rtol=1e-3)
    assert (found.vector @ gradient <= 1e-5 * np.linalg.norm(gradient)).all()
    np.testing.assert_allclose(found.tensor_share.sum(axis=1), 1, rtol=1e-6)


def test_ragged_batches_and_single_samples_give_the_same_eigenvalues(trained):
    task, vector, _ = trained
    images, labels = (t[:61] for t in task.train)
    found = [
        ls.hessian_spectrum(
            ls.Objective(task.model, task.loss, data, batch_size=size), vector, tolerance=1e-5
        ).value
        for data, size in (
            ((images, labels), None),
            ((images, labels), 1),
            ((images, labels), 40),
            ([(images[:50], labels[:50]), (images[50:], labels[50:])], None),
        )
    ]
    for values in found[1:]:
        np.testing.assert_allclose(values, found[0], atol=1e-6 * found[0][0])


def test_blocks(trained):
    task, vector, dense = trained
    objective = ls.Objective(task.model, task.loss, task.train)
    found = ls.hessian_spectrum(objective, vector, top=2, bottom=0, tensors="bias$")
    places = np.concatenate(
        [np.arange(len(vector))[e.slice] for e in objective.layout if e.name.endswith("bias")]
    )
    expected = np.linalg.eigvalsh(dense[np.ix_(places, places)])[::-1][:2]
    np.testing.assert_allclose(found.value, expected, rtol=1e-5)
    outside = np.delete(found.vector, places, axis=1)
    assert not outside.any()
    assert all(name.endswith("bias") for name in found.tensors)


def test_errors_on_subsets_are_honest_and_the_largest_is_bounded_from_below(trained):
    task, vector, dense = trained
    exact = np.linalg.eigvalsh(dense)[-1]
    whole = ls.Objective(task.model, task.loss, task.train)
    assert not ls.hessian_spectrum(whole, vector, top=1, bottom=0).standard_error.any()
    scores, too_high = [], []
    for seed in range(12):
        found = ls.hessian_spectrum(whole, vector, top=1, bottom=0, samples=200, seed=seed)
        assert found.lower_bound <= exact * (1 + 1e-5)
        assert found.subset
        assert "biases λ1 upward" in found.sentences()[1]
        too_high.append(found.value[0] - exact)
        u = found.vector[0].astype(float)  # of this very vector, there is no bias on other samples
        scores.append((found.value[0] - u @ dense @ u) / found.standard_error[0])
    assert np.mean(too_high) > 0
    assert 0.3 < np.sqrt(np.mean(np.square(scores))) < 3
    drawn = ls.Objective(task.model, task.loss, task.train, samples=200)
    found = ls.hessian_spectrum(drawn, vector, top=1, bottom=0)
    assert found.standard_error[0] > 0
    assert np.isnan(found.lower_bound)


def test_saved_and_loaded(tmp_path, trained):
    task, vector, _ = trained
    objective = ls.Objective(task.model, task.loss, task.train, samples=100)
    found = ls.hessian_spectrum(objective, vector, top=2, bottom=1)
    density = ls.spectral_density(objective, vector, spectrum=found, runs=2, steps=5)
    trace = ls.hessian_trace(objective, vector, spectrum=found, probes=3)
    for result, name in ((found, "spectrum"), (density, "density"), (trace, "trace")):
        result.save(tmp_path / "r.h5", name)
    read = ls.load_results(tmp_path / "r.h5")
    np.testing.assert_array_equal(read["spectrum"].vector, found.vector)
    assert read["spectrum"].labels == ("λ1", "λ2", "λmin")
    np.testing.assert_array_equal(read["density"].weight, density.weight)
    assert read["trace"].value == trace.value


def test_zero_within_the_residual():
    found = ls.hessian_spectrum(bowl(np.r_[3.0, 1.0, np.zeros(20)]), np.ones(22), top=1, bottom=1)
    assert "zero within it" in found.sentences()[1]


def test_ctrl_c_returns_what_is_known(monkeypatch):
    calls = 0
    h = torch.linspace(-1, 10, 200, dtype=torch.float64)

    def loss(model, batch):
        nonlocal calls
        calls += 1
        point = model.weight[0]
        return (0.5 * h * point.square() + point**3).sum().expand(len(batch))

    model = Point(200).double()
    objective = ls.Objective(model, loss, torch.zeros(4, 1), precision="double", batch_size=2)
    with objective.hessian(np.zeros(200)):
        pass  # the look at the curvature, and at whether the loss is repeatable
    before = model.weight.clone()
    products = 0
    own = np.linalg.norm

    def pressed(*given, **named):  # Ctrl-C while the subspace grows
        nonlocal products
        products += 1
        if products == 40:
            signal.raise_signal(signal.SIGINT)
        return own(*given, **named)

    monkeypatch.setattr("landscape.analysis.curvature.krylov.np.linalg.norm", pressed)
    with pytest.raises(ls.Interrupted) as stop:
        ls.hessian_spectrum(objective, np.zeros(200), tolerance=1e-8)
    known = stop.value.partial
    assert 1 < known.products < 40
    assert not known.converged.any()
    assert known.value[0] < 10 + 1e-9
    assert torch.equal(model.weight, before)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_stop_before_the_first_product_knows_nothing():
    def product(v):
        raise KeyboardInterrupt

    with pytest.raises(Stopped) as stop:
        extremes(product, 5, top=1, bottom=0, tolerance=1e-3)
    assert stop.value.pairs is None


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"top": 0, "bottom": 0}, "nor both 0"),
        ({"top": -1}, "must not be negative"),
        ({"tolerance": 0}, "between 0 and 1"),
        ({"zero": 1}, "between 0 and 1"),
        ({"most": 0}, "at least 1"),
        ({"samples": 0}, "at least 1"),
    ],
)
def test_wrong_arguments(options, said):
    with pytest.raises(ValueError, match=said):
        ls.hessian_spectrum(bowl(np.ones(3)), np.ones(3), **options)


def test_a_point_without_finite_curvature():
    objective = bowl(np.array([1.0, np.inf]))
    with pytest.raises(ValueError, match="not finite"):
        ls.hessian_spectrum(objective, np.ones(2))
