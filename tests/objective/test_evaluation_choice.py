"""How a way is chosen: in turns, in doubt the plain one; and what is remembered of it."""

from __future__ import annotations

import json
import logging
import math
import multiprocessing
import time

import numpy as np
import pytest
import torch
from torch import nn

import landscape as ls
from landscape.base import progress
from landscape.objective import measuring, tuning
from landscape.objective.strategies import promise, race, reference, remembered, search, trials
from landscape.objective.strategies.choice import Choice
from landscape.objective.strategies.race import fastest, uncertainty


class Machine:
    """Ways that cost what they cost, on a machine that drifts and is noisy."""

    def __init__(self, costs, *, noise=0.0, drift=0.0, seed=0):
        self.costs, self.noise, self.drift = costs, noise, drift
        self.rng, self.calls = np.random.default_rng(seed), []

    def __call__(self, way):
        self.calls.append(way)
        slow = 1 + self.drift * len(self.calls)
        return self.costs[way] * slow * math.exp(self.noise * self.rng.normal())


def test_a_machine_that_slows_down_all_the_time_misleads_nobody():
    costs = {"plain": 1.0, "a": 0.9, "b": 0.8, "c": 1.1}
    machine = Machine(costs, noise=0.01, drift=0.02)
    chosen, ratio = fastest("plain", ["a", "b", "c"], machine, until=math.inf)
    assert chosen == "b"
    assert ratio == pytest.approx(0.8, abs=0.06)


def test_what_is_no_faster_than_its_uncertainty_leaves_the_plain_way():
    costs = {"plain": 1.0, "a": 1.0, "b": 1.0}
    stays, worst = 0, 0.0
    for seed in range(200):
        machine = Machine(costs, noise=0.15, seed=seed)
        chosen, _ = fastest("plain", ["a", "b"], machine, until=math.inf)
        stays += chosen == "plain"
    assert stays > 160
    for seed in range(200):  # a loser is hardly ever taken, and a clear winner nearly always
        losing = Machine({"plain": 1.0, "a": 1.2, "b": 1.3}, noise=0.1, seed=seed)
        worst += fastest("plain", ["a", "b"], losing, until=math.inf)[0] != "plain"
    assert worst <= 2


def test_the_field_is_halved():
    costs = {"plain": 1.0, **{str(n): 0.9 + n / 50 for n in range(4)}}
    machine = Machine(costs, noise=0.01)
    assert fastest("plain", list("0123"), machine, until=math.inf)[0] == "0"
    counts = [machine.calls.count(way) for way in "0123"]
    assert counts[0] > counts[2] == counts[3] == 3


def test_without_time_there_is_no_verdict_and_what_cannot_be_used_is_not_taken():
    assert fastest("plain", ["a"], Machine({"plain": 1, "a": 0.5}), until=0.0) is None
    broken = {"plain": 1.0, "a": math.inf, "b": math.nan}
    assert fastest("plain", ["a", "b"], Machine(broken), until=math.inf) == ("plain", 1.0)


def test_where_time_is_short_fewer_ways_go_on(monkeypatch):
    """Three rounds of all would take 11.4 s; in 10 s the best of a first round is judged."""
    costs, now = {"plain": 1.0, "a": 0.9, "b": 0.8, "c": 1.1}, [0.0]
    calls = []

    def seconds_of(way):
        calls.append(way)
        now[0] += costs[way]
        return costs[way]

    monkeypatch.setattr(race.time, "perf_counter", lambda: now[0])
    assert fastest("plain", ["a", "b", "c"], seconds_of, until=10.0) == ("b", 0.8)
    assert now[0] <= 10.0
    assert calls.count("b") > calls.count("c")


def test_the_uncertainty_is_that_of_a_median():
    rng = np.random.default_rng(0)
    samples = np.exp(0.05 * rng.normal(size=(4000, 9)))
    wanted = np.median(samples, axis=1).std()
    told = np.mean([uncertainty(row.tolist()) for row in samples])
    assert told == pytest.approx(wanted, rel=0.25)


