"""Runs made of checkpoints: of torch, safetensors, DCP, Lightning and the Hugging Face trainer."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from test_recorder import Net, flat, made, train
from torch import nn

import landscape as ls
from landscape.cli import main
from landscape.exchange.checkpoints.content import content_of
from landscape.exchange.checkpoints.sharded import load_sharded
from landscape.exchange.checkpoints.state import load_state


def saved(folder, count=11, save=torch.save, name="model_{}.pt", step=1):
    """A short training with a checkpoint of each state; the names do not sort as text."""
    model = made()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    states = []
    for number in range(1, count + 1):
        save(model.state_dict(), folder / name.format(number * step))
        states.append(flat(model).numpy())
        train(model, optimizer, 1, start=number)
    return states, model


def check(path, states, steps):
    run = ls.Trajectory(path)
    assert run.complete
    np.testing.assert_array_equal(run.steps, steps)
    for s, state in enumerate(states):
        np.testing.assert_array_equal(run.state(s), state)
    return run


@pytest.mark.parametrize("wrap", [lambda s: s, lambda s: {"epoch": 3, "state_dict": s}])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_torch_checkpoints_in_natural_order(tmp_path, wrap, prefix):
    def save(state, path):
        torch.save(wrap({prefix + name: tensor for name, tensor in state.items()}), path)

    states, model = saved(tmp_path, save=save, step=5)
    (tmp_path / "notes.txt").write_text("not a checkpoint")
    path = ls.import_checkpoints([tmp_path], tmp_path / "run.h5")
    run = check(path, states, 5 * np.arange(1, 12))
    assert not run.layout.differences(ls.Layout.of(model))
    kinds = {entry.name: entry.kind for entry in run.layout}
    assert kinds == {entry.name: entry.kind for entry in ls.Layout.of(model)}
    assert {e.name for e in run.buffers_layout} == {"norm.running_mean", "norm.running_var"}
    before = load_state(tmp_path / "model_50.pt")
    found = run.buffers(9)
    assert found is not None
    np.testing.assert_array_equal(found[:4], before["norm.running_mean"])


def test_safetensors(tmp_path):
    safetensors = pytest.importorskip("safetensors.torch", reason="needs safetensors")
    states, _ = saved(tmp_path, 3, save=safetensors.save_file, name="{}.safetensors")
    run = ls.Trajectory(ls.import_checkpoints([tmp_path], tmp_path / "run.h5"))
    mine = {entry.name: entry for entry in ls.Layout.of(Net())}
    assert {entry.name for entry in run.layout} == set(mine)
    for entry in run.layout:  # this format keeps its tensors in another order
        for s in range(3):
            expected = states[s][mine[entry.name].slice]
            np.testing.assert_array_equal(run.state(s)[entry.slice], expected)
    (tmp_path / "1.safetensors").write_bytes(b"\x00" * 20)
    with pytest.raises(ValueError, match=r"1\.safetensors is damaged"):
        load_state(tmp_path / "1.safetensors")


@pytest.mark.filterwarnings("ignore:.*")  # torch.distributed's own
def test_distributed_checkpoints(tmp_path):
    from torch.distributed import checkpoint

    def save(state, path):
        content = {"model": state, "step": 3, "optimizer": {"moment": torch.ones(4)}}
        checkpoint.save(content, checkpoint_id=path, no_dist=True)

    states, model = saved(tmp_path, 3, save=save, name="step_{}")
    run = check(ls.import_checkpoints([tmp_path], tmp_path / "run.h5"), states, [1, 2, 3])
    assert not run.layout.differences(ls.Layout.of(model))


@pytest.mark.filterwarnings("ignore:.*")  # torch.distributed's own
def test_parts_of_a_distributed_checkpoint_by_key_and_damage_in_one_line(tmp_path):
    from torch.distributed import checkpoint

    first, second = made(), made()
    with torch.no_grad():
        next(second.parameters()).add_(1)
    content = {"app": {"model": first.state_dict(), "ema": second.state_dict()}}
    checkpoint.save(content, checkpoint_id=tmp_path / "c", no_dist=True)
    with pytest.raises(ValueError, match=r"holds the model twice.*key='app\.(ema|model)'"):
        ls.import_checkpoints([tmp_path / "c"], tmp_path / "x.h5", model=made())
    with pytest.raises(ValueError, match=r"no tensors under 'teacher'; its parts are \['app'\]"):
        load_state(tmp_path / "c", key="teacher")
    for key, model in (("app.model", first), ("app.ema", second)):
        found = load_state(tmp_path / "c", key=key)
        assert all(torch.equal(found[n], t) for n, t in model.state_dict().items())
    (data,) = (tmp_path / "c").glob("*.distcp")
    for damaged in (data.read_bytes()[:500], b"", None):
        data.unlink() if damaged is None else data.write_bytes(damaged)
        with pytest.raises(ValueError, match="is damaged or cut short") as error:
            load_state(tmp_path / "c")
        assert "\n" not in str(error.value)


def test_a_run_is_made_whole_or_not_at_all(tmp_path):
    states, _ = saved(tmp_path, 2)
    path = ls.import_checkpoints([tmp_path], tmp_path / "run.h5")
    (tmp_path / "model_3.pt").write_bytes(b"junk")
    with pytest.raises(ValueError, match=r"model_3\.pt is damaged"):
        ls.import_checkpoints([tmp_path], path, overwrite=True)
    check(path, states, [1, 2])
    with pytest.raises(ValueError, match=r"model_3\.pt is damaged"):
        ls.import_checkpoints([tmp_path], tmp_path / "other.h5")
    assert {p.suffix for p in tmp_path.iterdir()} == {".pt", ".h5"}
    assert not (tmp_path / "other.h5").exists()


def test_code_in_distributed_metadata_is_not_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "pwned"),))

    (tmp_path / "1").mkdir()
    (tmp_path / "1" / ".metadata").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(ValueError, match=r"posix\.mkdir, which is not allowed"):
        load_sharded(tmp_path / "1")
    assert not (tmp_path / "pwned").exists()


def test_code_in_a_torch_checkpoint_is_not_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "pwned"),))

    saved(tmp_path, 2)
    torch.save(Evil(), tmp_path / "model_2.pt")
    with pytest.raises(ValueError, match=r"model_2\.pt is not a checkpoint of plain tensors"):
        ls.import_checkpoints([tmp_path], tmp_path / "run.h5")
    assert not (tmp_path / "pwned").exists()


def test_checkpoints_of_different_models_are_told_apart(tmp_path):
    torch.save(made().state_dict(), tmp_path / "1.pt")
    other = nn.Sequential(nn.Conv2d(1, 4, 5))
    state = {"conv.weight": other[0].weight.detach(), "extra": torch.zeros(3)}
    torch.save(state, tmp_path / "2.pt")
    with pytest.raises(ValueError, match=r"2\.pt is not of the same model as .*1\.pt") as error:
        ls.import_checkpoints([tmp_path], tmp_path / "run.h5")
    text = str(error.value)
    assert "6 tensors are missing (first: norm.weight)" in text
    assert "1 tensors are new (first: extra)" in text
    assert "1 tensors have another shape (first: conv.weight)" in text


def test_tied_weights_are_stored_once_and_numbers_that_repeat_are_no_steps(tmp_path):
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = nn.Embedding(5, 2)
            self.head = nn.Linear(2, 5, bias=False)
            self.head.weight = self.embed.weight

    for name in ("a_7.pt", "b_7.pt"):
        torch.save(Tied().state_dict(), tmp_path / name)
    run = ls.Trajectory(ls.import_checkpoints([tmp_path], tmp_path / "run.h5"))
    assert [entry.name for entry in run.layout] == ["embed.weight"]
    np.testing.assert_array_equal(run.steps, [0, 1])


def test_no_checkpoints_and_missing_ones(tmp_path):
    with pytest.raises(ValueError, match="No checkpoint was found in"):
        ls.import_checkpoints([tmp_path], tmp_path / "run.h5")
    with pytest.raises(FileNotFoundError, match="no such file"):
        ls.import_checkpoints([tmp_path / "1.pt", tmp_path / "2.pt"], tmp_path / "run.h5")


def test_the_command(tmp_path):
    states, _ = saved(tmp_path, 3)
    command = [sys.executable, "-m", "landscape", "import", str(tmp_path), "--out", "run.h5"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == (
        f"run.h5: 3 states of {states[0].size} parameters\n"
        "  first: model_1.pt (step 1), last: model_3.pt (step 3)\n"
    )
    check(tmp_path / "run.h5", states, [1, 2, 3])


@pytest.mark.filterwarnings("ignore:.*")
def test_lightning_checkpoints(tmp_path):
    pytest.importorskip("lightning", reason="needs the extra: landscape[lightning]")
    from lightning.pytorch.callbacks import ModelCheckpoint
    from test_lightning import fit

    every = ModelCheckpoint(dirpath=tmp_path / "ckpt", save_top_k=-1, every_n_train_steps=3)
    module, _ = fit(tmp_path, [every], epochs=2, enable_checkpointing=True)
    # States are kept before the gradients of the next step are cleared: state k after k steps.
    run = ls.Trajectory(ls.import_checkpoints([tmp_path / "ckpt"], tmp_path / "run.h5"))
    np.testing.assert_array_equal(run.steps, [3, 6, 9, 12, 15])
    for s, step in enumerate(run.steps):
        np.testing.assert_array_equal(run.state(s), module.states[step])


@pytest.mark.filterwarnings("ignore:.*")
def test_hugging_face_checkpoints(tmp_path):
    pytest.importorskip("transformers", reason="needs the extra: landscape[hf]")
    pytest.importorskip("accelerate", reason="needs the extra: landscape[hf]")
    from test_huggingface import trained

    model, _ = trained(tmp_path / "hf", save_strategy="steps", save_steps=2)
    run = ls.Trajectory(ls.import_checkpoints([tmp_path / "hf"], tmp_path / "run.h5"))
    np.testing.assert_array_equal(run.steps, [2, 4, 6])
    named = dict(model.named_parameters())
    for entry in run.layout:
        expected = named[entry.name].detach().reshape(-1)
        np.testing.assert_array_equal(run.final[entry.slice], expected)
    note = tmp_path / "hf" / "checkpoint-2" / "trainer_state.json"
    note.write_text(json.dumps({"epoch": 1}))
    with pytest.raises(ValueError, match="does not say the step"):
        ls.import_checkpoints([tmp_path / "hf"], tmp_path / "again.h5")


def test_ten_epochs_of_a_real_training(tmp_path):
    folder = Path(os.environ.get("LANDSCAPE_DATA", "data")) / "checkpoints/mnist_small_dense_nll"
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent; set LANDSCAPE_DATA")
    files = sorted(folder.glob("model_*"))
    run = ls.Trajectory(ls.import_checkpoints(files, tmp_path / "run.h5"))
    np.testing.assert_array_equal(run.steps, np.arange(1, 11))
    assert run.layout.size == 784 * 128 + 128 + 128 * 10 + 10
    metrics = ls.path_metrics(run)
    assert (np.diff(metrics.distance) > 0).all()  # ten epochs, each further from the first


TASK = """
import torch
import landscape as ls
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.up = nn.ConvTranspose1d(1, 3, 2)
        self.norm = nn.BatchNorm1d(3)
        self.head = nn.Linear(9, 2)
        self.register_buffer("shift", torch.zeros(2))

    def forward(self, x):
        return self.head(self.norm(self.up(x[:, None])).flatten(1)) + self.shift


