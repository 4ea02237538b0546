"""A model in double precision is recorded, measured and resumed in double precision."""

from __future__ import annotations

import copy

import h5py
import numpy as np
import pytest
import torch
from torch import nn

import landscape as ls


def trained(path, steps=6, lr=1e-7, model=None, **options):
    """Tiny steps, of which float32 would see nothing; the states they lead to."""
    if model is None:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1)).double()
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    x = torch.linspace(-1, 1, 30, dtype=torch.float64).reshape(10, 3)
    states = [flat(model)]
    with ls.Recorder(path, model, optimizer, **options):
        for _ in range(steps):
            optimizer.zero_grad()
            (model(x) - x[:, :1] ** 2).square().mean().backward()
            optimizer.step()
            states.append(flat(model))
    return model, np.stack(states)


def flat(model):
    return nn.utils.parameters_to_vector(model.parameters()).detach().numpy().copy()


def test_states_numbers_and_metrics(tmp_path):
    model, states = trained(tmp_path / "run.h5")
    run = ls.Trajectory(tmp_path / "run.h5")
    assert run.dtype == np.float64
    np.testing.assert_array_equal(np.stack([run.state(s) for s in range(7)]), states)
    np.testing.assert_array_equal(run.columns(slice(2, 4), slice(3, 9)), states[2:4, 3:9])
    np.testing.assert_array_equal(run.buffers(-1)[:4], model[1].running_mean)
    moved = np.diff(states, axis=0)
    norms = np.linalg.norm(moved, axis=1)
    cosines = (moved[1:] * moved[:-1]).sum(axis=1) / norms[1:] / norms[:-1]
    assert norms.max() < 1e-6
    found = ls.path_metrics(run)
    for mine in (found.update_norm[1:], run.scalars["update_norm"]):
        np.testing.assert_allclose(mine, norms, rtol=1e-9)
    for mine in (found.cosine[2:], run.scalars["update_cosine"][1:]):
        np.testing.assert_allclose(mine, cosines, rtol=1e-9)
    np.testing.assert_allclose(found.path_length[-1], norms.sum(), rtol=1e-9)


def test_single_precision_when_it_is_asked_for(tmp_path):
    _, states = trained(tmp_path / "run.h5", dtype="float32", lr=0.1)
    run = ls.Trajectory(tmp_path / "run.h5")
    np.testing.assert_array_equal(run.final, states[-1].astype(np.float32))
    assert run.buffers(0).dtype == np.float32


def test_readers_that_know_only_float32_refuse_it_and_read_the_others(tmp_path):
    trained(tmp_path / "double.h5")
    trained(tmp_path / "single.h5", dtype="float32")
    versions = {}
    for name in ("double", "single"):
        with h5py.File(tmp_path / f"{name}.h5") as file:
            versions[name] = int(file.attrs["version"])
    assert versions == {"double": 2, "single": 1}


@pytest.mark.parametrize("part", ["parameters", "buffers", "frozen", "beside"])
def test_each_part_has_the_precision_of_its_own_tensors(tmp_path, part):
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Linear(2, 1))
    model[2].requires_grad_(False)
    k = nn.Parameter(torch.tensor(1 / 3, dtype=torch.float64 if part == "beside" else None))
    if part != "beside":
        model[("parameters", "buffers", "frozen").index(part)].double()
    model[1].weight.data, model[1].bias.data = model[1].weight.float(), model[1].bias.float()
    optimizer = torch.optim.SGD([*model.parameters(), k], lr=0.1)
    with ls.Recorder(tmp_path / "run.h5", model, optimizer, beside={"k": k}):
        pass
    run = ls.Trajectory(tmp_path / "run.h5")
    found = {
        "parameters": run.state(0),
        "buffers": run.buffers(0),
        "frozen": run.frozen,
        "beside": run.beside(0),
    }
    assert {name for name, values in found.items() if values.dtype == np.float64} == {part}
    assert run.beside(0) == k.item()