@pytest.fixture
def remembering(monkeypatch, tmp_path):
    monkeypatch.setenv("LANDSCAPE_REMEMBER", "1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("landscape.objective.tuning._WORTH_CHOOSING", 0.0)
    monkeypatch.setattr(trials, "fastest", lambda plain, others, *_, **__: (others[0], 0.5))
    return tmp_path / "landscape" / "choices.json"


def classify(model, batch):
    return nn.functional.cross_entropy(model(batch[0]), batch[1], reduction="none")


def chosen(loss=classify, width=16, points=9, **options):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, width), nn.Tanh(), nn.Linear(width, 3))
    data = (torch.randn(300, 5), torch.arange(300) % 3)
    objective = ls.Objective(model, loss, data, **options)
    plane = ls.random_plane(objective.parameters(), objective.layout, seed=0)
    surface = ls.loss_surface(objective, plane, resolution=points)
    return objective.choice, surface.loss


def test_the_second_surface_of_a_model_tries_nothing(remembering):
    first, values = chosen()
    assert first.tried
    second, again = chosen()
    assert not second.tried
    sizes = [(c.strategy, c.batch_size, c.chunk, c.threads) for c in (first, second)]
    assert sizes[0] == sizes[1]
    np.testing.assert_allclose(again, values, rtol=1e-5)


def test_what_was_chosen_before_is_measured_with_at_once_and_checked_after(
    remembering, monkeypatch
):
    done = []

    def told(name, own):
        return lambda *args, **options: (done.append(name), own(*args, **options))[1]

    for module, name in ((tuning, "check_repeatable"), (measuring, "measure_chunks")):
        monkeypatch.setattr(module, name, told(name, getattr(module, name)))
    chosen()
    assert done[0] == "check_repeatable"
    done.clear()
    chosen()
    assert done[:2] == ["measure_chunks", "check_repeatable"]
    assert done.count("check_repeatable") == 1


def test_a_loss_that_treats_whole_batches_otherwise_is_refused_the_second_time_too(remembering):
    def loss_of(odd):
        def loss(model, batch):
            each = classify(model, batch)
            return each.mean() * (2 if odd and len(each) > 140 else 1)

        return loss

    chosen(loss=loss_of(odd=False))
    with pytest.raises(ValueError, match="'loss'"):
        chosen(loss=loss_of(odd=True))


@pytest.mark.parametrize(
    "other", [{"width": 17}, {"points": 21}, {"batch_size": 50}, {"precision": "double"}]
)
def test_other_work_is_chosen_for_anew(remembering, other):
    chosen()
    assert chosen(**other)[0].tried


def test_another_loss_is_chosen_for_anew(remembering):
    chosen()
    assert chosen(loss=lambda model, batch: 2 * classify(model, batch))[0].tried


def test_what_is_remembered_is_used_only_with_the_plain_numbers(remembering, monkeypatch):
    chosen()
    kept = json.loads(remembering.read_text())
    for entry in kept["choices"].values():
        entry["strategy"] = "linear"
    remembering.write_text(json.dumps(kept))
    monkeypatch.setattr(reference, "agree", lambda *given: False)
    choice, values = chosen()
    assert choice.strategy == "sequential"
    monkeypatch.undo()
    np.testing.assert_allclose(values, chosen()[1], rtol=1e-5)


@pytest.mark.parametrize(
    "content",
    [
        b"", b"\xff\xfe", b"[]", b"{", b'{"format": 99, "choices": {}}', b"[" * 100_000,
        b'{"format": 1, "choices": 3}', b"1" * (1 << 21),
    ],
)  # fmt: skip
def test_a_damaged_or_foreign_file_is_written_anew(remembering, content):
    remembering.parent.mkdir()
    remembering.write_bytes(content)
    remembered.remember("k", Choice("linear", 8, 4, 1, 0.5))
    assert remembered.recalled("k") == Choice("linear", 8, 4, 1, 0.5)
    assert json.loads(remembering.read_text())["format"] == 1


