"""A recorder that cannot start leaves nothing behind; a resume that is refused changes nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from test_recorder import made, train
from torch import nn

import landscape as ls
from landscape.recording.numbers.random_state import random_state, restore_random_state


def sgd(model):
    return torch.optim.SGD(model.parameters(), lr=0.1)


def broken():
    raise RuntimeError("mine")


class Locked:
    """Takes no new attribute, so that its step cannot be heard."""

    __slots__ = ("param_groups",)

    def __init__(self, model):
        self.param_groups = [{"params": list(model.parameters())}]

    def step(self):
        pass


@pytest.mark.parametrize("before", ["nothing", "a file", "a run"])
@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"sketch": 1}, ValueError, "sketch must be at least 2"),
        ({"dtype": "float128"}, ValueError, "dtype must be one of float32, float64"),
        ({"every": 0}, ValueError, "every must be at least 1"),
        ({"evaluation": broken}, RuntimeError, "mine"),
        ({"evaluation": list}, ValueError, "tensors are recorded; got 0"),
        ({"run": {"task": object()}}, TypeError, "not JSON serializable"),
        ({"beside": {"k": 1.0}}, TypeError, r"beside\['k'\] must be a tensor; got float"),
        ({"beside": {"k": torch.zeros(2, dtype=torch.cfloat)}}, ValueError, "real numbers"),
        ({"steps": 10**15}, OSError, "are free on its disk"),
    ],
)
def test_the_corrected_call_works(tmp_path, before, options, error, message):
    path = tmp_path / "run.h5"
    model = made()
    if before == "a file":
        path.write_text("notes")
    elif before == "a run":
        with ls.Recorder(path, model, sgd(model)):
            pass
    content = path.read_bytes() if path.exists() else None
    allowed = {"overwrite": True} if content else {}
    with pytest.raises(error, match=message):
        ls.Recorder(path, model, sgd(model), **options, **allowed).start()
    assert (path.read_bytes() if path.exists() else None) == content
    assert len(list(tmp_path.iterdir())) == bool(content)
    with ls.Recorder(path, model, optimizer := sgd(model), **allowed):
        train(model, optimizer, 2)
    assert len(ls.Trajectory(path)) == 3


def test_a_step_that_cannot_be_heard_is_refused_with_the_remedy(tmp_path):
    model = made()
    with pytest.raises(TypeError, match=r"Locked cannot be heard.*give the optimizer inside it"):
        ls.Recorder(tmp_path / "run.h5", model, Locked(model)).start()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("wrong", [None, 3, "adam", [], {}, [None]])
def test_what_is_no_optimizer_is_refused(tmp_path, wrong):
    with pytest.raises(TypeError, match="must be a torch optimizer, something else with a step"):
        ls.Recorder(tmp_path / "run.h5", made(), wrong)


@pytest.fixture
def run(tmp_path):
    """Six steps recorded with random states, and the model as it was after the second."""
    path = tmp_path / "run.h5"
    model = made()
    optimizer = sgd(model)
    recorder = ls.Recorder(path, model, optimizer, random_state=True).start()
    train(model, optimizer, 2)
    saved = {name: value.clone() for name, value in model.state_dict().items()}
    train(model, optimizer, 4, start=2)
    recorder.close(complete=False)
    model.load_state_dict(saved)
    return path, model


def damaged(path, position):
    import h5py

    with h5py.File(path, "r+") as file:
        states = file["random_state"]
        row = states[2]
        row[position : position + 8] = np.frombuffer(np.int64(10**9).tobytes(), np.uint8)
        states[2] = row


TORCH = torch.get_rng_state().numel()
PLACES = {"torch": 8, "numpy": TORCH + 4 * 624, "cached": TORCH + 4 * 624 + 8}
PLACES["python"] = TORCH + 4 * 624 + 24 + 4 * 624


@pytest.mark.parametrize("place", PLACES)
def test_a_damaged_random_state_is_refused_and_the_advice_works(run, place):
    path, model = run
    damaged(path, PLACES[place])
    content, generators = path.read_bytes(), random_state()
    with pytest.raises(ValueError, match=r"random state is damaged .*random_state=False"):
        ls.Recorder(path, model, sgd(model), resume=True, random_state=True).start()
    assert path.read_bytes() == content
    np.testing.assert_array_equal(random_state(), generators)
    optimizer = sgd(model)
    with ls.Recorder(path, model, optimizer, resume=True, random_state=False):
        train(model, optimizer, 2, start=2)
    found = ls.Trajectory(path)
    assert found.steps.tolist() == [0, 1, 2, 3, 4]
    assert found.random_state(1) is not None
    assert found.random_state(3) is None  # not known
    with pytest.raises(ValueError, match=r"holds no random state for step 4.*random_state=False"):
        ls.Recorder(path, model, optimizer, resume=True, random_state=True).start()


def test_a_random_state_of_another_machine_drops_nothing(run, monkeypatch):
    path, model = run
    content = path.read_bytes()
    here = random_state()
    monkeypatch.setattr(
        "landscape.recording.numbers.random_state.random_state", lambda cuda=False: here[:-8]
    )
    with pytest.raises(ValueError, match=r"has \d+ bytes, this machine's has \d+"):
        ls.Recorder(path, model, sgd(model), resume=True, random_state=True).start()
    assert path.read_bytes() == content


def test_no_random_state_crashes_whatever_its_bytes(tmp_path):
    good = random_state()
    random = np.random.default_rng(0)
    refused = 0
    for trial in range(400):
        bad = good.copy()
        places = random.integers(0, 64 if trial % 2 else len(bad), 1 + trial)
        bad[places] = random.integers(0, 256, len(places))
        try:
            restore_random_state(bad)
        except ValueError:
            refused += 1
        else:
            np.random.rand()
            torch.rand(700)
    restore_random_state(good)
    np.testing.assert_array_equal(random_state(), good)
    assert refused


class Interrupting:
    """A closure that is interrupted at its n-th call."""

    def __init__(self, model, at):
        self.model, self.at, self.calls = model, at, 0

    def __call__(self):
        self.calls += 1
        if self.calls == self.at:
            raise KeyboardInterrupt
        self.model.zero_grad()
        loss = self.model(torch.ones(4, 3)).square().sum()
        loss.backward()
        return loss


@pytest.mark.parametrize("name", ["sam", "asam", "sam-adam", "lookahead", "adam-sgd", "muon"])
def test_an_interrupted_step_leaves_the_weights_as_before_it(name):
    from landscape.optim.registry import build, find

    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    optimizer = build(name, model.parameters(), lr=0.05)
    closure = Interrupting(model, 6 if find(name).closure else 3)
    for _ in range(2):
        optimizer.step(closure)
    before = [p.detach().clone() for p in model.parameters()]
    with pytest.raises(KeyboardInterrupt):
        optimizer.step(closure)
    assert all(torch.equal(p, was) for p, was in zip(model.parameters(), before, strict=True))


def test_a_sharpness_aware_step_whose_inner_step_fails_leaves_the_weights(monkeypatch):
    model = nn.Linear(3, 2)
    optimizer = ls.SAM(inner := sgd(model))
    before = [p.detach().clone() for p in model.parameters()]

    def half_a_step(*args, **kwargs):
        model.weight.data.add_(1.0)
        raise RuntimeError("not finite")

    monkeypatch.setattr(inner, "step", half_a_step)
    with pytest.raises(RuntimeError, match="not finite"):
        optimizer.step(Interrupting(model, 0))
    assert all(torch.equal(p, was) for p, was in zip(model.parameters(), before, strict=True))
