"""Recorder when the loop around it goes wrong: what was recorded is kept, nothing hangs."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
from torch import nn

import landscape as ls

UNCLOSED = """
    import sys, torch
    import landscape as ls

    model = torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    recorder = ls.Recorder(sys.argv[1], model, optimizer).start()
    for _ in range(30):
        model(torch.ones(4, 3)).sum().backward()
        optimizer.step()
"""


@pytest.mark.parametrize(("end", "code"), [("", 0), ("raise RuntimeError('mine')", 1)])
def test_a_recorder_that_is_not_closed_keeps_everything(tmp_path, end, code):
    path = tmp_path / "run.h5"
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(UNCLOSED) + end, path],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == code, done.stderr
    assert ("mine" in done.stderr) == bool(code)
    run = ls.Trajectory(path)
    np.testing.assert_array_equal(run.steps, np.arange(31))
    assert run.updates == 30
    assert not run.complete


@pytest.mark.parametrize("sizes", [(3, 0, 2), (0, 3, 2), (3, 2, 0), (3, 0, 0, 2, 0, 40000), (0, 3)])
def test_empty_tensors_are_recorded_like_the_others(tmp_path, sizes):
    model = nn.ParameterList([nn.Parameter(torch.ones(size)) for size in sizes])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    with ls.Recorder(tmp_path / "run.h5", model, optimizer) as recorder:
        for _ in range(3):
            for parameter in model:
                parameter.grad = torch.ones_like(parameter)
            optimizer.step()
    norms = np.sqrt(sizes)
    with ls.Trajectory(tmp_path / "run.h5") as run:
        np.testing.assert_array_equal(run.steps, [0, 1, 2, 3])
        # Powers of two times square roots of whole numbers: only the root rounds.
        np.testing.assert_allclose(run.layers("update_norm"), [norms / 2] * 3, rtol=1e-12)
        np.testing.assert_allclose(run.layers("gradient_norm"), [norms] * 3, rtol=1e-12)
        np.testing.assert_allclose(run.layers("distance")[-1], 1.5 * norms, rtol=1e-12)
        np.testing.assert_allclose(run.scalars["update_norm"], np.sqrt(sum(sizes)) / 2, rtol=1e-12)
    with ls.Recorder(recorder.path, model, optimizer, resume=True):  # looks at the last update
        optimizer.step()
    assert ls.Trajectory(recorder.path).scalars["update_cosine"][-1] == pytest.approx(1)
