"""Measuring beside a run: what is measured when, what the newest wish does to older ones."""

from __future__ import annotations

import json
import sys
import threading
import time
from http.client import HTTPConnection

import pytest
from live_run import LiveRun

import landscape as ls
from landscape.live import measuring as module
from landscape.live.hub import Hub
from landscape.live.measuring import Measuring, Wish
from landscape.live.server import LiveServer

STUB = """#!{python}
import json, os, sys, time
with open({log!r}, "a") as log:
    log.write(json.dumps([sys.argv[3:], os.nice(0), os.environ["OMP_NUM_THREADS"]]) + "\\n")
time.sleep(float(open({pause!r}).read()))
sys.exit("nothing here" if "fail" in sys.argv else 0)
"""


@pytest.fixture
def measured(tmp_path, monkeypatch):
    """A run, what measures it, and what the stand-in of its commands was asked to do."""
    stub, log, pause = (tmp_path / name for name in ("stub", "log", "pause"))
    stub.write_text(STUB.format(python=sys.executable, log=str(log), pause=str(pause)))
    stub.chmod(0o755)
    pause.write_text("0")
    monkeypatch.setattr(module, "sys", type("", (), {"executable": str(stub)}))
    run = LiveRun(tmp_path / "run.h5")
    run.steps(3)
    hub = Hub([tmp_path / "run.h5"])
    hub.refresh()
    started = []

    def measure(*wishes, more=()):
        found = Measuring(hub, [Wish.of(wish) for wish in wishes], more)
        thread = threading.Thread(target=found.run)
        thread.start()
        started.append((found, thread))
        return found

    def asked(count):
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            lines = log.read_text().splitlines() if log.exists() else []
            if len(lines) >= count:
                return [json.loads(line) for line in lines]
            time.sleep(0.02)
        pytest.fail(f"only {lines}")

    yield run, hub, measure, asked, pause
    for found, thread in started:
        found.end()
        thread.join()
    run.close()


def test_every_so_many_steps_coarse_first_at_the_lowest_priority(measured):
    run, _, measure, asked, _ = measured
    measure("surface every 10 steps", more=["--task", "mine:task"])
    run.steps(8)
    path = str(run.recorder.path)
    found = asked(3)
    assert [words for words, *_ in found] == [
        ["surface", path, "--resolution", n, "--every", "1", "--task", "mine:task"]
        for n in ("9", "17", "33")
    ]
    assert all(nice == 19 and threads == "1" for _, nice, threads in found)
    time.sleep(0.5)
    assert len(asked(3)) == 3  # nothing more until the next multiple
    run.steps(10)
    assert len(asked(6)) == 6


def test_a_newer_wish_ends_an_older_one_after_its_stage(measured):
    run, _, measure, asked, pause = measured
    pause.write_text("0.8")
    measure("surface every 3 steps")
    asked(1)
    run.steps(3)
    assert [words[3] for words, *_ in asked(2)] == ["9", "9"]


def test_what_is_asked_for_by_hand_ends_what_is_measured_at_once(measured):
    _, hub, measure, asked, pause = measured
    pause.write_text("60")
    measuring = measure("surface every 3 steps")
    asked(1)
    began = time.monotonic()
    pause.write_text("0")
    measuring.ask(hub.followers[0], "walk")
    assert asked(2)[1][0][:3] == ["walk", str(hub.followers[0].path), "--window"]
    assert time.monotonic() - began < 30
    with pytest.raises(ValueError, match="what must be one of surface, walk, sharpness"):
        measuring.ask(hub.followers[0], "rm -rf")


def test_why_something_was_not_measured_is_said(measured):
    _, hub, measure, asked, _ = measured
    measure("sharpness every 1 steps", more=["fail"])
    asked(1)
    deadline = time.monotonic() + 20
    while hub.measuring != "not measured: nothing here":
        assert time.monotonic() < deadline, hub.measuring
        time.sleep(0.02)


@pytest.mark.parametrize("text", ["surface", "surface every 0 steps", "plot every 5 steps",
                                  "surface every five steps", ""])  # fmt: skip
def test_what_is_no_wish_is_refused(text):
    with pytest.raises(ValueError, match=r"--measure takes 'surface\|walk\|sharpness every N"):
        Wish.of(text)


def test_it_is_posted_with_the_token_from_the_page_itself(measured):
    _, hub, measure, asked, _ = measured
    server = LiveServer(hub, "page", measuring=measure())
    thread = threading.Thread(target=server.serve_forever)
    thread.start()

    def post(query, **headers):
        connection = HTTPConnection("127.0.0.1", server.port, timeout=30)
        connection.request("POST", f"/measure?{query}", headers=headers)
        answer = connection.getresponse()
        found = answer.status, answer.read().decode()
        connection.close()
        return found

    token = f"token={server.token}"
    assert post("run=SGD&what=walk")[0] == 403
    assert post(f"{token}&run=SGD&what=walk", Host="evil.example")[0] == 403
    assert post(f"{token}&run=SGD&what=walk", **{"Sec-Fetch-Site": "cross-site"})[0] == 403
    assert post(f"{token}&run=SGD&what=reboot")[0] == 400
    assert post(f"{token}&run=../x&what=walk")[0] == 400
    assert post(f"{token}&run=SGD&what=walk") == (200, "")
    assert asked(1)[0][0][0] == "walk"
    assert post(f"{token}&what=nothing") == (200, "")
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_surface_that_was_measured_is_on_the_page(runs, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_COARSE_TO_FINE", ("5",))
    path = tmp_path / "adam.h5"
    path.write_bytes(runs["adam"].read_bytes())
    hub = Hub([path])
    hub.refresh()
    cursor = {}
    assert hub.news(cursor)["content"]["surfaces"] == []
    measuring = Measuring(hub, [])
    thread = threading.Thread(target=measuring.run)
    thread.start()
    measuring.ask(hub.followers[0], "surface")
    deadline = time.monotonic() + 120
    while not (new := hub.news(cursor)) or not new.get("content", {}).get("surfaces"):
        assert time.monotonic() < deadline
        assert not measuring.failure
        time.sleep(0.1)
    measuring.end()
    thread.join()
    (surface,) = new["content"]["surfaces"]
    assert surface["alpha"]["shape"] == [5]
    assert len(surface["paths"]) == 1
    assert ls.Surface.load(tmp_path / "adam.results.h5", "surface/pca").computed.all()
