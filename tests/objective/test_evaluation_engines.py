"""Engines: any workers behind one interface; devices and options that are refused."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import nn
from typer.testing import CliRunner

import landscape as ls
from landscape.cli import app
from landscape.cli.options.engine import chosen_engine
from landscape.objective.policies.precision import arithmetic
from landscape.objective.strategies.choice import Choice
from landscape.objective.workers.device import checked_device
from landscape.objective.workers.engine import packed, unpacked
from landscape.objective.workers.processes import Processes
from landscape.objective.workers.ray_actors import RayActors


def squared(model, batch):
    return (model(batch[0]) - batch[1]).square().mean(dim=1)


def build(loss=squared, **options):
    torch.manual_seed(0)
    data = (torch.randn(20, 3), torch.randn(20, 1))
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    return ls.Objective(model, loss, data, strategy="sequential", batch_size=20, **options)


def surface(objective, **options):
    plane = ls.random_plane(objective.parameters(), objective.layout)
    return ls.loss_surface(objective, plane, resolution=(11, 9), **options)


@pytest.mark.parametrize("name", ["weight_norm", "spectral_norm", "orthogonal"])
def test_parametrized_weights_travel(name):
    torch.manual_seed(0)
    parametrize = getattr(nn.utils.parametrizations, name)
    model = nn.Sequential(parametrize(nn.Linear(3, 4)), nn.Tanh(), nn.Linear(4, 1))
    objective = ls.Objective(model, squared, (torch.randn(20, 3), torch.randn(20, 1)))
    vector = objective.parameters()
    restriction = objective.restrict(vector, np.stack([np.sin(vector)]))
    points = np.linspace(-1, 1, 5)[:, None]
    there = unpacked(packed(restriction), "cpu")
    np.testing.assert_array_equal(there(points).mean, restriction(points).mean)
    assert np.ptp(there(points).mean) > 0


class Threads:
    """Workers that are threads, each with a copy; the n-th unit ends its worker's copy."""

    def __init__(self, count, *, dying=()):
        self.count, self.dying = count, set(dying)
        self.measured = []  # per worker, the sizes of its units

    @contextlib.contextmanager
    def start(self, restriction):
        data = packed(restriction)
        self.calls = 0
        workers = [_Thread(self, data) for _ in range(self.count)]
        try:
            yield workers
        finally:
            self.measured = [worker.sizes for worker in workers]
            for worker in workers:
                worker.pool.shutdown()


class _Thread:
    def __init__(self, engine, data):
        self.engine, self.data, self.sizes = engine, data, []
        self.pool = ThreadPoolExecutor(1)

    def submit(self, points, samples):
        return self.pool.submit(self.measure, points, samples)

    def measure(self, points, samples):
        self.engine.calls += 1
        if self.engine.calls in self.engine.dying:
            raise ConnectionError("the worker died")
        self.sizes.append(len(points))
        return unpacked(self.data, "cpu")(points, samples, checks=0)


def test_workers_share_the_units_and_lost_ones_run_again():
    engine = Threads(3, dying=(2, 3, 20))
    found = surface(build(), engine=engine)
    np.testing.assert_array_equal(found.values, surface(build()).values)
    assert engine.calls == 33 + 3
    assert sorted(n for sizes in engine.measured for n in sizes) == [3] * 33
    assert all(engine.measured)
    assert found.provenance["cost"]["points"] == 99


def test_a_unit_is_given_up_after_three_attempts():
    engine = Threads(1, dying=range(1, 99))
    with pytest.raises(RuntimeError, match=r"failed 3 times.*ConnectionError: the worker died"):
        surface(build(), engine=engine)
    assert engine.calls == 33 * 2 + 1  # a lost unit waits behind the others


def greedy(model, batch):
    if len(batch[0]) > 10:
        raise MemoryError
    return squared(model, batch)


def test_what_was_made_smaller_in_a_worker_is_told():
    objective = build(greedy)
    objective.tuning.use(Choice("sequential", 20))  # as if the loss had asked for less when tried
    found = surface(objective, engine=Threads(1))
    np.testing.assert_allclose(found.values, surface(build()).values, rtol=1e-6)
    assert "batches of 10 of 20" in found.provenance["evaluation"]["memory"]


