"""Measuring gives the model back bit for bit, whatever happens in between."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import landscape as ls


class TiedGPT(nn.Module):
    """Attention with a mask in a buffer, dropout, tied embeddings."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(11, 8)
        self.block = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1, batch_first=True)
        self.head = nn.Linear(8, 11, bias=False)
        self.head.weight = self.embedding.weight
        self.register_buffer("mask", torch.full((6, 6), -torch.inf).triu(1))

    def forward(self, tokens):
        return self.head(self.block(self.embedding(tokens), src_mask=self.mask))


class ResidualBlock(nn.Module):
    """Convolutions with batch norm, and a skip."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 4, 3, padding=1)
        self.conv, self.norm = nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)

    def forward(self, x):
        x = self.stem(x)
        return (x + self.norm(self.conv(x))).relu()


def next_token(model, batch):
    logits = model(batch)[:, :-1]
    each = F.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten(), reduction="none")
    return each.sum(), torch.tensor(each.numel())


def classify(model, batch):
    return F.cross_entropy(model(batch[0]), batch[1], reduction="none")


def regress(model, batch):
    return (model(batch[0]) - batch[1]).square().mean()


def built(name):
    """A model in a mixed state of mode and requires_grad, its loss, its data."""
    torch.manual_seed(0)
    images = (torch.randn(9, 2, 6, 6), torch.arange(9) % 3)
    if name == "gpt":
        return TiedGPT(), next_token, torch.randint(0, 11, (9, 6))
    if name == "mlp with dropout":
        net = nn.Sequential(nn.Flatten(), nn.Linear(72, 8), nn.Dropout(0.5), nn.Linear(8, 3))
        return net, classify, images
    if name == "mlp":
        net = nn.Sequential(nn.Flatten(), nn.Linear(72, 8), nn.Tanh(), nn.Linear(8, 3))
        return net, classify, images
    if name == "pooling":
        net = nn.Sequential(
            nn.Conv2d(2, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16, 3)
        )
        return net, classify, images
    if name == "batch norm":
        net = nn.Sequential(ResidualBlock(), nn.Flatten(), nn.Linear(144, 3))
        net(images[0])  # running statistics that are not the initial ones
        return net, classify, images
    net = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 2)).double()
    nn.utils.parametrizations.weight_norm(net[0])
    return net, regress, (torch.randn(9, 4).double(), torch.randn(9, 2).double())


NAMES = ("mlp", "gpt", "mlp with dropout", "batch norm", "regression")


def unsettled(name):
    model, loss, data = built(name)
    model.train()
    list(model.modules())[-1].eval()
    next(iter(model.parameters())).requires_grad_(False)
    for parameter in list(model.parameters())[1:]:
        parameter.grad = torch.randn_like(parameter)
    model.note = "an attribute of the user's"
    model.register_forward_hook(lambda module, args, output: None)
    return model, loss, data


def state_of(model):
    """Everything that could change, copied; and the identities of what must not be replaced."""
    tensors = [*model.named_parameters(), *model.named_buffers()]
    copies = {
        "values": {n: t.detach().clone() for n, t in tensors},
        "gradients": {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None},
        "python": random.getstate(),
        "numpy": np.random.get_state()[1].tobytes(),
        "torch": torch.get_rng_state(),
    }
    identities = {
        "tensors": {n: (id(t), t.data_ptr(), t.dtype, t.requires_grad, t._version)
                    for n, t in tensors},
        "grads": {n: id(p.grad) for n, p in model.named_parameters()},
        "modes": [m.training for m in model.modules()],
        "attributes": [
            {k: id(v) for k, v in m.__dict__.items() if not isinstance(v, bool)}
            for m in model.modules()
        ],
        "hooks": [list(m._forward_hooks) for m in model.modules()],
        "grad mode": torch.is_grad_enabled(),
    }  # fmt: skip
    return copies, identities


def assert_unchanged(model, before):
    copies, identities = before
    now, same = state_of(model)
    assert same == identities
    for name in ("values", "gradients"):
        assert now[name].keys() == copies[name].keys()
        for key, tensor in copies[name].items():
            assert torch.equal(now[name][key], tensor), (name, key)
    assert (now["python"], now["numpy"]) == (copies["python"], copies["numpy"])
    assert torch.equal(now["torch"], copies["torch"])


def perturbing(loss, *, fail_at=None):
    """A loss that uses up random numbers and, from its n-th call on, raises."""
    calls = []

    def wrapped(model, batch):
        calls.append(None)
        random.random()
        np.random.rand()
        torch.rand(1)
        if fail_at is not None and len(calls) >= fail_at:
            raise RuntimeError("the user's loss failed")
        return loss(model, batch)

    return wrapped


def measure(model, loss, data, **options):
    objective = ls.Objective(model, loss, data, batch_size=4, **options)
    rng = np.random.default_rng(0)
    restriction = objective.restrict(
        objective.parameters(), 0.1 * rng.normal(size=(2, objective.layout.size))
    )
    return restriction(rng.normal(size=(5, 2)))


@pytest.mark.parametrize("precision", ["single", "double"])
@pytest.mark.parametrize("name", NAMES)
def test_the_model_is_as_it_was(name, precision):
    model, loss, data = unsettled(name)
    before = state_of(model)
    found = measure(model, perturbing(loss), data, precision=precision)
    assert np.isfinite(found.mean).all()
    assert found.mean.std() > 0
    assert_unchanged(model, before)


@pytest.mark.parametrize("policy", ["frozen", "batch"])
def test_running_statistics_are_left_alone(policy):
    model, loss, data = unsettled("batch norm")
    before = state_of(model)
    measure(model, loss, data, batch_norm=policy)
    assert_unchanged(model, before)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=4, deadline=None)
@given(call=st.integers(1, 15))
def test_after_an_exception_at_any_call(name, call):
    model, loss, data = unsettled(name)
    before = state_of(model)
    with pytest.raises(RuntimeError, match="the user's loss failed"):
        measure(model, perturbing(loss, fail_at=call), data)
    assert_unchanged(model, before)


@pytest.mark.parametrize("precision", ["single", "double"])
def test_a_graph_built_before_measuring_still_runs_backward(precision):
    model, loss, data = built("regression")
    value = loss(model, data)
    wanted = torch.autograd.grad(value, list(model.parameters()), retain_graph=True)
    measure(model, loss, data, precision=precision)
    value.backward()
    for parameter, expected in zip(model.parameters(), wanted, strict=True):
        assert torch.equal(parameter.grad, expected)


@pytest.mark.skipif(os.name == "nt", reason="sends POSIX signals")
@pytest.mark.parametrize("delay", [0.0, 0.003, 0.05])
def test_ctrl_c_gives_the_model_back_with_what_was_measured(delay):
    script = textwrap.dedent("""
        import sys, threading, time, signal, os
        import numpy as np, torch
        sys.path.insert(0, {folder!r})
        import landscape as ls
        from test_objective_restoration import NAMES, assert_unchanged, state_of, unsettled

        class Tell:
            def __init__(self):
                self.started = threading.Event()

            def expect(self, seconds):
                pass

            def say(self, what):
                pass

            def advance(self, count=1):
                self.started.set()

        def kill(started):
            started.wait()
            time.sleep({delay})
            os.kill(os.getpid(), signal.SIGINT)

        torch.set_num_threads(1)
        for name in NAMES:
            model, loss, data = unsettled(name)
            objective = ls.Objective(model, loss, data, batch_size=4)
            zero = np.zeros((2, objective.layout.size))
            restriction = objective.restrict(objective.parameters(), zero)
            before, tell = state_of(model), Tell()
            threading.Thread(target=kill, args=(tell.started,), daemon=True).start()
            try:
                restriction(np.zeros((10**6, 2)), progress=tell)
            except ls.Interrupted as stop:
                assert_unchanged(model, before)
                found = stop.partial
                assert 0 < found.computed.sum() < 10**6
                assert np.isfinite(found.mean[:, found.computed]).all()
                assert np.isnan(found.mean[:, ~found.computed]).all()
                assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
                print("restored", name)
    """).format(folder=os.path.dirname(__file__), delay=delay)
    run = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True, text=True, timeout=600, check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert run.stdout.splitlines() == [f"restored {name}" for name in NAMES], run.stderr[-2000:]
    assert run.returncode == 0


def test_a_signal_handler_of_the_users_is_respected():
    if os.name == "nt":
        pytest.skip("sends POSIX signals")
    heard = []
    model, loss, data = built("regression")

    def interrupting(model, batch):
        signal.raise_signal(signal.SIGINT)
        return loss(model, batch)

    previous = signal.signal(signal.SIGINT, lambda *_: heard.append(1))
    try:
        measure(model, interrupting, data)
    finally:
        signal.signal(signal.SIGINT, previous)
    assert len(heard) >= 15


def test_reading_a_loader_leaves_the_random_state():
    data = torch.utils.data.TensorDataset(*built("mlp with dropout")[2])
    model = nn.Sequential(nn.Flatten(), nn.Linear(72, 3))
    for given_data in (data, torch.utils.data.DataLoader(data, batch_size=4, shuffle=True)):
        before = torch.get_rng_state()
        ls.Objective(model, classify, given_data)
        assert torch.equal(torch.get_rng_state(), before)
