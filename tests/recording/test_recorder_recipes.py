"""Loops of training libraries, as their recipes write them: one line around each."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

import landscape as ls


@pytest.fixture
def group(tmp_path):
    """A process group of one, on the processor."""
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/group", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def made():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    return model, torch.randn(24, 3)


def trained(model, optimizer, x, recorder, *, accumulate=1, backward=torch.Tensor.backward):
    """Batches of four samples; an optimizer step after every `accumulate` of them."""
    states = [flat(model)]
    for index, batch in enumerate(x.split(4), start=1):
        loss = model(batch).square().mean() / accumulate
        backward(loss)
        if index % accumulate == 0:
            optimizer.step()
            optimizer.zero_grad()
            recorder.log(loss=loss)
            states.append(flat(model))
    return states


def flat(model):
    return torch.cat([p.detach().reshape(-1) for p in model.parameters()]).clone().numpy()


def same(path, states, names):
    run = ls.Trajectory(path)
    assert [entry.name for entry in run.layout] == names
    assert len(run) == len(states)
    for index, state in enumerate(states):
        np.testing.assert_array_equal(run.state(index), state)


NAMES = ["0.weight", "0.bias", "2.weight", "2.bias"]


def test_distributed_data_parallel_by_the_model_inside(group, tmp_path):
    model, x = made()
    wrapped = DistributedDataParallel(model)
    optimizer = torch.optim.AdamW(wrapped.parameters(), lr=0.01)
    with ls.Recorder(tmp_path / "run.h5", wrapped.module, optimizer) as recorder:
        states = trained(wrapped, optimizer, x, recorder)
    same(tmp_path / "run.h5", states, NAMES)


def test_accumulated_batches_with_a_schedule_and_clipping(tmp_path):
    model, x = made()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda k: 1 / (1 + k))
    with ls.Recorder(tmp_path / "run.h5", model, optimizer) as recorder:
        states = [flat(model)]
        for index, batch in enumerate(x.split(4), start=1):
            (model(batch).square().mean() / 2).backward()
            if index % 2 == 0:
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                schedule.step()
                optimizer.zero_grad(set_to_none=True)
                states.append(flat(model))
        assert recorder.step == 3
    same(tmp_path / "run.h5", states, NAMES)
    run = ls.Trajectory(tmp_path / "run.h5")
    np.testing.assert_allclose(run.scalars["lr"], [0.1, 0.05, 0.1 / 3])


def test_two_processes_replicated_and_spread(tmp_path):
    program = Path(__file__).with_name("two_processes.py")
    processes = [
        subprocess.Popen([sys.executable, str(program), str(rank), str(tmp_path)])
        for rank in range(2)
    ]
    assert [process.wait(timeout=240) for process in processes] == [0, 0]
    model, x = made()  # the same steps in one process, on the samples of both
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    states = [flat(model)]
    for pair in zip(x[::2].split(4), x[1::2].split(4), strict=True):
        optimizer.zero_grad()
        model(torch.cat(pair)).square().mean().backward()
        optimizer.step()
        states.append(flat(model))
    run = ls.Trajectory(tmp_path / "ddp.h5")
    assert len(run) == len(states) == 4
    for index, state in enumerate(states):
        np.testing.assert_allclose(run.state(index), state, rtol=1e-5, atol=1e-7)
    for rank in range(2):
        said = json.loads((tmp_path / f"said-{rank}.json").read_text())
        assert said.startswith("The parameter 0.weight is spread over several processes (FSDP")
        assert "landscape import" in said
        assert not (tmp_path / f"fsdp-{rank}.h5").exists()


def test_a_recipe_of_torchtune_with_tokens_counted_over_accumulated_batches(tmp_path):
    """As its full fine-tuning: sums of losses, gradients divided by all tokens, clipped."""
    model, x = made()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    states, tokens, running = [flat(model)], 0, 0.0
    with ls.Recorder(tmp_path / "run.h5", model, optimizer) as recorder:
        for index, batch in enumerate(x.split(4), start=1):
            loss = model(batch).square().sum()
            tokens, running = tokens + len(batch), running + loss.detach()
            loss.backward()
            if index % 2 == 0:
                for parameter in model.parameters():
                    parameter.grad /= tokens
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
                recorder.log(loss=running / tokens)
                states.append(flat(model))
                tokens, running = 0, 0.0
    same(tmp_path / "run.h5", states, NAMES)
    assert (ls.Trajectory(tmp_path / "run.h5").scalars["gradient_norm"] <= 1 + 1e-5).all()


def test_a_recipe_of_torchtune_with_the_optimizer_in_the_backward_pass(tmp_path):
    """An optimizer for each tensor, which steps as soon as its gradient is there."""
    model, x = made()
    optimizers = {p: torch.optim.SGD([p], lr=0.1) for p in model.parameters()}

    def step(parameter):
        optimizers[parameter].step()
        optimizers[parameter].zero_grad()

    for parameter in model.parameters():
        parameter.register_post_accumulate_grad_hook(step)
    states = [flat(model)]
    with ls.Recorder(tmp_path / "run.h5", model, list(optimizers.values())) as recorder:
        for batch in x.split(4):
            loss = model(batch).square().mean()
            loss.backward()
            recorder.log(loss=loss)
            states.append(flat(model))
    run = ls.Trajectory(tmp_path / "run.h5")
    assert len(run) == 1 + 4 * 6  # each of the four tensors makes its own step
    for index, state in enumerate(states):
        np.testing.assert_array_equal(run.state(4 * index), state)


def test_accelerate(tmp_path):
    accelerate = pytest.importorskip("accelerate")
    model, x = made()
    accelerator = accelerate.Accelerator(cpu=True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    prepared, wrapped = accelerator.prepare(model, optimizer)
    inner = accelerator.unwrap_model(prepared)
    with ls.Recorder(tmp_path / "run.h5", inner, wrapped) as recorder:
        states = trained(prepared, wrapped, x, recorder, backward=accelerator.backward)
    same(tmp_path / "run.h5", states, NAMES)
