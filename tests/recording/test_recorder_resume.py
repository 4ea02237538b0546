"""Resuming a recording: it goes on from the state the model is in, bit for bit, or is refused."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from test_recorder import flat, made, train
from torch import nn

import landscape as ls
from landscape.recording.numbers.random_state import random_state, restore_random_state


def adam(model):
    return torch.optim.Adam(model.parameters(), lr=0.01)


def checkpoint(model, optimizer):
    return copy.deepcopy((model.state_dict(), optimizer.state_dict()))


def restored(saved):
    model = made(seed=99)
    optimizer = adam(model)
    model.load_state_dict(saved[0])
    optimizer.load_state_dict(saved[1])
    return model, optimizer


def whole(path, steps=12, **options):
    model = made()
    optimizer = adam(model)
    with ls.Recorder(path, model, optimizer, **options) as recorder:
        train(model, optimizer, steps, recorder)
    return ls.Trajectory(path)


def interrupted(path, saved_at, died_at, **options):
    """A run that saved a checkpoint, went on, and died."""
    model = made()
    optimizer = adam(model)
    recorder = ls.Recorder(path, model, optimizer, **options).start()
    train(model, optimizer, saved_at, recorder)
    recorder.flush()
    saved = checkpoint(model, optimizer)
    train(model, optimizer, died_at - saved_at, recorder, start=saved_at)
    recorder.close(complete=False)
    return saved


def resume(path, saved, step, *, steps=12, resume=True, **options):
    model, optimizer = restored(saved)
    with ls.Recorder(path, model, optimizer, resume=resume, **options) as recorder:
        assert recorder.step == step
        train(model, optimizer, steps - step, recorder, start=step)
    return ls.Trajectory(path)


def assert_same_run(resumed, twin, *, unknown=()):
    assert resumed.complete
    np.testing.assert_array_equal(resumed.steps, twin.steps)
    for s in range(len(twin)):
        np.testing.assert_array_equal(resumed.state(s), twin.state(s))
        np.testing.assert_array_equal(resumed.buffers(s), twin.buffers(s))
    assert set(resumed.scalars) == set(twin.scalars)
    for name, expected in twin.scalars.items():
        expected = expected.copy()
        for where in unknown:
            expected[where[1]] = np.nan if where[0] == name else expected[where[1]]
        np.testing.assert_array_equal(resumed.scalars[name], expected, err_msg=name)
    for name in twin.layer_scalars:
        keep = np.ones(twin.updates, bool)
        keep[[where[1] for where in unknown]] = False
        np.testing.assert_array_equal(resumed.layers(name)[keep], twin.layers(name)[keep])


@pytest.mark.parametrize(("saved_at", "died_at"), [(5, 5), (5, 9), (1, 3), (0, 4), (8, 12)])
def test_a_resumed_run_equals_the_uninterrupted_one(tmp_path, saved_at, died_at):
    twin = whole(tmp_path / "twin.h5", random_state=True)
    saved = interrupted(tmp_path / "run.h5", saved_at, died_at, random_state=True)
    torch.manual_seed(1234)  # dropout would go another way without the stored random state
    run = resume(tmp_path / "run.h5", saved, saved_at, random_state=True)
    # The gradient before the restart is gone, so its cosine with the next one is unknown.
    assert_same_run(run, twin, unknown=[("gradient_cosine", saved_at)] if saved_at else [])


def test_without_the_random_state_the_run_goes_on_but_elsewhere(tmp_path):
    twin = whole(tmp_path / "twin.h5")
    saved = interrupted(tmp_path / "run.h5", 5, 9)
    torch.manual_seed(1234)
    run = resume(tmp_path / "run.h5", saved, 5)
    np.testing.assert_array_equal(run.state(5), twin.state(5))
    assert (run.state(6) != twin.state(6)).any()
    assert run.random_state(0) is None


def test_resuming_between_recorded_states_names_the_step(tmp_path):
    saved = interrupted(tmp_path / "run.h5", 5, 9, every=4)
    model, optimizer = restored(saved)
    with pytest.raises(ValueError, match=r"in none of the 4 states.*pass resume=STEP"):
        ls.Recorder(tmp_path / "run.h5", model, optimizer, resume=True, every=4).start()
    with pytest.raises(ValueError, match=r"resume=99, but .* holds steps 0 to 9"):
        ls.Recorder(tmp_path / "run.h5", model, optimizer, resume=99, every=4).start()
    with pytest.raises(ValueError, match="differs from the state recorded at step 4"):
        ls.Recorder(tmp_path / "run.h5", model, optimizer, resume=4, every=4).start()
    run = resume(tmp_path / "run.h5", saved, 5, resume=5, every=4)
    np.testing.assert_array_equal(run.steps, [0, 4, 8, 12])
    np.testing.assert_array_equal(run.state(0), flat(made()))
    assert run.updates == 12
    assert np.isfinite(run.scalars["loss"]).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dtype": "float16-delta"}, "recorded with dtype='float32', not 'float16-delta'"),
        ({"sketch": 32}, r"recorded with sketch=None, not \(32, 0\)"),
        ({"random_state": True}, "recorded with random_state=False, not True"),
        ({"evaluation": dict}, "recorded with evaluation=False, not True"),
        ({"parameters": "head.*"}, r"other parameters \(3 unknown \(first: conv.weight\)|missing"),
    ],
)
def test_other_settings_are_refused_and_the_file_stays(tmp_path, options, message):
    path = tmp_path / "run.h5"
    saved = interrupted(path, 3, 6)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=message):
        ls.Recorder(path, *restored(saved), resume=True, **options).start()
    assert path.read_bytes() == before


def test_another_model_is_refused_and_the_file_stays(tmp_path):
    path = tmp_path / "run.h5"
    interrupted(path, 3, 6)
    before = path.read_bytes()
    other = nn.Linear(2, 2)
    with pytest.raises(ValueError, match="recorded with other parameters"):
        ls.Recorder(path, other, adam(other), resume=True).start()
    assert path.read_bytes() == before


def test_resume_without_a_file_starts_one(tmp_path):
    model = made()
    optimizer = adam(model)
    with ls.Recorder(tmp_path / "run.h5", model, optimizer, resume=True):
        train(model, optimizer, 2)
    assert len(ls.Trajectory(tmp_path / "run.h5")) == 3


def test_resume_after_a_death_before_the_first_state_starts_anew(tmp_path):
    ls.TrajectoryWriter(tmp_path / "run.h5", ls.Layout.of(made())).discard()
    model = made()
    optimizer = adam(model)
    with ls.Recorder(tmp_path / "run.h5", model, optimizer, resume=True):
        train(model, optimizer, 2)
    assert len(ls.Trajectory(tmp_path / "run.h5")) == 3


def test_resumed_sketch_and_half_precision(tmp_path):
    options = {"dtype": "float16-delta", "sketch": 16, "random_state": True}
    twin = whole(tmp_path / "twin.h5", **options)
    saved = interrupted(tmp_path / "run.h5", 5, 9, **options)
    run = resume(tmp_path / "run.h5", saved, 5, **options)
    for s in range(13):
        np.testing.assert_array_equal(run.state(s), twin.state(s))
    np.testing.assert_array_equal(run.sketch, twin.sketch)


def test_random_state_is_that_of_every_generator():
    import random

    def draw():
        return (torch.rand(3).tolist(), np.random.normal(size=3).tolist(), random.gauss(0, 1))

    np.random.normal(size=3)  # an odd number, so that one normal number is held back
    random.gauss(0, 1)
    state = random_state()
    first = draw()
    second = draw()
    restore_random_state(state)
    assert draw() == first
    assert draw() == second
    with pytest.raises(ValueError, match=r"has 10 bytes, this machine's has"):
        restore_random_state(state[:10])


@pytest.mark.parametrize("resume_at", [True, 3])
def test_a_resume_without_a_step_still_ends_with_the_model(tmp_path, resume_at):
    saved = interrupted(tmp_path / "a.h5", 3, 7, every=2 if resume_at == 3 else 1)
    model, optimizer = restored(saved)
    options = {"every": 2 if resume_at == 3 else 1, "resume": resume_at}
    with ls.Recorder(tmp_path / "a.h5", model, optimizer, **options):
        pass
    run = ls.Trajectory(tmp_path / "a.h5")
    assert run.complete
    assert run.steps[-1] == 3
    np.testing.assert_array_equal(run.final, flat(model).numpy())


def test_buffers_that_moved_before_a_resume_are_said_and_stored(tmp_path):
    model, optimizer = restored(interrupted(tmp_path / "a.h5", 3, 3))
    buffer = next(b for b in model.buffers() if b.is_floating_point())
    buffer.add_(1)
    with pytest.warns(ls.MovedUnseen, match="Buffers moved after step 3"):
        ls.Recorder(tmp_path / "a.h5", model, optimizer, resume=True).start().close()
    run = ls.Trajectory(tmp_path / "a.h5")
    assert run.steps.tolist() == [0, 1, 2, 3, 4]
    floats = [b.flatten() for b in model.buffers() if b.is_floating_point()]
    np.testing.assert_array_equal(run.buffers(-1), torch.cat(floats).numpy())
