"""Settings: what a user adds stands apart, and what is stored is what comes back."""

from __future__ import annotations

import ast
import enum
import warnings
from dataclasses import FrozenInstanceError, fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import landscape as ls
from landscape.analysis.on_demand import Request, measured_on_demand
from landscape.base.layout import Layout
from landscape.base.settings import as_json, joined, of_all, users_settings
from landscape.exchange.li2018.reader import read_measured
from landscape.exchange.li2018.writer import write
from landscape.explorer.notes import _BATCH_NORM, notes_on
from landscape.objective.data.held import HeldData
from landscape.objective.policies.batchnorm import POLICIES
from landscape.results.conditions import Conditions
from landscape.results.construction import Construction
from landscape.results.words import plane_of

PACKAGE = Path(ls.__file__).parent


class Colour(enum.StrEnum):
    RED = "red"


def loss(model: nn.Module, batch: tuple) -> torch.Tensor:
    return (model(batch[0]) - batch[1]).square().mean(1)


def objective(**options) -> ls.Objective:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    data = torch.randn(16, 3), torch.randn(16, 1)
    return ls.Objective(model, loss, data, batch_size=16, **options)


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ((8, (1, 2)), [8, [1, 2]]),
        (np.int64(3), 3),
        (np.float32(0.5), 0.5),
        (np.bool_(True), True),
        (np.arange(3), [0, 1, 2]),
        (Path("a/b"), "a/b"),
        (Colour.RED, "red"),
        ({1: {None: (True,)}}, {"1": {"null": [True]}}),
    ],
)
def test_values_have_the_form_in_which_a_file_gives_them_back(given, stored, tmp_path):
    assert as_json(given, "x") == stored
    line = ls.line_between(np.zeros(2), np.ones(2))
    line = replace(line, settings={"mine": given})
    line.save(tmp_path / "a.h5", "line")
    assert ls.Line.load(tmp_path / "a.h5", "line").settings == line.settings == {"mine": stored}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"model": nn.Linear(1, 1)}, r"settings\['model'\] is a Linear"),
        ({"a": {"b": [0, {1, 2}]}}, r"settings\['a'\]\['b'\]\[1\] is a set"),
        ({"a": {1: 0, "1": 0}}, "two keys that are written '1'"),
        ({"f": lambda: 0}, "is a function"),
        ({"t": torch.zeros(2)}, "is a Tensor"),
        ({(1, 2): 3}, "keys are texts or numbers"),
    ],
)
def test_what_cannot_be_kept_is_refused_before_anything_is_measured(given, words):
    with pytest.raises(ValueError, match=words):
        objective(settings=given)


def test_what_holds_itself_is_refused():
    ring: list = []
    ring.append(ring)
    with pytest.raises(ValueError, match="nested more than"):
        users_settings({"ring": ring})


def test_a_users_settings_hide_nothing_and_are_all_there():
    mine = {"seed": "mine", "origin": 3, "precision": "p", "device": "d", "task": "t", "kind": 1}
    measured = objective(settings=mine)
    plane = ls.random_plane(measured.parameters(), measured.layout, seed=7)
    line = ls.random_line(measured.parameters(), measured.layout, seed=7)
    for result in (
        ls.loss_surface(measured, plane, resolution=2),
        ls.loss_surface(measured, plane, resolution=5, tolerance=0.2),
        ls.loss_line(measured, line, resolution=3),
    ):
        said = result.settings
        assert (said["seed"], said["kind"], said["precision"]) == (7, "random", "single")
        assert said["device"] == "cpu"
        assert said["task"] == "t"
        assert said["user"] == {k: v for k, v in mine.items() if k != "task"}


def test_a_surface_from_a_file_goes_on_without_measuring_again(tmp_path):
    settings = {"widths": (8, 8), "path": Path("x"), "share": np.float32(0.5), "none": float("nan")}
    measured = objective(settings=settings)
    plane = ls.random_plane(measured.parameters(), measured.layout)
    found = ls.loss_surface(measured, plane, resolution=5)
    found.save(tmp_path / "a.h5", "surface")
    again = ls.Surface.load(tmp_path / "a.h5", "surface")
    assert found.differences(again) == again.differences(found) == ""
    marked = replace(again, values=np.where(again.computed, again.values, 0) * (1 + 1e-7))
    resumed = ls.loss_surface(measured, plane, resolution=5, resume=marked)
    np.testing.assert_array_equal(resumed.values, marked.values)


