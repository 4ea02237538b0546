"""Sharpness along runs: exact on bowls, at the edge of stability where theory puts it."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from synthetic import Point, bowl, write_run
from torch import nn

import landscape as ls
from landscape.analysis.curvature.stability import stability_of

H = np.array([8.0, 3.0, 1.0, 0.5])


def descend(path, *, lr, steps=12, run=None, step=None, start=(0.1, 1.0, 1.0, -2.0)):
    """Gradient descent on the bowl ½ θᵀ diag(H) θ, every state recorded."""
    states = [np.array(start)]
    for _ in range(steps):
        states.append(states[-1] - lr * H * states[-1])
    trajectory = write_run(path, np.array(states), scalars={"lr": [lr] * steps})
    trajectory.run = run or {"optimizer": "gd"}
    return trajectory


def test_a_bowl_along_gradient_descent(tmp_path):
    lr = 0.2
    trajectory = descend(tmp_path / "run.h5", lr=lr)
    found = ls.curvature_path(bowl(H), trajectory, every=4, top=2, smallest=True)
    assert found.step.tolist() == [0, 4, 8, 12]
    np.testing.assert_allclose(found.value, [[8, 3]] * 4, rtol=1e-6)
    np.testing.assert_allclose(found.smallest, 0.5, rtol=1e-3)
    np.testing.assert_allclose(found.threshold, 2 / lr)
    np.testing.assert_allclose(found.relative_sharpness, 0.8, rtol=1e-6)
    theta = trajectory.state(4).astype(float)
    g = H * theta
    assert found.gradient_norm[1] == pytest.approx(np.linalg.norm(g), rel=1e-6)
    assert found.gradient_curvature[1] == pytest.approx(g @ (H * g) / (g @ g), rel=1e-6)
    np.testing.assert_allclose(found.gradient_share[1], g[:2] ** 2 / (g @ g), rtol=1e-4)
    np.testing.assert_allclose(found.predicted[:3], found.measured[:3], rtol=1e-9)
    assert found.update_steps.tolist() == [1, 1, 1, 0]
    d = -lr * g
    assert found.update_curvature[1] == pytest.approx(d @ (H * d) / (d @ d), rel=1e-5)
    assert np.isnan(found.predicted[3])
    assert np.isnan(found.batch_sharpness).all()


def test_of_a_run_that_has_grown_only_what_is_new_is_measured(tmp_path):
    early = ls.curvature_path(bowl(H), descend(tmp_path / "a.h5", lr=0.2, steps=10), every=4)
    marked = replace(early, gradient_curvature=early.gradient_curvature + 100)
    trajectory = descend(tmp_path / "b.h5", lr=0.2, steps=16)
    settings = {**early.settings, "run": "b.h5"}  # the same run, which had the same name
    found = ls.curvature_path(
        bowl(H), trajectory, every=4, resume=replace(marked, settings=settings)
    )
    whole = ls.curvature_path(bowl(H), trajectory, every=4)
    assert found.step.tolist() == [0, 4, 8, 12, 16]
    assert (found.gradient_curvature > 100).tolist() == [True, True, True, False, False]
    for name in ("value", "sharpness", "update_norm", "predicted", "measured", "threshold"):
        np.testing.assert_allclose(getattr(found, name), getattr(whole, name), rtol=1e-6)
    assert found.computed.all()

    def kept(run, earlier, **options):
        again = ls.curvature_path(bowl(H), run, every=4, resume=earlier, **options)
        return int((again.gradient_curvature > 100).sum())

    marked = replace(found, gradient_curvature=whole.gradient_curvature + 100)
    assert kept(trajectory, marked) == 5
    assert kept(trajectory, marked, tolerance=1e-3) == 0
    assert kept(trajectory, marked, top=2) == 0
    assert kept(trajectory, marked, smallest=True) == 0
    assert kept(trajectory, replace(marked, loss=whole.loss + 1)) == 0
    (tmp_path / "c").mkdir()
    other = descend(tmp_path / "c" / "b.h5", lr=0.2, steps=16, start=(0.1, 1.0, 1.0, 2.5))
    assert kept(other, marked) == 0


@pytest.mark.parametrize("factor", [0.98, 1.02])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("gd", {}),
        ("gd", {"weight_decay": 0.5}),
        ("momentum", {"momentum": 0.9}),
        ("SGD", {"momentum": 0.5, "dampening": 0.3}),
        ("nesterov", {"momentum": 0.9, "nesterov": True}),
        ("rmsprop", {}),
        ("adam", {"betas": (0.8, 0.99)}),
        ("adamw", {"betas": (0.9, 0.99), "weight_decay": 0.1}),
    ],
)
def test_thresholds_are_where_torch_diverges(name, options, factor):
    stable = stability_of({"optimizer": name, "options": options}, {})
    kinds = {"rmsprop": torch.optim.RMSprop, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    sharpness = 2.0
    w = torch.tensor([1e-12], dtype=torch.float64, requires_grad=True)
    decay = options.get("weight_decay", 0.0)
    if stable.adaptive:  # with ε = 1 and tiny gradients P → 1, and the rest is linear
        lr = 1e-3
        optimizer = kinds[stable.kind]([w], lr=lr, **{**options, "eps": 1.0})
        curvature = factor * stable.factor / lr - (decay if name == "adamw" else 0)
    else:
        lr = factor * stable.factor / (sharpness + decay)
        optimizer = torch.optim.SGD([w], lr=lr, **options)
        curvature = sharpness
    sizes = []
    for _ in range(1500):
        w.grad = curvature * w.detach()
        optimizer.step()
        sizes.append(abs(w.item()))
        if not 1e-30 < sizes[-1] < 1e-4:
            break
    assert (sizes[-1] > 1e-8) == (factor > 1)


def test_an_optimizer_without_a_known_threshold(tmp_path):
    for run in (
        {"optimizer": "lion"},
        {"optimizer": "Adam", "options": {"amsgrad": True}},
        {},
    ):
        trajectory = descend(tmp_path / "run.h5", lr=0.1, run=run or {"optimizer": ""})
        found = ls.curvature_path(bowl(H), trajectory, every=12)
        assert found.condition == ""
        assert np.isnan(found.threshold).all()
        (tmp_path / "run.h5").unlink()
    groups = stability_of({"optimizer": "sgd"}, {"lr.1": np.ones(2)})
    assert np.isnan(groups.factor)


def test_a_preconditioned_hessian(tmp_path):
    v = np.array([4.0, 0.0, 1.0, 0.25])
    trajectory = descend(
        tmp_path / "run.h5", lr=0.1, steps=6, run={"optimizer": "adam", "options": {"eps": 0.5}}
    )
    found = ls.curvature_path(bowl(H), trajectory, every=3, second_moments={3: v})
    p = (1 - 0.9**3) * (np.sqrt(v / (1 - 0.999**3)) + 0.5)
    assert found.sharpness[1] == pytest.approx((H / p).max(), rel=1e-5)
    assert np.isnan(found.sharpness[[0, 2]]).all()  # no second moments there
    np.testing.assert_allclose(found.threshold, 380)


def test_second_moments_of_torch_optimizers():
    model = nn.Linear(2, 1)
    model(torch.tensor([[1.0, 3.0]])).sum().backward()
    for kind, share in ((torch.optim.Adam, 0.001), (torch.optim.RMSprop, 0.01)):
        optimizer = kind(model.parameters())
        with pytest.raises(ValueError, match="holds no second moments"):
            ls.second_moment(optimizer, model)
        optimizer.step()
        np.testing.assert_allclose(
            ls.second_moment(optimizer, model), share * np.r_[1, 9, 1], rtol=1e-6
        )
    plain = torch.optim.SGD(model.parameters(), lr=0.1)
    plain.step()
    with pytest.raises(ValueError, match="SGD holds no second moments"):
        ls.second_moment(plain, model)


def linear(model, batch):
    return 0.5 * (model(batch[0])[:, 0] - batch[1]).square()


def test_batch_sharpness(tmp_path):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(20, 3, generator=generator, dtype=torch.float64)
    y = torch.randn(20, generator=generator, dtype=torch.float64)
    objective = ls.Objective(
        nn.Linear(3, 1, bias=False).double(), linear, (x, y), precision="double"
    )
    states = np.array([[1.0, 0.0, 0.5], [0.5, 0.2, 0.1]])
    trajectory = write_run(tmp_path / "run.h5", states, layout=objective.layout)
    whole = ls.curvature_path(objective, trajectory, batch_size=20, top=2)
    np.testing.assert_allclose(whole.batch_sharpness, whole.gradient_curvature, rtol=1e-9)
    one = ls.curvature_path(objective, trajectory, batch_size=1)
    norms = (x**2).sum(1).numpy()  # of one sample H = xxᵀ, g ∝ x
    error = one.batch_sharpness_error[0]
    assert error > 0
    assert abs(one.batch_sharpness[0] - norms.mean()) < 4 * error


def tanh_net():
    torch.manual_seed(0)
    x = torch.randn(40, 6)
    y = torch.sin(3 * x[:, :1]) + 0.3 * x[:, 1:2]
    model = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 1))
    return model, (x, y)


def half_square(model, batch):
    return 0.5 * (model(batch[0]) - batch[1]).square().sum(dim=1)


def test_gradient_descent_comes_to_the_edge_of_stability(tmp_path):
    model, data = tanh_net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.4)
    with ls.Recorder(
        tmp_path / "gd.h5", model, optimizer, every=100, motion=False, run={"optimizer": "gd"}
    ):
        for _ in range(1500):
            optimizer.zero_grad()
            half_square(model, data).mean().backward()
            optimizer.step()
    objective = ls.Objective(model, half_square, data)
    found = ls.curvature_path(objective, ls.Trajectory(tmp_path / "gd.h5"), every=100)
    assert found.relative_sharpness[0] < 0.7
    assert 0.95 < found.relative_sharpness[-5:].mean() < 1.1


class Mortal(nn.Sequential):
    """A net whose first measurement in another process kills that, once."""

    mark, parent = Path(), 0


def mortal_square(model, batch):
    if os.getpid() != model.parent and not model.mark.exists():
        model.mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return half_square(model, batch)


@pytest.mark.skipif(os.name == "nt", reason="sends POSIX signals")
def test_units_go_on_on_workers_that_are_killed(tmp_path):
    model, data = tanh_net()
    model = Mortal(*model)
    model.mark, model.parent = tmp_path / "killed", os.getpid()
    layout = ls.Layout.of(model)
    states = np.cumsum(np.random.default_rng(0).normal(0, 0.05, (6, layout.size)), axis=0)
    trajectory = write_run(tmp_path / "run.h5", states, layout=layout)
    objective = ls.Objective(model, mortal_square, data, precision="double")

    def measure(**options):
        return ls.curvature_path(objective, trajectory, every=1, tolerance=1e-5, **options)

    whole = measure()
    part = measure(units=tmp_path / "units", shard=(0, 3))
    assert part.computed.tolist() == [True, False, False] * 2
    rest = measure(units=tmp_path / "units", engine=ls.Processes(("cpu",)))
    assert model.mark.exists()
    np.testing.assert_allclose(rest.value, whole.value, rtol=1e-6)
    np.testing.assert_allclose(rest.measured, whole.measured, rtol=1e-6)
    assert (np.abs(whole.predicted - whole.measured)[:5] < 0.5 * np.abs(whole.measured[:5])).all()
    whole.save(tmp_path / "r.h5", "curvature/run")
    read = ls.load_results(tmp_path / "r.h5")["curvature/run"]
    np.testing.assert_array_equal(read.value, whole.value)


def test_ctrl_c_keeps_the_finished_states(tmp_path):
    model, data = tanh_net()
    states = np.cumsum(np.random.default_rng(0).normal(0, 0.05, (4, 129)), axis=0)
    trajectory = write_run(tmp_path / "run.h5", states, layout=ls.Layout.of(model))
    before, pressed = ls.Objective(model, half_square, data).parameters(), []

    def loss(model, batch):
        if torch.equal(model[0].weight[0, 0].detach(), torch.tensor(states[2, 0]).float()):
            pressed.append(signal.raise_signal(signal.SIGINT) if not pressed else None)
        return half_square(model, batch)

    objective = ls.Objective(model, loss, data)

    def measure(objective):
        return ls.curvature_path(objective, trajectory, every=1, top=1, units=tmp_path / "units")

    with pytest.raises(ls.Interrupted) as stop:
        measure(objective)
    assert stop.value.partial.computed.tolist()[2:] == [False, False]
    np.testing.assert_array_equal(objective.parameters(), before)
    assert measure(objective).computed.all()
    assert len(pressed) > 1


def test_wrong_arguments(tmp_path):
    trajectory = descend(tmp_path / "run.h5", lr=0.1)
    for options, said in (
        ({"every": 0}, "at least 1"),
        ({"top": 0}, "at least 1"),
        ({"tolerance": 1}, "between 0 and 1"),
        ({"batch_size": 10**6}, "batch_size must be"),
    ):
        with pytest.raises(ValueError, match=said):
            ls.curvature_path(bowl(H), trajectory, **options)
    other = ls.Objective(Point(5), lambda m, b: m.weight.sum() + b, torch.zeros(3))
    with pytest.raises(ValueError, match="another model"):
        ls.curvature_path(other, trajectory)


def test_a_run_that_diverged_has_holes(tmp_path):
    states = np.array([[1.0, 1, 1, 1], [np.nan, 1, 1, 1], [2.0, 1, 1, 1]])
    found = ls.curvature_path(bowl(H), write_run(tmp_path / "run.h5", states), every=1)
    assert np.isfinite(found.value[:, 0]).tolist() == [True, False, True]


@pytest.mark.parametrize("around", [False, True])
def test_a_recorded_run_holds_its_second_moments(tmp_path, around):
    torch.manual_seed(0)
    model = nn.Linear(3, 1)
    x, y = torch.randn(20, 3), torch.randn(20)
    adam = torch.optim.AdamW(model.parameters(), lr=0.01, betas=(0.8, 0.9), weight_decay=0.3)
    for _ in range(2):  # before the recording: what it has seen is more than the steps recorded
        step_of(model, adam, x, y)
    optimizer = Wrapper(adam) if around else adam
    path, seen = tmp_path / "run.h5", {0: ls.second_moment(adam, model)}
    run = {"optimizer": "AdamW"} if around else None
    with ls.Recorder(path, model, optimizer, optimizer_state=True, every=2, run=run):
        for step in range(1, 5):
            step_of(model, optimizer, x, y)
            seen[step] = ls.second_moment(adam, model)
    trajectory = ls.Trajectory(path)
    assert trajectory.holds["second_moment"]
    assert trajectory.scalars["optimizer_step"].tolist() == [3, 4, 5, 6]
    for index, step in enumerate(trajectory.steps):
        np.testing.assert_array_equal(trajectory.second_moment(index), seen[step])
    objective = ls.Objective(model, linear, (x, y))
    found = ls.curvature_path(objective, trajectory, every=2)
    hessian = np.zeros((4, 4))
    with objective.hessian(trajectory.final) as products:
        hessian = np.stack([products @ e for e in np.eye(4)])
    root = np.sqrt((1 - 0.8**6) * (np.sqrt(seen[4].astype(float) / (1 - 0.9**6)) + 1e-8))
    largest = np.linalg.eigvalsh(hessian / root[:, None] / root)[-1]
    assert found.sharpness[-1] == pytest.approx(largest + 0.3, rel=1e-4)
    assert found.threshold[-1] == pytest.approx((2 + 1.6) / 0.2 / 0.01)
    assert ls.Trajectory(path).run["options"]["weight_decay"] == 0.3


class Wrapper:
    """What a user's own class around an optimizer looks like."""

    def __init__(self, optimizer):
        self.inside, self.param_groups = optimizer, optimizer.param_groups

    def zero_grad(self):
        self.inside.zero_grad()

    def step(self):
        self.inside.step()


