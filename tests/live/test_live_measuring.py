"""Measuring beside a run: what is measured when, what the newest wish does to older ones."""

from __future__ import annotations

import json
import sys
import threading
import time
from http.client import HTTPConnection

import explorer_sample as sample
import numpy as np
import pytest
from live_run import LiveRun

import landscape as ls
from landscape.live import jobs
from landscape.live import measuring as module
from landscape.live.hub import Hub
from landscape.live.jobs import Wish
from landscape.live.measuring import Measuring
from landscape.live.server import LiveServer

STUB = """#!{python}
import json, os, sys, time
with open({log!r}, "a") as log:
    log.write(json.dumps([sys.argv[3:], os.nice(0), os.environ["OMP_NUM_THREADS"]]) + "\\n")
for stage in "123":
    print("stage", stage, "of 9 points", flush=True)
    time.sleep(float(open({pause!r}).read()) / 3)
print("done", sys.argv[-1])
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
    measure("surface every 10 steps", "sharpness every 20 steps", more=["--task", "mine:task"])
    run.steps(8)
    path, more = str(run.recorder.path), ["--task", "mine:task"]
    ((words, nice, threads),) = asked(1)
    first = ["surface", path, "--coarse-first", "--resolution", "33", "--every", "1"]
    assert (words, nice, threads) == ([*first, *more], 19, "1")
    time.sleep(0.5)
    assert len(asked(1)) == 1  # nothing more until the next multiple
    run.steps(10)
    second, third = (words for words, *_ in asked(3)[1:])  # who has waited longest comes first
    assert second == ["curvature", path, "--every", "20", "--top", "1", *more]
    assert third == [*first, *more]


def test_a_newer_wish_ends_an_older_one_after_its_stage(measured):
    run, hub, measure, asked, pause = measured
    pause.write_text("3")  # three stages
    measure("surface every 3 steps")
    asked(1)
    began = time.monotonic()
    run.steps(3)
    asked(2)
    assert time.monotonic() - began < 2.5
    while "stage 3" not in hub.measuring:
        assert time.monotonic() - began < 30
        time.sleep(0.02)
    while hub.measuring:
        assert time.monotonic() - began < 30
        time.sleep(0.02)
    assert len(asked(2)) == 2


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


def with_surface(run):
    """Save a surface beside a run; what the page calls its plane."""
    sample.surface().save(run.recorder.path.with_name("run.results.h5"), "surface/pca")
    return sample.PLANE["plane_hash"]


@pytest.mark.parametrize(("kind", "place", "words"), [
    ("surface", [-1.5, 2.0, 0.0, 1e-05], "--region=-1.5,2.0,0.0,1e-05"),
    ("slice", [0.0, 0.0, 1.0, 1.0], "--slice=0.0,0.0,1.0,1.0"),
    ("point", [0.5, 0.25], "--point=0.5,0.25"),
])  # fmt: skip
def test_a_place_on_a_plane_is_refined(measured, kind, place, words):
    run, hub, measure, asked, _ = measured
    plane = with_surface(run)
    measure().ask_at(hub.surface_on(plane), kind, place)
    assert asked(1)[0][0] == ["refine", str(run.recorder.path), "--on=surface/pca", words]


def test_the_answer_at_a_point_is_said_where_everybody_looks(measured):
    run, hub, measure, asked, _ = measured
    measure().ask_at(hub.surface_on(with_surface(run)), "point", [0.5, 0.25])
    asked(1)
    deadline = time.monotonic() + 20
    while hub.measuring != "done --point=0.5,0.25":
        assert time.monotonic() < deadline, hub.measuring
        time.sleep(0.02)


def test_a_hundred_requests_of_which_the_newest_wins(measured):
    run, hub, measure, asked, pause = measured
    pause.write_text("60")  # one that is not given up would hold everybody up
    surface, measuring = hub.surface_on(with_surface(run)), measure()
    for k in range(100):
        measuring.ask_at(surface, "surface", [0, 1 + k, 0, 1])
    deadline = time.monotonic() + 30
    while asked(1)[-1][0][-1] != "--region=0,100,0,1":
        assert time.monotonic() < deadline
        time.sleep(0.02)
    measuring.give_up()
    while hub.measuring:
        assert time.monotonic() < deadline
        time.sleep(0.02)


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
    run, hub, measure, asked, _ = measured
    plane = with_surface(run)
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
    for query, why in (
        ("what=point&place=1,2&plane=0", "No surface is on this plane"),
        ("what=point&place=1,2", "No surface is on this plane"),
        (f"what=point&place=1,x&plane={plane}", "place must be numbers"),
        (f"what=point&place=1,inf&plane={plane}", "A point is 2 numbers"),
        (f"what=slice&place=1,2&plane={plane}", "A slice is 4 numbers"),
        (f"what=walk&place=1,2&plane={plane}", "kind must be one of surface, slice, point"),
    ):
        status, said = post(f"{token}&{query}")
        assert (status, why in said) == (400, True), said
    assert post(f"what=point&place=1,2&plane={plane}")[0] == 403
    assert post(f"{token}&what=point&place=1,2&plane={plane}") == (200, "")
    assert asked(2)[1][0][0] == "refine"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def on_the_page(runs, tmp_path):
    """A recorded run that is watched, what measures it, and a wait for what the page shows."""
    path = tmp_path / "adam.h5"
    path.write_bytes(runs["adam"].read_bytes())
    hub, cursor = Hub([path]), {}
    hub.refresh()
    content = hub.news(cursor)["content"]
    assert (content["surfaces"], content["runs"][0]["walk"]) == ([], None)
    measuring = Measuring(hub, [])
    thread = threading.Thread(target=measuring.run)
    thread.start()

    def shown(wanted):
        deadline = time.monotonic() + 120
        while True:
            hub.refresh()
            content = (hub.news(cursor) or {}).get("content")
            if content and (found := wanted(content)):
                return found
            assert time.monotonic() < deadline
            assert not measuring.failure
            time.sleep(0.1)

    yield hub, measuring, shown
    measuring.end()
    thread.join()


def test_a_surface_that_was_measured_is_on_the_page(on_the_page, tmp_path, monkeypatch):
    monkeypatch.setattr(jobs, "_POINTS", "5")
    hub, measuring, shown = on_the_page
    measuring.ask(hub.followers[0], "surface")

    def surfaces(count):
        return shown(lambda content: content["surfaces"][count - 1 :])

    while (surface := surfaces(1)[0])["alpha"]["shape"] != [5]:
        assert surface["alpha"]["shape"] in ([2], [3])  # coarse first
    assert len(surface["paths"]) == 1
    assert ls.Surface.load(tmp_path / "adam.results.h5", "surface/pca").computed.all()
    measuring.ask_at(hub.surface_on(surface["plane"]), "surface", [-0.1, 0.1, -0.2, 0.2])
    (region,) = surfaces(2)
    assert region["key"] == "surface/region-1"
    assert len(region["paths"]) == 1  # of the same plane


def test_a_walk_that_was_measured_is_on_the_page(on_the_page, tmp_path):
    hub, measuring, shown = on_the_page
    measuring.ask(hub.followers[0], "walk")
    drawn = shown(lambda content: content["runs"][0]["walk"])
    (walk,) = (r for r in ls.load_results(tmp_path / "adam.results.h5").values()
               if isinstance(r, ls.Walk))  # fmt: skip
    assert drawn["loss"]["shape"] == list(walk.loss.shape)
    assert walk.next_step[-1] == 40  # the last committed state
    assert np.isfinite(walk.loss).all()


def test_the_sharpness_that_was_measured_is_on_the_page(on_the_page):
    hub, measuring, shown = on_the_page
    measuring.ask(hub.followers[0], "sharpness")
    panels = shown(lambda content: content["panels"])
    assert "sharpness" in json.dumps(panels).lower()