def test_surfaces_of_the_first_versions_have_a_users_words_among_the_others():
    measured = objective(settings={"widths": [8, 8], "task": "t"})
    plane = ls.random_plane(measured.parameters(), measured.layout)
    new = ls.loss_surface(measured, plane, resolution=2)
    flat = {k: v for k, v in new.settings.items() if k != "user"} | new.settings["user"]
    assert new.differences(replace(new, settings=flat)) == ""
    other = replace(new, settings={**new.settings, "user": {"widths": [8, 9]}})
    assert "widths differs ([8, 8]; [8, 9])" in new.differences(other)


def test_parts_of_several_devices_merge_and_say_so():
    measured = objective()
    plane = ls.random_plane(measured.parameters(), measured.layout)
    parts = [
        replace(part, settings={**part.settings, "device": device})
        for device, part in zip(
            ("cuda:0", "cuda:1", "cpu"),
            (ls.loss_surface(measured, plane, resolution=6, shard=(k, 3)) for k in range(3)),
            strict=True,
        )
    ]
    merged = ls.merge_surfaces([*parts, parts[0]])
    assert merged.computed.all()
    assert merged.settings["device"] == "cuda:0, cuda:1, cpu"
    assert dict(map(tuple, notes_on(merged)))["Device"] == "cuda:0, cuda:1, cpu"
    odd = replace(parts[1], settings={**parts[1].settings, "precision": "double"})
    with pytest.raises(ValueError, match="precision differs"):
        ls.merge_surfaces([parts[0], odd])


def test_two_that_say_something_else_about_the_same_are_refused():
    assert joined({"a": 1}, {"a": 1, "b": (2,)}) == {"a": 1, "b": (2,)}
    with pytest.raises(ValueError, match="called 'a', 1 and 2"):
        joined({"a": 1}, {"a": 2})
    assert of_all([{"seed": 0, "n": None}, {"seed": 1}]) == {"seed": [0, 1], "n": None}


# Records: what stands in the settings, by name and typed.


def drawing(model: nn.Module, batch: tuple) -> torch.Tensor:
    return loss(model, batch) + 0.1 * torch.randn(len(batch[0])).square()


def test_what_an_objective_says_has_the_names_and_the_order_that_it_always_had():
    """Keys of units are made from them, so that another order would refuse what was measured."""
    told = objective(
        settings={"data": "train", "mine": 1, "task": "t"}, weight_decay=0.1, samples=8
    ).settings
    assert list(told) == [
        "data", "task", "user", "precision", "batch_norm", "weight_decay", "samples", "population",
        "data_hash", "device", "fixed_hash",
    ]  # fmt: skip
    assert (told["samples"], told["population"], told["device"]) == (8, 16, "cpu")
    model, data = nn.Linear(3, 1), (torch.ones(4, 3), torch.ones(4, 1))
    told = ls.Objective(model, drawing, data, common_random_numbers=3).settings
    assert list(told) == [
        "precision", "common_random_numbers", "batch_size", "samples", "population", "data_hash",
        "device",
    ]  # fmt: skip
    told = ls.Objective(model, loss, iter([data] * 3), samples=6).settings
    assert (told["population"], told["stream"]) == (None, True)


def test_a_record_is_what_the_settings_say():
    told = objective(settings={"task": "t", "mine": [1]}).settings
    conditions = Conditions.of({"kind": "random", **told})
    assert conditions.settings() == told
    assert conditions.task == "t"
    with pytest.raises(FrozenInstanceError):
        conditions.samples = 3  # pyright: ignore[reportAttributeAccessIssue]
    around = ls.random_plane(np.ones(3), Layout.of(nn.Linear(2, 1)), ignore=("bias",), seed=2)
    assert Construction.of(around.settings) == Construction(
        kind="random", normalization="filter", ignored=["bias"], seed=2
    )


def test_the_data_is_hashed_once_and_what_a_user_may_change_each_time(monkeypatch):
    measured = objective()
    before, described = measured.settings, HeldData.describe
    monkeypatch.setattr(HeldData, "describe", lambda self: pytest.fail("hashed again"))
    assert measured.settings == before
    measured.model[1].running_mean.data += 1
    assert measured.settings["fixed_hash"] != before["fixed_hash"]
    monkeypatch.setattr(HeldData, "describe", described)
    part = measured.on(np.arange(8))
    assert part.settings["data_hash"] != before["data_hash"]


@pytest.mark.parametrize("odd", ["many", 3, 0.5, True, None, ["x"], {"names": 1}, [[]]])
def test_settings_of_any_kind_are_said_or_left_out(odd):
    names = [field.name for field in (*fields(Conditions), *fields(Construction))]
    settings = dict.fromkeys((*names, "task", "data", "user", "statistics", "buffers"), odd)
    surface = ls.loss_surface(objective(), resolution=2)
    notes_on(replace(surface, settings=settings))
    plane_of(replace(surface, settings=settings))