@pytest.mark.parametrize(
    "change",
    [
        {"strategy": "no such"}, {"strategy": []}, {"chunk": 0}, {"chunk": "8"}, {"threads": -1},
        {"batch_size": 1.5}, {"batch_size": True}, {"seconds": None}, {"seconds": -1},
        {"seconds": "nan"}, {"chunk": 1 << 40},
    ],
)  # fmt: skip
def test_a_hostile_entry_is_no_choice(remembering, change):
    remembered.remember("k", Choice("linear", 8, 4, 1, 0.5))
    kept = json.loads(remembering.read_text())
    kept["choices"]["k"] |= change
    remembering.write_text(json.dumps(kept))
    assert remembered.recalled("k") is None


def test_where_nothing_can_be_written_nothing_fails(remembering, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    remembered.remember("k", Choice("linear", 8, 4, 1, 0.5))
    assert remembered.recalled("k") is None


def test_it_can_be_turned_off(remembering, monkeypatch):
    monkeypatch.setenv("LANDSCAPE_REMEMBER", "0")
    chosen()
    assert not remembering.parent.exists()


def _write(number):
    for n in range(20):
        remembered.remember(f"{number} {n}", Choice("linear", 8, 4, 1, 0.5))


def test_several_processes_never_leave_a_torn_file(remembering):
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_write, args=(n,)) for n in range(3)]
    for worker in workers:
        worker.start()
    while any(worker.is_alive() for worker in workers):
        if remembering.exists():
            json.loads(remembering.read_text())
        time.sleep(0.001)
    assert all(worker.exitcode == 0 for worker in workers)
    assert [path.name for path in remembering.parent.iterdir()] == ["choices.json"]
    assert len(json.loads(remembering.read_text())["choices"]) >= 20


def test_the_file_does_not_grow(remembering, monkeypatch):
    monkeypatch.setattr(remembered, "_MOST", 5)
    for n in range(9):
        remembered.remember(str(n), Choice("linear", None, 4, 1, 0.5))
    assert list(json.loads(remembering.read_text())["choices"]) == list("45678")


def test_a_choice_ends_in_time_however_much_work_there_is(remembering, monkeypatch):
    monkeypatch.setattr(search, "_MOST", 0.0)
    choice, _ = chosen()
    assert len(choice.tried) <= 2


class Clock:
    """Ways that take so long a point, by a clock of their own."""

    def __init__(self, monkeypatch, **costs):
        self.now, self.costs, self.parts = 0.0, costs, []
        monkeypatch.setattr(promise.time, "perf_counter", lambda: self.now)

    def __call__(self, way, part):
        self.parts.append((way.strategy, part.start, part.stop))
        self.now += self.costs[way.strategy] * (part.stop - part.start)


PLAIN = Choice("sequential", 64)


@pytest.mark.parametrize(("cost", "kept"), [(0.5, True), (0.99, True), (1.01, False), (9, False)])
def test_a_choice_that_is_slower_on_real_points_is_dropped(monkeypatch, cost, kept):
    clock = Clock(monkeypatch, linear=0.1 * cost, sequential=0.1)
    held = promise.Promise(Choice("linear", 64, 8), PLAIN, 0.1, 1000)
    assert held.check(clock, 1000) == 36  # four rounds of one point and of eight
    assert held.checked
    assert held.kept == kept
    covered = [k for _, start, stop in clock.parts for k in range(start, stop)]
    assert covered == list(range(36))  # every point once


def test_a_promise_is_checked_over_several_small_measurements(monkeypatch):
    clock = Clock(monkeypatch, linear=0.2, sequential=0.1)
    held = promise.Promise(Choice("linear", 64, 8), PLAIN, 0.1, 1000)
    assert [held.check(clock, 20) for _ in range(3)] == [18, 18, 0]
    assert held.checked
    assert not held.kept


