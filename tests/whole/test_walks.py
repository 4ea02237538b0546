"""Walks that docs/house.md tells, file by file, are those that data goes."""

from __future__ import annotations

import inspect
import itertools
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from synthetic import random_walk, write_run

import landscape as ls

ROOT = Path(ls.__file__).parent
HOUSE = Path(__file__).parents[2] / "docs" / "house.md"


def told(walk: str) -> list[str]:
    """The files of a walk, in the order of the text; a bare name lies beside the one before."""
    text = HOUSE.read_text().partition(f"**{walk}**")[2]
    text = re.split(r"\n\*\*|\n## ", text)[0]
    found: list[str] = []
    for name in re.findall(r"`([\w/]+\.py)`", text):
        if not name.startswith("tests/"):
            here = found[-1].rpartition("/")[0] if found else ""
            whole = (ROOT / name).exists() if "/" in name else False
            found.append(name if whole else f"{here}/{name}")
    return found


@contextmanager
def traced() -> Iterator[dict[str, list[str]]]:
    """Inside, the files of this package whose functions are called are listed, thread by thread."""
    entered: dict[str, list[str]] = {}

    def look(frame, event, argument):
        path = frame.f_code.co_filename
        function = frame.f_code.co_flags & inspect.CO_OPTIMIZED  # and no module or class
        if event == "call" and function and path.startswith(str(ROOT)):
            entered.setdefault(threading.current_thread().name, []).append(path)

    threading.setprofile(look)
    sys.setprofile(look)
    try:
        yield entered
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


def visits(entered: dict[str, list[str]]) -> list[str]:
    """Files in the order of the calls, one thread after the other."""
    paths = [path for thread in entered.values() for path in thread]
    return [str(Path(path).relative_to(ROOT)) for path, _ in itertools.groupby(paths)]


def check(walk: str, entered: dict[str, list[str]]) -> None:
    """Every file of the text is entered, in that order."""
    there = iter(visits(entered))
    for name in told(walk):
        assert name in there, f"docs/house.md, {walk}: {name} is not entered, or earlier"


def model():
    return torch.nn.Linear(4, 3)


def squares(model, batch):
    return model(batch[0]).square().mean(dim=1)


@pytest.fixture(scope="module")
def surface(tmp_path_factory):
    """A results file, and what was entered while it was measured from a recorded run."""
    folder = tmp_path_factory.mktemp("plane")
    write_run(folder / "run.h5", random_walk(5, 15, seed=0), layout=ls.Layout.of(model()))
    objective = ls.Objective(model(), squares, (torch.ones(8, 4),), strategy="sequential")
    with traced() as entered:
        plane = ls.pca_plane(ls.Trajectory(folder / "run.h5"), origin="final")
        ls.loss_surface(objective, plane, resolution=5).save(folder / "x.h5", "surface/pca")
    return folder / "x.h5", entered


def test_the_walk_of_a_recorded_step(tmp_path):
    model, x = torch.nn.Linear(4, 2), torch.randn(8, 4)
    optimizer = torch.optim.Adam(model.parameters())

    def step():
        optimizer.zero_grad()
        loss = model(x).square().mean()
        loss.backward()
        optimizer.step()
        recorder.log(loss=loss)

    with traced() as entered, ls.Recorder(tmp_path / "s.h5", model, optimizer) as recorder:
        step()
        recorder.flush()
        for each in entered.values():
            each.clear()
        step()
        step()
        recorder.flush()
    check("A recorded step", entered)


def test_the_walk_of_a_plane(surface):
    check("A plane", surface[1])


def test_the_walk_of_a_results_file(surface, tmp_path):
    with traced() as entered:
        ls.plot(surface[0])
        ls.explore(surface[0], tmp_path / "page.html")
    check("A results file", entered)