def test_every_part_of_a_record_is_written_by_somebody():
    written: dict[str, set[str]] = {"Conditions": set(), "Construction": set()}
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                names = {k.arg for k in node.keywords if k.arg is not None}
                written.get(node.func.id, set()).update(names)
                written["Construction"] |= names if node.func.id == "replace" else set()
    assert {field.name for field in fields(Construction)} <= written["Construction"]
    known = {*objective().settings, *HeldData.describe(objective().data), "stream"}
    assert {field.name for field in fields(Conditions)} <= written["Conditions"] | known
    parts = {field.name for record in (Conditions, Construction) for field in fields(record)}
    raw = {
        f"{module}: {word}" for word, ms in words_read().items() if word in parts for module in ms
    }
    assert raw == {
        "base.statistics: batch_norm",
        "exchange.li2018.reader: kind",
        "plots.path: seed",  # of a run
    }


# Words that are read against words that are written.

OF_OTHERS = {"training.run"}  # whose settings are those of a run, checked as a `Run`


def words_read() -> dict[str, set[str]]:
    """Keys that the package reads from settings and provenance, and the modules that do."""
    found: dict[str, set[str]] = {}
    for path in PACKAGE.rglob("*.py"):
        module = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        if module in OF_OTHERS:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            key = _key_read(node)
            if key is not None:
                found.setdefault(key, set()).add(module)
    return found


def _key_read(node: ast.AST) -> str | None:
    holder: ast.AST | None = None
    key: ast.AST | None = None
    if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
        holder, key = node.value, node.slice
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
        if node.func.attr == "get":
            holder, key = node.func.value, node.args[0]
    elif isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.In | ast.NotIn):
        holder, key = node.comparators[0], node.left
    name = getattr(holder, "attr", getattr(holder, "id", ""))
    if name in ("settings", "provenance", "origin") and isinstance(key, ast.Constant):
        return key.value if isinstance(key.value, str) else None
    return None


def words_written(tmp_path: Path) -> set[str]:
    """Keys of what is really measured, in the ways there are."""
    measured = objective(settings={"task": "t", "data": "train", "mine": 1})
    model = measured.model
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with ls.Recorder(tmp_path / "run.h5", model, optimizer) as recorder:
        for _ in range(4):
            optimizer.zero_grad()
            value = loss(model, (torch.randn(8, 3), torch.randn(8, 1))).mean()
            value.backward()
            optimizer.step()
            recorder.log(loss=value.item())
    run = ls.Trajectory(tmp_path / "run.h5")
    pca, around = ls.pca_plane([run, run]), ls.random_plane(run.final, run.layout)
    through = ls.plane_through(run.initial, run.final, run.state(1), names=("a", "b", "c"))
    surface = ls.loss_surface(measured, pca, extent="trajectory", resolution=3)
    reduced = objective(precision="bfloat16")
    stream = iter([(torch.randn(8, 3), torch.randn(8, 1))] * 2)
    endless = ls.Objective(model, loss, stream, samples=12)
    for said in ("The batch-norm statistics", "Batch norms use the running"):
        warnings.filterwarnings("ignore", said)
    results = [
        surface,
        ls.loss_surface(measured, around, resolution=5, tolerance=0.2),
        ls.loss_surface(measured, through, resolution=2),
        ls.loss_surface(reduced, around, resolution=2),
        ls.surfaces_along(measured, run, steps=[1], resolution=2)[0],
        ls.loss_line(measured, ls.line_between(run.initial, run.final), resolution=3),
        ls.loss_line(endless, ls.line_between(run.initial, run.final), resolution=3),
        ls.walk(measured, run, points=2, tolerance=0.5),
        ls.project(run, pca, objective=measured),
        *measured_on_demand(measured, pca, Request("point", (0, 0))),
    ]
    spectrum = ls.hessian_spectrum(measured, run.final, top=2, bottom=0, tensors="0")
    results += [spectrum, ls.eigen_plane(spectrum, 0, 1)]
    ends = [run.initial, run.final]
    results += [ls.barriers(measured, ends, resolution=3)]
    anew = objective(batch_norm="recalibrated")
    curve = ls.find_curve(anew, *ends, steps=2)
    results += [curve, ls.curve_profile(anew, curve, resolution=3)]
    write(surface, tmp_path / "theirs.h5")
    results += [read_measured(tmp_path / "theirs.h5")]
    found: set[str] = set()
    for result in results:
        found |= {*result.settings, *result.provenance}
    return found


def test_no_word_is_read_that_nobody_writes(tmp_path):
    read, written = words_read(), words_written(tmp_path)
    assert {"plane_hash", "step", "tolerance"} <= set(read)
    missing = {word: modules for word, modules in read.items() if word not in written}
    assert not missing
    assert set(_BATCH_NORM) == set(POLICIES)