def step_of(model, optimizer, x, y):
    optimizer.zero_grad()
    linear(model, (x, y)).mean().backward()
    optimizer.step()


def test_recorded_second_moments_of_a_run_that_is_resumed(tmp_path):
    model = nn.Linear(3, 1)
    x, y = torch.randn(20, 3), torch.randn(20)
    optimizer = torch.optim.RMSprop(model.parameters(), lr=0.01)
    path = tmp_path / "run.h5"
    for resume in (False, True):
        with ls.Recorder(path, model, optimizer, optimizer_state=True, resume=resume):
            step_of(model, optimizer, x, y)
            step_of(model, optimizer, x, y)
    trajectory = ls.Trajectory(path)
    np.testing.assert_array_equal(trajectory.second_moment(-1), ls.second_moment(optimizer, model))
    assert trajectory.scalars["optimizer_step"].tolist() == [1, 2, 3, 4]
    with pytest.raises(ValueError, match="recorded with second_moment=True"):
        ls.Recorder(path, model, optimizer, resume=True).start()


def test_an_optimizer_without_second_moments_is_told(tmp_path):
    model = nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with (
        pytest.warns(UserWarning, match="SGD holds no second moments"),
        ls.Recorder(tmp_path / "run.h5", model, optimizer, optimizer_state=True),
    ):
        step_of(model, optimizer, torch.randn(20, 3), torch.randn(20))
    assert ls.Trajectory(tmp_path / "run.h5").second_moment(1) is None


def test_options_of_the_optimizer_decide_the_threshold(tmp_path):
    model = nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True)
    with ls.Recorder(tmp_path / "run.h5", model, optimizer):
        step_of(model, optimizer, torch.randn(20, 3), torch.randn(20))
    run = ls.Trajectory(tmp_path / "run.h5")
    assert stability_of(run.run, run.scalars).factor == pytest.approx(3.8 / 2.8)
    with ls.TrajectoryWriter(tmp_path / "other.h5", run.layout, second_moment=True) as writer:
        writer.append_state(0, run.state(0))  # without
    assert ls.Trajectory(tmp_path / "other.h5").second_moment(0) is None