def loss(model, batch):
    return nn.functional.cross_entropy(model(batch[0]), batch[1], reduction="none")


def task(seed):
    torch.manual_seed(seed)
    x = torch.linspace(-1, 1, 32).reshape(16, 2)
    return ls.Task(model=Net(), loss=loss, train=(x, (x[:, 0] > 0).long()))
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A task in a file of one's own, and its network after a few steps, as saved by DDP."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    name = f"mine_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(TASK)
    task = ls.load_task(f"{name}:task", seed=0)
    optimizer = torch.optim.SGD(task.model.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        task.loss(task.model, task.train).mean().backward()
        optimizer.step()
    task.model.shift.add_(1)
    task.model.eval()
    state = {f"module.{key}": value for key, value in task.model.state_dict().items()}
    torch.save({"ema": state, "optimizer": {"state": {}}}, "net.pt")
    return name, float(task.loss(task.model, task.train).detach().mean())


def run_command(monkeypatch, capsys, *words):
    monkeypatch.setattr(sys, "argv", ["landscape", *map(str, words)])
    with pytest.raises(SystemExit) as stop:
        main()
    return stop.value.code or 0, capsys.readouterr()


def test_a_surface_around_one_network(mine, monkeypatch, capsys):
    name, loss = mine
    command = ("surface", "--checkpoint", "net.pt", "--task", f"{name}:task", "--resolution", "3")
    code, said = run_command(monkeypatch, capsys, *command)
    assert code == 0, said.err
    surface = ls.Surface.load("net.results.h5", "surface/random")
    assert surface.loss[1, 1] == pytest.approx(loss, rel=1e-6)
    assert "surface/random, 3x3 points" in said.out
    for words, message in (
        (("surface",), "Give recorded runs"),
        (("surface", "--checkpoint", "net.pt"), "does not say its task"),
        ((*command, "--plane", "pca"), "random around a checkpoint"),
        ((*command, "--key", "best"), "has no state dict 'best'"),
        (("surface", "--checkpoint", "net.pt", "--task", "digits/mlp"), "of another model"),
    ):
        code, said = run_command(monkeypatch, capsys, *words)
        assert (code, said.err.count("\n")) == (2, 1), said.err
        assert message in said.err


@pytest.mark.parametrize("task_at_import", [True, False])
def test_one_checkpoint_makes_a_run(mine, monkeypatch, capsys, task_at_import):
    name, loss = mine
    task = ("--task", f"{name}:task")
    words = ("import", "net.pt", "--out", "run.h5", *(task if task_at_import else ()))
    code, said = run_command(monkeypatch, capsys, *words)
    assert code == 0, said.err
    assert "first: net.pt (step 0), last: net.pt (step 0)" in said.out
    run = ls.Trajectory("run.h5")
    assert ("shift" in {entry.name for entry in run.layout}) is not task_at_import
    code, said = run_command(monkeypatch, capsys, "surface", "run.h5", *task, "--resolution", "3")
    assert code == 0, said.err
    surface = ls.Surface.load("run.results.h5", "surface/random")
    assert surface.loss[1, 1] == pytest.approx(loss, rel=1e-6)


def test_parts_of_one_model_are_told_from_several_models(tmp_path):
    save = pytest.importorskip("safetensors.torch", reason="needs safetensors").save_file
    for part in (1, 2):
        save({f"w{part}": torch.ones(2)}, tmp_path / f"model-0000{part}-of-00002.safetensors")
    assert sorted(load_state(tmp_path)) == ["w1", "w2"]
    (tmp_path / "model-00001-of-00002.safetensors").unlink()
    with pytest.raises(ValueError, match="1 of the 2 files"):
        load_state(tmp_path)


def test_what_is_not_trained_must_stay(tmp_path):
    model = made()
    for step in (1, 2):
        torch.save(model.state_dict(), tmp_path / f"{step}.pt")
        model.head.bias.data.add_(1)
    model.head.requires_grad_(False)
    with pytest.raises(ValueError, match=r"head\.bias is not trained .*2\.pt has other values"):
        ls.import_checkpoints([tmp_path], tmp_path / "run.h5", model=model)


def test_a_model_that_ties_what_a_checkpoint_does_not_is_refused(tmp_path):
    model = nn.ModuleDict({"embed": nn.Embedding(5, 2), "head": nn.Linear(2, 5, bias=False)})
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    torch.save(state, tmp_path / "a.pt")
    model["head"].weight = model["embed"].weight
    with pytest.raises(ValueError, match="are one tensor in the model and two with other values"):
        ls.import_checkpoints([tmp_path / "a.pt"], tmp_path / "run.h5", model=model)
    torch.save({**state, "head.weight": state["embed.weight"].clone()}, tmp_path / "a.pt")
    ls.import_checkpoints([tmp_path / "a.pt"], tmp_path / "run.h5", model=model)


def test_buffers_are_not_called_unknown_where_parameters_are_missing():
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    state = model.state_dict()
    del state["0.bias"]
    with pytest.raises(ValueError, match=r"1 missing \(first: 0\.bias\)\.$"):
        content_of(model, state)