def test_a_resumed_run_equals_the_uninterrupted_one(tmp_path):
    _, states = trained(tmp_path / "twin.h5", 6)
    model, _ = trained(tmp_path / "run.h5", 3)
    saved = copy.deepcopy(model)
    trained(tmp_path / "run.h5", 2, model=model, resume=True)
    trained(tmp_path / "run.h5", 3, model=saved, resume=True)
    run, twin = (ls.Trajectory(tmp_path / f"{name}.h5") for name in ("run", "twin"))
    np.testing.assert_array_equal(np.stack([run.state(s) for s in range(7)]), states)
    for name in ("update_norm", "update_cosine", "distance"):
        np.testing.assert_array_equal(run.scalars[name], twin.scalars[name])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_recorded_exactly(tmp_path, dtype):
    model = nn.Linear(30, 4).to(dtype)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    model(torch.ones(2, 30, dtype=dtype)).sum().backward()
    with ls.Recorder(tmp_path / "run.h5", model, optimizer):
        optimizer.step()
    run = ls.Trajectory(tmp_path / "run.h5")
    stored = torch.from_numpy(run.final)
    assert torch.equal(stored, nn.utils.parameters_to_vector(model.parameters()).float())
    assert torch.equal(stored, stored.to(dtype).float())


def test_histograms_and_sketches_of_double_gradients(tmp_path):
    model = nn.Linear(4, 1, bias=False).double()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.25)
    model.weight.grad = torch.tensor([[0.0, 1e-300, 1.0, 1e300]], dtype=torch.float64)
    options = {"gradient_histogram": True, "sketch": 8}
    with ls.Recorder(tmp_path / "run.h5", model, optimizer, **options):
        optimizer.step()
    counts = ls.Trajectory(tmp_path / "run.h5").gradient_histogram[0]
    assert counts[[0, 48, 63]].tolist() == [2, 1, 1]  # 1e300 is beyond the last bin


def test_planes_and_imports_keep_double_precision(tmp_path):
    model = nn.Linear(3, 2).double()
    path = tmp_path / "one.pt"
    torch.save(model.state_dict(), path)
    run = ls.Trajectory(ls.import_checkpoints([path], tmp_path / "run.h5"))
    flat = nn.utils.parameters_to_vector(model.parameters()).detach().numpy()
    np.testing.assert_array_equal(run.final, flat)
    plane = ls.random_plane(run.final, run.layout)
    plane.save(tmp_path / "x.results.h5", "plane")
    back = ls.Plane.load(tmp_path / "x.results.h5", "plane")
    np.testing.assert_array_equal(back.origin, flat)
    assert back.directions.dtype == np.float64
    single = ls.random_plane(run.final.astype(np.float32), run.layout)
    assert single.origin.dtype == single.directions.dtype == np.float32


def test_a_checkpoint_of_more_digits_than_the_first_is_refused(tmp_path):
    model = nn.Linear(3, 2)
    torch.save(model.state_dict(), tmp_path / "m_1.pt")
    torch.save(model.double().state_dict(), tmp_path / "m_2.pt")
    with pytest.raises(ValueError, match="in double precision"):
        ls.import_checkpoints([tmp_path], tmp_path / "run.h5")


def test_what_moved_beside_the_model_is_restored_by_name(tmp_path):
    model, k = nn.Linear(1, 1), torch.zeros(2, requires_grad=True)
    optimizer = torch.optim.SGD([*model.parameters(), k], lr=0.1)
    path = tmp_path / "run.h5"
    with ls.Recorder(path, model, optimizer, beside={"k": k}):
        for _ in range(3):
            optimizer.zero_grad()
            (model(torch.ones(1, 1)).sum() + (k - 1).square().sum()).backward()
            optimizer.step()
    last, bias = k.detach().clone(), model.bias.detach().clone()
    run = ls.Trajectory(path)
    ls.restore(model, run, 1, beside={"k": k})
    torch.testing.assert_close(k.detach(), torch.full((2,), 0.2))
    ls.restore(model, run, 3, beside={"k": k})
    assert torch.equal(k, last)
    assert torch.equal(model.bias, bias)
    with pytest.raises(ValueError, match="holds no 'c'"):
        ls.restore(model, run, 3, beside={"c": k})