def test_a_lower_precision_tells_its_error_from_units_too(tmp_path):
    exact = surface(build())
    lower = surface(build(precision="bfloat16"), units=tmp_path)
    error = np.abs(lower.values - exact.values).max()
    told = lower.provenance["observed_error"]["loss"]
    assert 0 < told <= error
    assert told > error / 20  # of eight points, the largest
    assert "observed_error" not in exact.provenance


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tpu", "cpu, cuda or cuda:N; not 'tpu'"),
        ("cpu:1", "not 'cpu:1'"),
        ("cuda:x", "not 'cuda:x'"),
        ("cuda:", "not 'cuda:'"),
        ("cuda:99", "device cuda:99 was asked for, but torch sees"),
    ],
)
def test_unknown_devices_are_refused(name, message):
    with pytest.raises(ValueError, match=message):
        checked_device(name)
    with pytest.raises(ValueError, match=message):
        Processes(("cpu", name))
    with pytest.raises(ValueError, match=message):
        chosen_engine("processes", count=1, devices=name, device="cpu", address=None, share=0)


def test_options_become_engines():
    def engine(name="processes", *, count=1, devices=None, address=None, share=0.0):
        return chosen_engine(
            name, count=count, devices=devices, device="cpu", address=address, share=share
        )

    assert engine() is None
    assert engine(count=3) == Processes(("cpu", "cpu", "cpu"))
    assert engine(devices="cpu,cpu") == Processes(("cpu", "cpu"))
    assert engine(devices="cpu") == Processes(("cpu",))
    assert engine("ray", count=4, address="auto", share=0.5) == RayActors(
        4, address="auto", gpus_per_worker=0.5
    )
    for wrong, message in [
        ({"name": "mpi"}, "one of processes, ray"),
        ({"count": 0}, "at least 1"),
        ({"devices": "cpu,cpu", "count": 2}, "one process runs on each device"),
        ({"name": "ray", "devices": "cuda:0"}, "Ray gives devices"),
        ({"share": 0.5}, "go with --engine ray"),
        ({"address": "auto"}, "go with --engine ray"),
    ]:
        with pytest.raises(ValueError, match=message):
            engine(**wrong)
    with pytest.raises(ValueError, match="at least 1 and shares not negative"):
        RayActors(0)
    with pytest.raises(ValueError, match="devices is empty"):
        Processes(())


def test_one_process_per_device_on_the_command_line(runs, tmp_path):
    def measure(name, *options):
        out = tmp_path / name
        line = ["surface", str(runs["sgd"]), "--resolution", "6x5", "--samples", "60"]
        done = CliRunner().invoke(app, [*line, "--out", str(out), *options])
        return ls.Surface.load(out, "surface/pca") if done.exit_code == 0 else str(done.exception)

    whole, split = measure("a.h5"), measure("b.h5", "--devices", "cpu,cpu")
    np.testing.assert_allclose(split.values, whole.values, rtol=1e-5, atol=1e-6)
    assert "torch sees" in measure("c.h5", "--devices", "cuda:98,cuda:99")
    assert "cpu, cuda or cuda:N" in measure("d.h5", "--devices", "gpu0")


def test_tf32_is_refused_where_there_is_none():
    with pytest.raises(ValueError, match="tf32 exists on NVIDIA GPUs only, and the device is cpu"):
        build(precision="tf32")
    with pytest.raises(ValueError, match="one of single, double, native, bfloat16, tf32"):
        build(precision="half")


def rounding():
    return torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32


def test_single_precision_is_single_whatever_torch_was_told():
    seen = []

    def noting(model, batch):
        seen.append(rounding())
        return squared(model, batch)

    objective = build(noting)
    before = rounding()
    torch.set_float32_matmul_precision("medium")
    try:
        objective.at(objective.parameters())
        assert rounding()[0] == "medium"
    finally:
        torch.set_float32_matmul_precision(before[0])
    assert {products for products, _ in seen} == {"highest"}
    assert before[1]  # on GPUs torch rounds convolutions unless it is told otherwise
    for name, wanted in {"single": ("highest", False), "tf32": ("high", True)}.items():
        with arithmetic(name, torch.device("cuda")):
            assert rounding() == wanted
        assert rounding() == before
