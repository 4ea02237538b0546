"""Models that accelerate offloads are measured as the plain ones, and stay as they are."""

import functools
import itertools
import os
import signal

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import landscape as ls


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.norm = nn.Embedding(13, 8), nn.BatchNorm1d(8)
        self.up, self.down = nn.Linear(8, 10), nn.Linear(10, 8)
        self.head = nn.Linear(8, 13, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, tokens):
        x = self.embed(tokens)
        x = x + self.down(torch.relu(self.up(self.norm(x.flatten(0, 1)).view_as(x))))
        return self.head(x)


def net(dtype=torch.float32):
    torch.manual_seed(0)
    return Net().to(dtype).eval()


def loss(model, batch):
    return F.cross_entropy(model(batch[0]).flatten(0, 1), batch[1].flatten())


def measured(model, strategy="streamed"):
    generator = torch.Generator().manual_seed(1)
    data = tuple(torch.randint(13, (5, 6), generator=generator) for _ in range(2))
    objective = ls.Objective(model, loss, data, batch_size=5, strategy=strategy)
    plane = ls.random_plane(objective, stored=False)
    return ls.loss_surface(objective, plane, resolution=3).loss


class FailsError(Exception):
    pass


class Hook:
    """Brings the weights of a module from a mapping, as accelerate's does."""

    offload, place_submodules = True, False

    def __init__(self, weights_map):
        self.weights_map = weights_map


def by_hand(model, folder):
    """Offloaded by hooks of the same shape, without accelerate."""
    absent = {}
    for module in model.modules():
        kept = {name: p.data for name, p in module._parameters.items() if p is not None}
        if not kept:
            continue
        module._hf_hook, module._old_forward = Hook(kept), module.forward
        for name in kept:
            own = module._parameters[name]
            module._parameters[name] = absent.setdefault(id(own), nn.Parameter(own.to("meta")))
        module.forward = functools.partial(brought, module)
    return model


def brought(module, x):
    """A forward that brings the weights over whatever is there, and takes them away after."""
    before = dict(module._parameters)
    for name, values in module._hf_hook.weights_map.items():
        module._parameters[name] = nn.Parameter(values)
    try:
        return module._old_forward(x)
    finally:
        module._parameters.update(before)


def in_memory(model, folder):
    cpu = torch.device("cpu")
    return accelerate().cpu_offload(model, execution_device=cpu, offload_buffers=True)


def on_disk(model, folder):
    devices = {"embed": "disk", "norm": "cpu", "up": "cpu", "down": "disk", "head": "disk"}
    return accelerate().dispatch_model(model, devices, offload_dir=str(folder))


def by_layers(model, folder):
    """On disk without a word of what is tied."""
    return accelerate().disk_offload(model, str(folder), execution_device=torch.device("cpu"))


def accelerate():
    return pytest.importorskip("accelerate")


def state(model):
    """What must be as before: identities of parameters and hooks, their devices, forwards."""
    found = [(id(p), p.device.type, p.requires_grad, p.grad) for p in model.parameters()]
    return found, [
        (m.training, {k: id(v) for k, v in m.__dict__.items() if not isinstance(v, dict)})
        for m in model.modules()
    ]


@pytest.mark.parametrize("offload", [by_hand, in_memory, on_disk])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_points_are_those_of_the_plain_model(offload, dtype, tmp_path):
    wanted = measured(net(dtype))
    model = offload(net(dtype), tmp_path)
    before = state(model)
    files = {path: path.read_bytes() for path in tmp_path.iterdir()}
    np.testing.assert_array_equal(measured(ls.onloaded(model)), wanted)
    assert state(model) == before
    assert files == {path: path.read_bytes() for path in tmp_path.iterdir()}
    tokens = torch.arange(13)[None]
    torch.testing.assert_close(model(tokens), net(dtype)(tokens), rtol=0, atol=0)


@pytest.mark.parametrize("strategy", ["sequential", None])
def test_other_strategies(strategy, tmp_path):
    np.testing.assert_allclose(
        measured(ls.onloaded(on_disk(net(), tmp_path)), strategy), measured(net()), rtol=1e-5
    )


