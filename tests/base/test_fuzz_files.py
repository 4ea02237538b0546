"""Damaged and hostile files open or end in one line; none ends the interpreter, or hangs it."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from fuzzing import UNITS
from torch import nn

import landscape as ls
from landscape.analysis.walk_statistics import walk_statistics
from landscape.exchange.li2018.writer import write
from landscape.objective.strategies.choice import Choice
from landscape.objective.workers.units import Units

SEED, INPUTS = 2026, 2200


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small whole files of every kind, with everything that such files may hold."""
    folder = tmp_path_factory.mktemp("bases")
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 1))
    model[0].bias.requires_grad_(False)
    x, y = torch.randn(16, 2), torch.randn(16, 1)

    def loss(model: nn.Module, batch: tuple) -> torch.Tensor:
        return (model(batch[0]) - batch[1]).square().mean(1)

    for name, options in {
        "run-plain": {},
        "run-half": {"dtype": "float16-delta"},
        "run-full": {"sketch": 4, "gradient_histogram": True},
    }.items():
        optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=0.01)
        with ls.Recorder(
            folder / f"{name}.h5", model, optimizer, run={"task": "mine"}, **options
        ) as recorder:
            for _ in range(6):
                optimizer.zero_grad()
                value = loss(model, (x, y)).mean()
                value.backward()
                optimizer.step()
                recorder.log(loss=value.item())
    run = ls.Trajectory(folder / "run-full.h5")
    objective = ls.Objective(model, loss, (x, y), batch_size=16, settings={"task": "mine"})
    plane = ls.pca_plane(run)
    around = ls.random_plane(run.final, run.layout)
    surface = ls.loss_surface(objective, plane, extent="trajectory", resolution=4)
    walk = ls.walk(objective, run, points=4)
    projection = ls.project(run, plane, objective=objective)
    between, ends = ls.line_between(run.initial, run.final), (run.buffers(0), run.buffers(-1))
    profile = ls.loss_line(objective, between, extent=(0, 1), resolution=5, buffers=[ends])
    ls.path_metrics(run).save(folder / "results-paths.h5", "path/a")
    projection.save(folder / "results-paths.h5", "projection/pca/a")
    walk.save(folder / "results-walks.h5", "walk/a")
    walk_statistics(walk).save(folder / "results-walks.h5", "walk-statistics/a")
    profile.save(folder / "results-walks.h5", "line/a")
    plane.save(folder / "results-planes.h5", "plane/pca")
    around.save(folder / "results-planes.h5", "plane/random")
    surface.save(folder / "results-planes.h5", "surface/pca")
    ls.loss_surface(objective, around, resolution=9, tolerance=0.2, seed=0).save(
        folder / "results-sparing.h5", "surface/random"
    )
    for name, result in {"surface": surface, "line": profile, "path": projection}.items():
        write(result, folder / f"li2018-{name}.h5")
    units = Units(folder / "units-a", key=UNITS[0], points=UNITS[1])
    units.keep_choice(Choice("sequential", 16, tried={"sequential, 16, 1, 1": 0.1}))
    for number in range(4):
        units.save(number, np.ones((1, units.size)), np.zeros((1, units.size)))
    return folder


def read(bases: Path, into: Path, first: int, last: int) -> tuple[list[str], int]:
    """What is wrong with inputs `first` to `last`, and how many were read before it ended."""
    command = [sys.executable, "-X", "faulthandler", str(Path(__file__).with_name("fuzzing.py"))]
    ended = subprocess.run(
        [*command, str(bases), str(into), str(SEED), str(first), str(last)],
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    said = ended.stdout.splitlines()
    begun = [int(line) for line in said if line.isdigit()]
    wrong = [line for line in said if not line.isdigit()]
    reached = begun[-1] + 1 if begun else first
    if ended.returncode:
        how = {-14: "it did not end in time"}.get(ended.returncode, f"exit {ended.returncode}")
        wrong.append(f"{reached - 1}: {how}; {ended.stderr[-1500:]}")
        assert begun, ended.stderr
    return wrong, reached


def test_no_file_does_harm(bases, tmp_path):
    wrong: list[str] = []
    first = 0
    for _ in itertools.count():
        found, first = read(bases, tmp_path, first, INPUTS)
        wrong += found
        if first >= INPUTS:
            break
    listed = "\n".join(wrong[:40])
    assert not wrong, (
        f"{len(wrong)} of {INPUTS} inputs of seed {SEED}, number and problem:\n{listed}"
    )
