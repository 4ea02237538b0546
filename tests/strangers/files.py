"""Files that strangers have: saved again, in the way, from other machines, damaged or hostile."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import torch
from torch import nn

import landscape as ls
from landscape.base.files import remove
from landscape.base.provenance import provenance
from landscape.plots.save import save_figure
from strangers.situation import Verdict, refuses, situation


def loss(model: nn.Module, batch: tuple) -> torch.Tensor:
    return (model(batch[0]) - batch[1]).square().mean(1)


def small(**options) -> tuple[ls.Objective, ls.Plane]:
    x = torch.randn(24, 3)
    objective = ls.Objective(nn.Linear(3, 1), loss, (x, x.sum(1, keepdim=True)), **options)
    return objective, ls.random_plane(objective.parameters(), objective.layout, seed=7)


@situation("files", "a notebook cell that saves its result, run fifty times")
def saved_fifty_times(folder: Path) -> Verdict:
    objective, plane = small()
    file, sizes = folder / "a.results.h5", []
    plane.save(file, "plane/a")
    for _ in range(50):
        ls.loss_surface(objective, plane, resolution=2).save(file, "surface/a")
        sizes.append(file.stat().st_size)
    assert max(sizes) - min(sizes) < 1000, sizes
    assert len(ls.load_results(file)) == 2
    return Verdict(True, f"{sizes[0]:,} and {sizes[-1]:,} bytes")


@situation("files", "unfinished results saved and removed, beside large ones")
def saved_and_removed(folder: Path) -> Verdict:
    file = folder / "a.results.h5"
    large, other = (ls.line_between(np.zeros(n), np.ones(n)) for n in (50_000, 30_000))
    large.save(file, "line/large")
    before = file.stat().st_size
    for _ in range(10):
        other.save(file, "unfinished/other")
        remove(file, "unfinished/other")
    assert file.stat().st_size < before + 3000
    np.testing.assert_array_equal(ls.Line.load(file, "line/large").directions, large.directions)
    return Verdict(True)


@situation("files", "results behind a symbolic link, with permissions of their own")
def behind_a_link(folder: Path) -> Verdict:
    (folder / "store").mkdir()
    real, link = folder / "store" / "a.h5", folder / "a.h5"
    line = ls.line_between(np.zeros(3), np.ones(3))
    line.save(real, "line/a")
    real.chmod(0o640)
    link.symlink_to(real)
    for name in ("line/b", "line/a"):
        line.save(link, name)
        assert link.is_symlink()
        assert real.stat().st_mode & 0o777 == 0o640
    assert set(ls.load_results(real)) == {"line/a", "line/b"}
    return Verdict(True)


@situation("files", "results made read-only, so that nobody changes them")
def read_only_results(folder: Path) -> Verdict:
    file, line = folder / "a.h5", ls.line_between(np.zeros(3), np.ones(3))
    line.save(file, "line/a")
    file.chmod(0o444)
    return refuses("read-only", lambda: line.save(file, "line/b"))


@situation("files", "results beside tables, links and notes of another program")
def beside_others(folder: Path) -> Verdict:
    file, line = folder / "a.h5", ls.line_between(np.zeros(3), np.ones(3))
    line.save(file, "line/a")
    with h5py.File(file, "r+") as held:
        held.attrs["author"] = "me"
        held["theirs/table"] = np.arange(6).reshape(2, 3)
        held["theirs"].attrs["about"] = held["line/a"].ref
        held["theirs/link"] = h5py.SoftLink("/line/a")
        held["theirs/table"].attrs["unit"] = ["m", "s"]
    for _ in range(3):
        line.save(file, "line/a")
    remove(file, "line/none")
    with h5py.File(file) as held:
        assert held.attrs["author"] == "me"
        assert held["theirs/table"][1, 2] == 5
        assert list(held["theirs/table"].attrs["unit"]) == ["m", "s"]
        assert held.get("theirs/link", getlink=True).path == "/line/a"
    return Verdict(True)


@situation("files", "a family of runs recorded where a longer run lies already")
def over_another_run(folder: Path) -> Verdict:
    run = ls.Run("digits/mlp-8", "adam", steps=4)
    file = ls.record_run(run, folder / "adam.h5")
    before = file.read_bytes()
    shorter = {folder / "sgd.h5": replace(run, optimizer="sgd"), file: replace(run, steps=2)}
    verdict = refuses("holds a run with steps=4, not 2", lambda: list(ls.record_runs(shorter)))
    assert file.read_bytes() == before
    assert not (folder / "sgd.h5").exists()
    return verdict


@situation("files", "a page, a figure and a mesh written over a script or a run")
def over_something_else(folder: Path) -> Verdict:
    from matplotlib.figure import Figure

    objective, plane = small()
    surface = ls.loss_surface(objective, plane, resolution=3)
    (folder / "train.py").write_text("print('mine')")
    (folder / "notes.png").write_text("no picture")
    results = {"surface/a": surface}
    surface.save(folder / "a.h5", "surface/a")
    for name in ("train.py", "a.h5"):
        refuses("no html file", lambda name=name: ls.explore(results, folder / name))
    page = folder / "a.html"
    assert ls.explore(results, page) == ls.explore(results, page)
    return refuses(
        "no png file", lambda: save_figure(Figure(), folder / "notes.png", results=results)
    )


@situation("files", "settings of one's own called as the plane's, and tuples in them")
def settings_of_ones_own(folder: Path) -> Verdict:
    mine = {"widths": (8, 8), "seed": "mine", "origin": Path("mine")}
    objective, plane = small(settings=mine)
    surface = ls.loss_surface(objective, plane, resolution=3)
    surface.save(folder / "a.h5", "surface/a")
    back = ls.Surface.load(folder / "a.h5", "surface/a")
    assert back.settings["seed"] == 7
    assert back.settings["user"] == {"widths": [8, 8], "seed": "mine", "origin": "mine"}
    assert not back.differences(surface)
    return Verdict(True)


@situation("files", "a model among the settings")
def settings_that_cannot_be_kept(folder: Path) -> Verdict:
    return refuses(
        r"settings\['net'\] is a Linear", lambda: small(settings={"net": nn.Linear(1, 1)})
    )


@situation("files", "a surface measured in halves on two GPUs")
def halves_of_two_devices(folder: Path) -> Verdict:
    objective, plane = small()
    parts = [ls.loss_surface(objective, plane, resolution=4, shard=(k, 2)) for k in range(2)]
    parts[0] = replace(parts[0], settings={**parts[0].settings, "device": "cuda:0"})
    parts[1] = replace(parts[1], settings={**parts[1].settings, "device": "cuda:1"})
    whole = ls.merge_surfaces(parts)
    np.testing.assert_allclose(
        whole.loss, ls.loss_surface(objective, plane, resolution=4).loss, rtol=1e-5
    )
    assert whole.settings["device"] == "cuda:0, cuda:1"
    return Verdict(True)


@situation("files", "a folder of units whose plan was edited by hand")
def edited_plan(folder: Path) -> Verdict:
    objective, plane = small()
    ls.loss_surface(objective, plane, resolution=6, units=folder)
    plan = json.loads((folder / "plan.json").read_text())
    for change in ({"size": -1}, {"size": 10**9}, {"version": 7}, {"choice": {"strategy": "fast"}}):
        (folder / "plan.json").write_text(json.dumps({**plan, **change}))
        next(folder.glob("unit-*.npz"), folder / "x").unlink(missing_ok=True)
        said = refuses(
            "plan.json", lambda: ls.loss_surface(objective, plane, resolution=6, units=folder)
        )
    return said


@situation("files", "units that chose a way of evaluating which does not fit this model")
def choice_of_another_machine(folder: Path) -> Verdict:
    objective, plane = small()
    whole = ls.loss_surface(objective, plane, resolution=6, units=folder)
    plan = json.loads((folder / "plan.json").read_text())
    odd = {"strategy": "graphed", "batch_size": 8, "chunk": 4, "threads": 500}
    (folder / "plan.json").write_text(json.dumps({**plan, "choice": odd}))
    for unit in list(folder.glob("unit-*.npz"))[:5]:
        unit.unlink()
    objective.tuning.use(None)
    again = ls.loss_surface(objective, plane, resolution=6, units=folder)
    np.testing.assert_allclose(again.loss, whole.loss, rtol=1e-5)
    return Verdict(True)


@situation("files", "measured in an unpacked archive whose git configuration names commands")
def configured_commands(folder: Path) -> Verdict:
    git = ["git", "-c", "user.email=a@b", "-c", "user.name=a"]
    (folder / "a.bin").write_text("1")
    (folder / ".gitattributes").write_text("*.bin filter=mine diff=mine")
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "x"]):
        subprocess.run([*git, *command], cwd=folder, check=True)
    for key in ("core.fsmonitor", "filter.mine.clean", "diff.mine.textconv", "core.sshCommand"):
        subprocess.run([*git, "config", key, f"touch {folder}/ran; cat"], cwd=folder, check=True)
    (folder / "a.bin").write_text("22")
    here = Path.cwd()
    os.chdir(folder)
    try:
        commit = provenance()["commit"]
    finally:
        os.chdir(here)
    assert not (folder / "ran").exists()
    assert len(commit) == 12
    return Verdict(True)


@situation("files", "results of a newer version of this package")
def newer_results(folder: Path) -> Verdict:
    ls.line_between(np.zeros(3), np.ones(3)).save(folder / "a.h5", "line/a")
    with h5py.File(folder / "a.h5", "r+") as file:
        file["line/a"].attrs["version"] = 99
    return refuses("Upgrade", lambda: ls.load_results(folder / "a.h5"))


@situation("files", "a file that says it holds terabytes")
def announced_terabytes(folder: Path) -> Verdict:
    ls.line_between(np.zeros(3), np.ones(3)).save(folder / "a.h5", "line/a")
    with h5py.File(folder / "a.h5", "r+") as file:
        del file["line/a/origin"]
        file.create_dataset("line/a/origin", (1 << 42,), "f4", chunks=(1 << 16,))
    return refuses("is damaged", lambda: ls.load_results(folder / "a.h5"))