@pytest.mark.filterwarnings("ignore:Batch norms use the running statistics")
@pytest.mark.parametrize("offload", [by_hand, on_disk])
def test_a_line_between_two(offload, tmp_path):
    def line(model):
        objective = ls.Objective(model, loss, (torch.arange(12).view(2, 6),) * 2, batch_size=2,
                                 strategy="streamed")  # fmt: skip
        a = objective.parameters()
        return ls.loss_line(objective, ls.line_between(a, 0.5 * a), resolution=3).loss

    np.testing.assert_array_equal(line(ls.onloaded(offload(net(), tmp_path))), line(net()))


@pytest.mark.parametrize("offload", [by_hand, on_disk])
@pytest.mark.parametrize("stop", ["exception", "Ctrl-C"])
def test_the_model_is_as_before_after(stop, offload, tmp_path):
    model = offload(net(), tmp_path)
    before, calls = state(model), itertools.count()

    def stopping(given, batch):
        if next(calls) > 20:
            if stop == "exception":
                raise FailsError
            os.kill(os.getpid(), signal.SIGINT)
        return loss(given, batch)

    given = ls.onloaded(model)
    objective = ls.Objective(given, stopping, (torch.arange(12).view(2, 6),) * 2, batch_size=1,
                             strategy="streamed")  # fmt: skip
    own = [(p.data_ptr(), p.detach().clone()) for p in given.parameters()]
    plane = ls.random_plane(objective, stored=False)
    with pytest.raises(FailsError if stop == "exception" else KeyboardInterrupt):
        objective.along(plane)(np.random.default_rng(0).normal(size=(40, 2)))
    assert state(model) == before
    for (place, values), now in zip(own, given.parameters(), strict=True):
        assert now.data_ptr() == place
        assert torch.equal(now, values)


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="reads /proc")
def test_nothing_on_disk_is_read_until_it_is_used(tmp_path):
    model = nn.Sequential(nn.Linear(8192, 4096, bias=False))
    accelerate().disk_offload(model, str(tmp_path), execution_device=torch.device("cpu"))

    def resident():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    before = resident()
    given = ls.onloaded(model)
    assert resident() - before < 2**23  # of 2**27
    assert given(torch.zeros(1, 8192)).shape == (1, 4096)
    assert resident() - before > 2**26


def test_tied_weights_that_files_do_not_tell_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"embed.weight and head.weight hold the same numbers"):
        ls.onloaded(by_layers(net(), tmp_path))


def test_weights_in_other_types_than_they_are_kept_in_are_refused():
    model = by_hand(net(), None)
    kept = model.up._hf_hook.weights_map
    kept["weight"] = kept["weight"].half()
    with pytest.raises(ValueError, match=r"kept as torch.float16: it is quantized or cast"):
        ls.onloaded(model)


def test_other_hooks_are_refused():
    model = net()
    model.up._hf_hook, model.up._old_forward = object(), model.up.forward
    with pytest.raises(ValueError, match="The hook object of Linear does more"):
        ls.onloaded(model)


def test_a_language_model_on_disk(tmp_path):
    transformers = pytest.importorskip("transformers")
    accelerate()
    config = transformers.GPT2Config(n_layer=2, n_embd=16, n_head=2, vocab_size=30, n_positions=8)
    torch.manual_seed(0)
    transformers.GPT2LMHeadModel(config).save_pretrained(tmp_path / "model")
    load = functools.partial(transformers.AutoModelForCausalLM.from_pretrained, tmp_path / "model")
    devices = {"transformer.wte": "disk", "transformer.wpe": "cpu", "transformer.h": "disk",
               "transformer.ln_f": "cpu", "lm_head": "disk"}  # fmt: skip
    model = load(device_map=devices, offload_folder=tmp_path / "offloaded")
    assert any(p.is_meta for p in model.parameters())

    def surface(given):
        batch = {"input_ids": torch.arange(16).view(2, 8)}
        objective = ls.Objective(given, ls.losses.causal_lm, batch, batch_size=2,
                                 strategy="streamed")  # fmt: skip
        plane = ls.random_plane(objective, stored=False)
        return ls.loss_surface(objective, plane, resolution=3).loss

    before = state(model)
    np.testing.assert_array_equal(surface(ls.onloaded(model)), surface(load()))
    assert state(model) == before
