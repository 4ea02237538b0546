"""What the first measurement of a process loads, and what happens when a loss compiles itself."""

from __future__ import annotations

import subprocess
import sys

import pytest

FIRST = """
import sys
import torch
import landscape as ls

model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1))
x = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))

def plain(model, batch):
    return (model(batch[0]) - 0.3).square().mean(dim=1)

def compiled(model, batch):
    return (torch.compile(torch.tanh, backend="eager")(model(batch[0])) - 0.3).square().mean(dim=1)

def drawn(model, batch):
    noisy = torch.compile(lambda y: y + torch.randn_like(y), backend="eager")
    return (noisy(model(batch[0])) - 0.3).square().mean(dim=1)

loss = {loss}
objective = ls.Objective(model, loss, (x,), batch_size=40, common_random_numbers={common})
plane = ls.random_plane(objective.parameters(), objective.layout, seed=0)
found = ls.loss_surface(objective, plane, resolution=3).loss[1, 1]
print("torch._dynamo" in sys.modules, float(found), float(plain(model, (x,)).mean()))
print(float(objective.at(objective.parameters()).mean[0, 0]))
again = ls.loss_surface(objective, plane, resolution=3).loss[1, 1]
assert float(again) == float(found)
"""


def in_a_new_process(loss: str, common: int | None = None) -> list[str]:
    program = FIRST.format(loss=loss, common=common)
    told = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return told.stdout.split()


def test_a_plain_loss_is_measured_without_loading_torchs_compiler():
    loaded, found, wanted, alone = in_a_new_process("plain")
    assert loaded == "False"
    assert float(found) == pytest.approx(float(wanted), rel=1e-6)
    assert float(alone) == pytest.approx(float(wanted), rel=1e-6)


def test_a_loss_that_compiles_itself_while_it_is_looked_at_is_right():
    loaded, found, _, alone = in_a_new_process("compiled")
    assert loaded == "True"
    assert float(found) == pytest.approx(float(alone), rel=1e-6)


def test_a_loss_that_draws_in_a_compiled_part_draws_the_same_at_every_call():
    _, found, _, alone = in_a_new_process("drawn", common=0)
    assert float(found) == pytest.approx(float(alone), rel=1e-6)