def test_where_the_check_would_cost_too_much_there_is_none(monkeypatch):
    clock = Clock(monkeypatch)
    for points, way in ((199, Choice("linear", 64, 8)), (10**6, PLAIN)):
        held = promise.Promise(way, PLAIN, 0.1, points)
        assert held.check(clock, points) == 0
        assert held.kept


def test_a_broken_promise_is_forgotten_and_changes_no_number(remembering, monkeypatch):
    slow = Choice("linear", 300, 4, 1, 1e-3)
    monkeypatch.setattr(tuning, "choose", lambda *_, **__: slow)
    monkeypatch.setattr(promise, "_LEAST", 1e-9)
    monkeypatch.setattr(promise.Promise, "kept", property(lambda self: False))
    choice, values = chosen(points=19)
    assert (choice.strategy, choice.chunk) == ("sequential", 1)
    kept = list(json.loads(remembering.read_text())["choices"].values())
    assert [entry["strategy"] for entry in kept] == ["sequential"]
    monkeypatch.undo()
    np.testing.assert_allclose(values, chosen(points=19, strategy="sequential")[1], rtol=1e-5)


def test_what_is_being_tried_is_said(monkeypatch, caplog):
    monkeypatch.setattr(progress, "_WORTH_SAYING", 0.0)
    monkeypatch.setattr(progress, "_BETWEEN_LINES", 0.0)
    monkeypatch.setattr(tuning, "_WORTH_CHOOSING", 0.0)
    with caplog.at_level(logging.INFO, logger="landscape"):
        chosen()
    assert "surface: trying sequential, batches of" in caplog.text
    assert "so far" in caplog.text


class Rare(nn.Module):
    """Reads a layer's weights itself, for samples of which the first are none."""

    def __init__(self):
        super().__init__()
        self.layer, self.head = nn.Linear(5, 8), nn.Linear(8, 3)

    def forward(self, x):
        rare = x[:, :1] > 1
        out = self.head(torch.tanh(self.layer(x)))
        return out + rare * self.layer.weight.sum() if rare.any() else out


def rare(strategy=None):
    torch.manual_seed(0)
    x = torch.zeros(200, 5)
    x[33] = 9.0
    objective = ls.Objective(
        Rare(), lambda model, batch: model(batch).square().sum(1), x, strategy=strategy
    )
    surface = ls.loss_surface(objective, ls.random_plane(objective, seed=0), resolution=5)
    return objective, surface.loss


def test_a_way_that_is_wrong_for_a_sample_it_was_not_tried_on_is_not_used(remembering, monkeypatch):
    wanted = rare("sequential")[1]
    monkeypatch.setattr(reference.Reference, "check", lambda *given: None)  # as if not among few
    with pytest.raises(ValueError, match="for some of the samples"):
        rare("linear")
    monkeypatch.setattr(tuning, "choose", lambda *_, **__: Choice("linear", 200, 8, 1, 1e-3))
    objective, values = rare()
    assert objective.choice.strategy == "sequential"
    np.testing.assert_allclose(values, wanted, rtol=1e-6)
    kept = list(json.loads(remembering.read_text())["choices"].values())
    assert kept[-1]["strategy"] == "sequential"


@pytest.mark.parametrize(
    ("asked", "said"),
    [({"batch_size": 50}, {"batch_size": 100}), ({"strategy": "linear"}, {"strategy": "stacked"})],
)
def test_what_was_asked_for_is_used_whatever_the_file_says(remembering, asked, said):
    chosen(**asked)
    kept = json.loads(remembering.read_text())
    for entry in kept["choices"].values():
        entry.update(said)
    remembering.write_text(json.dumps(kept))
    choice = chosen(**asked)[0]
    assert all(getattr(choice, name) == value for name, value in asked.items())
