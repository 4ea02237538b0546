"""Recorder under the training loops people write: what counts as a step, and what it measures."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from test_recorder import Net, batch, flat, made, train
from torch import nn
from torch.optim.swa_utils import AveragedModel

import landscape as ls
from landscape.recording.numbers.sketch import Sketch, SketchedPath
from landscape.recording.restore import restore


def backward(model, step, scale=1.0):
    x, y = batch(step)
    loss = F.cross_entropy(model(x), y)
    (scale * loss).backward()
    return loss


def test_accumulated_batches_are_one_step(tmp_path):
    model = made()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    states = [flat(model)]
    with ls.Recorder(tmp_path / "run.h5", model, optimizer) as recorder:
        for micro in range(8):
            backward(model, micro, 0.25)
            if micro % 4 == 3:
                optimizer.step()
                optimizer.zero_grad()
                recorder.log(micro=micro)
                states.append(flat(model))
    run = ls.Trajectory(tmp_path / "run.h5")
    np.testing.assert_array_equal(run.steps, [0, 1, 2])
    np.testing.assert_array_equal(run.scalars["micro"], [3, 7])
    for s, state in enumerate(states):
        np.testing.assert_array_equal(run.state(s), state.numpy())


@pytest.mark.parametrize("every", [1, 10])
@pytest.mark.parametrize("fused", [False, True])
def test_steps_that_a_gradient_scaler_skips_are_no_steps(tmp_path, fused, every):
    """A fused optimizer is called even when the scaler skips, and divides by the scale itself."""

    def scaled_run(path=None):
        model = made()
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01, fused=fused)
        scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
        recorder = None if path is None else ls.Recorder(path, model, optimizer, every=every)
        if recorder is not None:
            recorder.start()
        states, norms = [flat(model)], []
        for step in range(13):
            optimizer.zero_grad()
            with torch.autocast("cpu", dtype=torch.bfloat16):
                x, y = batch(step)
                loss = F.cross_entropy(model(x), y)
            scaler.scale(loss).backward()
            if step == 2:
                next(model.parameters()).grad[0] = torch.inf
            else:
                grads = torch.cat([p.grad.reshape(-1) for p in model.parameters()])
                norms.append(grads.norm().item() / scaler.get_scale())
            scaler.step(optimizer)
            scaler.update()
            if step != 2:
                states.append(flat(model))
        if recorder is not None:
            recorder.close()
        return torch.stack(states).numpy(), norms

    states, norms = scaled_run()
    again, _ = scaled_run(tmp_path / "run.h5")
    np.testing.assert_array_equal(again, states)
    run = ls.Trajectory(tmp_path / "run.h5")
    np.testing.assert_array_equal(run.steps, np.unique([*range(0, 13, every), 12]))
    for s, step in enumerate(run.steps):
        np.testing.assert_array_equal(run.state(s), states[step])
    # Scales are powers of two, so unscaling is exact; float32 sums of 350 squares remain.
    np.testing.assert_allclose(run.scalars["gradient_norm"], norms, rtol=1e-5)


def test_every_group_and_schedule_is_recorded_as_the_step_used_it(tmp_path):
    model = made()
    groups = [{"params": model.conv.parameters()}, {"params": model.head.parameters(), "lr": 0.5}]
    optimizer = torch.optim.SGD(groups, lr=0.1, momentum=0.8)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, [0.2, 1.0], total_steps=8)
    used = []
    with ls.Recorder(tmp_path / "run.h5", model, optimizer):
        for step in range(5):
            optimizer.zero_grad()
            backward(model, step)
            used.append([(g["lr"], g["momentum"]) for g in optimizer.param_groups])
            optimizer.step()
            schedule.step()
    scalars = ls.Trajectory(tmp_path / "run.h5").scalars
    np.testing.assert_array_equal(scalars["lr"], [u[0][0] for u in used])
    np.testing.assert_array_equal(scalars["lr.1"], [u[1][0] for u in used])
    np.testing.assert_array_equal(scalars["momentum"], [u[0][1] for u in used])
    np.testing.assert_array_equal(scalars["momentum.1"], [u[1][1] for u in used])
    assert len(set(scalars["momentum"])) > 3  # the schedule moves it


def test_frozen_parameters_are_left_out_and_tied_ones_appear_once(tmp_path):
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = nn.Embedding(7, 3)
            self.middle = nn.Linear(3, 3)
            self.head = nn.Linear(3, 7, bias=False)
            self.head.weight = self.embed.weight
            self.middle.requires_grad_(False)

        def forward(self, x):
            return self.head(self.middle(self.embed(x)))

    torch.manual_seed(0)
    model = Tied()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with ls.Recorder(tmp_path / "run.h5", model, optimizer):
        for _ in range(2):
            optimizer.zero_grad()
            F.cross_entropy(model(torch.arange(7)), torch.arange(7)).backward()
            optimizer.step()
    run = ls.Trajectory(tmp_path / "run.h5")
    assert [entry.name for entry in run.layout] == ["embed.weight"]
    np.testing.assert_array_equal(run.final, model.embed.weight.detach().reshape(-1))
    # The file alone gives the whole model back.
    assert [entry.name for entry in run.frozen_layout] == ["middle.weight", "middle.bias"]
    other = Tied()
    assert not torch.equal(other.middle.weight, model.middle.weight)
    restore(other, run, -1)
    for name, value in model.state_dict().items():
        assert torch.equal(other.state_dict()[name], value), name
    other.middle.bias.requires_grad_(True)
    other.middle.bias.data.zero_()
    restore(other, run, -1)  # by name, whichever of them is trained now
    assert torch.equal(other.middle.bias, model.middle.bias)
    other.more = nn.Linear(3, 3)
    with pytest.raises(ValueError, match=r"are not the model's: 2 missing \(first: more.weight\)"):
        restore(other, run, -1)


def test_files_without_the_frozen_parameters_are_restored_as_before(tmp_path):
    model = made()
    model.head.requires_grad_(False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with ls.Recorder(tmp_path / "run.h5", model, optimizer, frozen=False):
        backward(model, 0)
        optimizer.step()
    run = ls.Trajectory(tmp_path / "run.h5")
    assert run.frozen is None
    other = made(seed=5)
    other.head.requires_grad_(False)
    before = other.head.weight.clone()
    restore(other, run, -1)
    assert torch.equal(other.head.weight, before)
    assert torch.equal(other.conv.weight, model.conv.weight)


@pytest.mark.parametrize("every", [1, 4, None])
def test_norms_and_cosines_equal_those_of_the_states_and_gradients(tmp_path, every):
    model = made()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    states, gradients = [flat(model)], []
    with ls.Recorder(tmp_path / "run.h5", model, optimizer, every=every):
        for step in range(9):
            optimizer.zero_grad()
            backward(model, step)
            gradients.append(torch.cat([p.grad.reshape(-1) for p in model.parameters()]))
            optimizer.step()
            states.append(flat(model))
    run = ls.Trajectory(tmp_path / "run.h5")
    theta, g = torch.stack(states).double().numpy(), torch.stack(gradients).double().numpy()
    u = np.diff(theta, axis=0)
    whole = [slice(0, theta.shape[1])]
    tensors = [entry.slice for entry in run.layout]
    for parts, found in (
        (whole, run.scalars),
        (tensors, {n: run.layers(n) for n in run.layer_scalars}),
    ):
        for column, part in enumerate(parts):
            expected = {
                "update_norm": norm(u[:, part]),
                "update_cosine": cosine(u[:, part]),
                "gradient_norm": norm(g[:, part]),
                "gradient_cosine": cosine(g[:, part]),
                "distance": norm(theta[1:, part] - theta[0, part]),
            }
            for name, values in expected.items():
                mine = found[name] if parts is whole else found[name][:, column]
                # The update is rounded to float32 (6e-8 of the weight, which is up to 100 times
                # an element of it), the dot products are sums in float32.
                np.testing.assert_allclose(mine, values, rtol=2e-5, atol=2e-5, err_msg=name)
    assert run.updates == 9


def norm(rows):
    return np.linalg.norm(rows, axis=1)


def cosine(rows):
    with np.errstate(invalid="ignore"):
        dots = (rows[1:] * rows[:-1]).sum(axis=1) / (norm(rows[1:]) * norm(rows[:-1]))
    return np.concatenate([[np.nan], dots])


def test_a_closure_gives_loss_and_gradient_at_the_stored_point(tmp_path):
    model = made().eval()
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.5, max_iter=4)
    at_start, losses = [], []

    def closure():
        optimizer.zero_grad()
        loss = backward(model, 0)
        calls.append(torch.cat([p.grad.reshape(-1) for p in model.parameters()]))
        values.append(loss.item())
        return loss

    with ls.Recorder(tmp_path / "run.h5", model, optimizer):
        for _ in range(3):
            calls, values = [], []
            optimizer.step(closure)
            assert len(calls) > 1
            at_start.append(calls[0].norm().item())
            losses.append(values[0])
    run = ls.Trajectory(tmp_path / "run.h5")
    np.testing.assert_allclose(run.scalars["gradient_norm"], at_start, rtol=1e-5)
    np.testing.assert_array_equal(run.scalars["loss"], losses)


def test_parameters_without_gradient_and_sparse_gradients(tmp_path):
    model = nn.ModuleDict({"used": nn.Embedding(5, 2, sparse=True), "idle": nn.Linear(2, 2)})
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with ls.Recorder(tmp_path / "run.h5", model, optimizer):
        model["used"](torch.tensor([1, 1, 3])).sum().backward()
        optimizer.step()
    # Rows 1 and 3 have gradients (2, 2) and (1, 1).
    run = ls.Trajectory(tmp_path / "run.h5")
    assert run.scalars["gradient_norm"] == pytest.approx(np.sqrt(10))
    np.testing.assert_allclose(run.layers("gradient_norm")[0], [np.sqrt(10), 0, 0], rtol=1e-6)


@pytest.mark.parametrize(
    ("parameters", "names"),
    [
        (["head.bias", "conv.weight"], ["conv.weight", "head.bias"]),
        (r"norm\..*", ["norm.weight", "norm.bias"]),
        (lambda name, p: p.dim() > 1, ["conv.weight", "head.weight"]),
    ],
)
def test_chosen_parameters(tmp_path, parameters, names):
    model = made()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with ls.Recorder(tmp_path / "run.h5", model, optimizer, parameters=parameters):
        backward(model, 0)
        optimizer.step()
    run = ls.Trajectory(tmp_path / "run.h5")
    assert [entry.name for entry in run.layout] == names
    named = dict(model.named_parameters())
    expected = torch.cat([named[name].detach().reshape(-1) for name in names])
    np.testing.assert_array_equal(run.final, expected)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (["head.bias", "tail"], "'tail', which is not a trainable parameter; the model has conv"),
        ("(", "not a regular expression"),
        ("tail.*", "selects nothing; the model has conv.weight"),
    ],
)
def test_chosen_parameters_that_do_not_exist(tmp_path, parameters, message):
    model = made()
    with pytest.raises(ValueError, match=message):
        ls.Recorder(
            tmp_path / "run.h5",
            model,
            torch.optim.SGD(model.parameters()),
            parameters=parameters,
        )


def test_half_precision_of_the_distance_from_the_start(tmp_path):
    model = made()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    states = [flat(model)]
    with ls.Recorder(tmp_path / "run.h5", model, optimizer, dtype="float16-delta"):
        for step in range(5):
            optimizer.zero_grad()
            backward(model, step)
            optimizer.step()
            states.append(flat(model))
    run = ls.Trajectory(tmp_path / "run.h5")
    np.testing.assert_array_equal(run.initial, states[0])
    for s in range(1, 6):
        state, delta = states[s].numpy(), states[s].numpy() - states[0].numpy()
        # Half precision rounds by 2⁻¹¹ of the distance (2⁻²⁵ near zero), float32 by 2⁻²⁴ twice.
        bound = np.abs(delta) * 2.0**-11 + 2.0**-25 + 2 * np.abs(state) * 2.0**-24
        assert (np.abs(run.state(s) - state) <= bound).all()
        assert (run.state(s) != state).any()
        np.testing.assert_array_equal(run.rounded(state), run.state(s))
        np.testing.assert_array_equal(run.columns(np.array([s]), slice(3, 8))[0], run.state(s)[3:8])
    assert run.holds["dtype"] == "float16-delta"


@pytest.mark.parametrize("form", ["module", "names", "parameters", "list"])
def test_an_average_is_recorded_as_it_is_before_the_next_step(tmp_path, form):
    model = made()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    average = AveragedModel(model)
    sources = {
        "module": average,
        "names": lambda: dict(average.module.named_parameters()),
        "parameters": lambda: dict(
            zip(model.parameters(), average.module.parameters(), strict=True)
        ),
        "list": lambda: list(average.module.parameters()),
    }
    averages = [flat(average.module)]
    with ls.Recorder(tmp_path / "run.h5", model, optimizer, evaluation=sources[form]):
        for step in range(4):
            optimizer.zero_grad()
            backward(model, step)
            optimizer.step()
            average.update_parameters(model)
            averages.append(flat(average.module))
    run = ls.Trajectory(tmp_path / "run.h5")
    for s, expected in enumerate(averages):
        np.testing.assert_array_equal(run.evaluation(s), expected)
    assert (run.evaluation(4) != run.state(4)).any()


def test_what_is_logged_early_late_and_twice(tmp_path):
    model = made()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with ls.Recorder(tmp_path / "run.h5", model, optimizer) as recorder:
        recorder.log(seed=5)
        for step in range(3):
            optimizer.zero_grad()
            loss = backward(model, step)
            optimizer.step()
            recorder.log(loss=99.0)
            recorder.log(loss=loss, distance=-1.0)
        with pytest.raises(ValueError, match=r"takes one number; got shape \(2,\)"):
            recorder.log(loss=torch.zeros(2))
        with pytest.raises(ValueError, match="cannot be called 'a/b'"):
            recorder.log(**{"a/b": 1.0})
    scalars = ls.Trajectory(tmp_path / "run.h5").scalars
    np.testing.assert_array_equal(scalars["seed"], [5, np.nan, np.nan])
    assert (scalars["loss"] < 10).all()
    np.testing.assert_array_equal(scalars["distance"], -1)  # the user's number has precedence


def test_an_optimizer_of_another_model_is_refused(tmp_path):
    with pytest.raises(ValueError, match="none of the model's parameters"):
        ls.Recorder(tmp_path / "run.h5", made(), torch.optim.SGD(Net().parameters()))


def test_flush_makes_every_step_readable_to_others(tmp_path):
    model = made()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with ls.Recorder(tmp_path / "run.h5", model, optimizer) as recorder:
        for step in range(3):
            backward(model, step)
            optimizer.step()
            recorder.flush()
            assert recorder.committed == step + 1


@pytest.mark.parametrize("k", [64, 1024])
def test_sketched_distances_and_angles_lie_within_the_stated_error(tmp_path, k):
    model = made()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    states = [flat(model)]
    with ls.Recorder(tmp_path / "run.h5", model, optimizer, every=None, sketch=k, seed=1):
        for step in range(24):
            optimizer.zero_grad()
            backward(model, step)
            optimizer.step()
            states.append(flat(model))
    run = ls.Trajectory(tmp_path / "run.h5")
    np.testing.assert_array_equal(run.steps, [0, 24])
    theta = torch.stack(states).double().numpy()
    path = SketchedPath(run)
    z = []
    for a in range(0, 24, 3):
        estimate, error = path.distance(a, a + 1)
        z.append((estimate - np.linalg.norm(theta[a] - theta[a + 1])) / error)
        estimate, error = path.cosine((a, a + 1), (a + 1, 24))
        x, y = theta[a + 1] - theta[a], theta[24] - theta[a + 1]
        z.append((estimate - x @ y / np.linalg.norm(x) / np.linalg.norm(y)) / error)
    # Sixteen dependent, nearly normal numbers: |z| > 4.5 in 1 of 10⁴ cases.
    assert np.abs(z).max() < 4.5
    assert np.abs(z).mean() > 0.1  # the error is not overstated either


@pytest.mark.parametrize("k", [5, 20_000])
def test_a_sketch_is_the_sum_with_random_signs(monkeypatch, k):
    monkeypatch.setattr("landscape.recording.numbers.sketch._BLOCK", 64)
    x, origin = torch.randn(2, 1001)
    places = np.random.default_rng(3).integers(0, 2 * k, 1001)
    wanted = np.bincount(places, (x - origin).numpy(), minlength=2 * k)
    found = Sketch(1001, k, seed=3)(x, origin)
    np.testing.assert_allclose(found, wanted[:k] - wanted[k:], atol=1e-12)


def test_the_error_of_sketches_falls_as_one_over_the_root_of_their_size():
    """Distances between states of one run, sketched with 100 seeds for each of two sizes."""
    model = made()
    states, _ = train(model, torch.optim.Adam(model.parameters(), lr=0.01), 12)
    theta = torch.from_numpy(states)
    true = (theta[3:] - theta[:-3]).double().norm(dim=1)
    spread = {}
    for k in (16, 256):
        errors = []
        for seed in range(100):
            sketch = Sketch(theta.shape[1], k, seed=seed)
            points = torch.stack([sketch(state, theta[0]) for state in theta])
            errors.append((points[3:] - points[:-3]).norm(dim=1) / true - 1)
        spread[k] = torch.stack(errors).square().mean().sqrt().item()
        # 1/√(2k) is a limit; the spread of 100 seeds is known to 7 %, four times that is allowed.
        assert spread[k] < 1.28 / np.sqrt(2 * k)
    # The ratio of two such spreads is known to 10 %, and the next order in 1/k is below 10 %.
    assert spread[16] / spread[256] == pytest.approx(4, rel=0.4)


def test_another_recorder_begins_and_ends_in_the_middle_of_a_step(tmp_path):
    """As in another thread: torch is going through its hooks then."""
    model, other = made(), made()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    second = torch.optim.SGD(other.parameters(), lr=0.1)
    paths = (tmp_path / f"{number}.h5" for number in range(100))

    def evaluated():
        with ls.Recorder(next(paths), other, second):
            train(other, second, 1)
        return model.parameters()

    third = made()
    still = torch.optim.SGD(third.parameters(), lr=0.1)
    with (
        ls.Recorder(tmp_path / "run.h5", model, optimizer, evaluation=evaluated) as recorder,
        ls.Recorder(tmp_path / "still.h5", third, still),  # is asked after it
    ):
        train(model, optimizer, 3, recorder)
    assert len(ls.Trajectory(tmp_path / "run.h5")) == 4
    assert all(len(ls.Trajectory(path)) == 2 for path in tmp_path.glob("?.h5"))
