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
from landscape.recording.checkpoints import load_state
from landscape.recording.sharded import load_sharded


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
