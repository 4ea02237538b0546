"""The live page in a real browser: it grows with the run, and says what became of it."""

from __future__ import annotations

import shutil
import threading
from collections import namedtuple
from dataclasses import replace

import explorer_sample as sample
import numpy as np
import pytest
from live_run import LiveRun

import landscape as ls
from landscape.explorer.build import page_text
from landscape.live.hub import Hub
from landscape.live.server import LiveServer

pytestmark = pytest.mark.browser


class Watched:
    """A run, the server that watches it, and a page that shows it."""

    def __init__(self, browser, folder) -> None:
        self.run = LiveRun(folder / "run.h5")
        self.hub = Hub([folder])
        self.serve()
        self.context = browser.new_context(viewport={"width": 1280, "height": 800})
        self.page, self.problems = self.context.new_page(), []
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.goto(self.server.address)
        self.page.wait_for_selector("html[data-ready]")

    def serve(self, port=0, token=None):
        self.server = LiveServer(self.hub, page_text("landscape", entry="live"), port=port)
        self.server.token = token or self.server.token
        self.hub._ended = False
        self.threads = [
            threading.Thread(target=f) for f in (self.hub.run, self.server.serve_forever)
        ]
        for thread in self.threads:
            thread.start()

    def stop(self):
        self.hub.end()
        self.server.shutdown()
        self.server.server_close()
        for thread in self.threads:
            thread.join()

    def until(self, expression, seconds=20):
        for _ in range(int(seconds * 50)):
            try:
                if self.page.evaluate(expression):
                    return
            except Exception as error:  # it is being loaded anew
                if "context" not in str(error) and "explorer" not in str(error):
                    raise
            self.page.wait_for_timeout(20)
        pytest.fail(f"never true: {expression}; {self.problems}")


@pytest.fixture(scope="module")
def watched(browser, tmp_path_factory):
    watched = Watched(browser, tmp_path_factory.mktemp("watched"))
    yield watched
    watched.context.close()
    watched.stop()
    watched.run.close()


def column(watched, name):
    return watched.page.evaluate(f"[...explorer.runs[0].path.{name}]")


def test_the_page_grows_with_the_run(watched):
    watched.run.steps(40)
    watched.until("globalThis.explorer?.state.step === 40")
    assert column(watched, "losses") == list(range(1, 41))
    for _ in range(3):
        watched.run.steps(5)
    watched.until("explorer.state.step === 55")  # whoever is at the end goes along
    assert column(watched, "losses") == list(range(1, 56))
    assert column(watched, "steps.losses") == list(range(1, 56))
    watched.until("document.getElementById('step').max === '55'")
    watched.until("document.getElementById('watching').textContent.includes('step 55')")
    watched.until("document.title.startsWith('55 ')")
    said = "explorer.charts[0].chart.svg.getAttribute('aria-label')"
    watched.until(f"{said}.startsWith('Loss, from 0 to 55')")
    watched.page.evaluate("explorer.setState({step: 20})")
    watched.run.steps(5)
    watched.until("document.getElementById('step').max === '60'")
    assert watched.page.evaluate("explorer.state.step") == 20  # and whoever is elsewhere stays
    assert not watched.problems


def test_of_many_steps_a_part_is_shown_and_the_rest_is_asked_for(watched):
    watched.page.evaluate("explorer.setState({step: explorer.initial.step})")
    watched.run.steps(2500)
    watched.until("explorer.state.step === 2560")
    steps, values = column(watched, "steps.losses"), column(watched, "losses")
    assert len(steps) <= 2000
    assert values == steps  # the loss of step n is n
    gone = sorted(set(range(1, 2561)) - set(steps))[5]
    watched.page.evaluate(f"explorer.setState({{step: {gone}}})")
    watched.until(f"document.getElementById('caption').textContent.includes('step {gone}')")
    assert watched.page.evaluate("explorer.runs[0].path.exact.losses") == gone
    csv = watched.page.evaluate("explorer.curvesCsv()").splitlines()[1:]
    assert all(row.split(",")[3] in ("", row.split(",")[1]) for row in csv)
    assert not watched.problems


def test_it_goes_on_when_the_server_comes_back(watched):
    port, token = watched.server.port, watched.server.token
    watched.stop()
    watched.until("document.getElementById('say').textContent.startsWith('No answer')")
    watched.run.steps(3)
    watched.serve(port, token)
    watched.page.evaluate("explorer.setState({step: explorer.initial.step})")
    watched.until("explorer.state.step === 2563", seconds=30)
    watched.until("document.getElementById('say').textContent === ''")
    assert not watched.problems


class Asked:
    """In place of what measures: remembers what was asked for."""

    def __init__(self, hub) -> None:
        self.requests = []
        hub.measures = ["surface", "walk"]

    def ask(self, follower, what):
        self.requests.append(what)

    def ask_at(self, surface, kind, place):
        self.requests.append((surface[1], kind, [round(float(v), 6) for v in place]))

    def give_up(self):
        self.requests.append("nothing")


def test_a_region_a_slice_and_a_point_are_picked_on_the_page(watched):
    watched.server.measuring = asked = Asked(watched.hub)
    results = watched.run.recorder.path.with_name("run.results.h5")
    sample.surface(6, 5).save(results, "surface/pca")
    watched.until("globalThis.explorer?.surfaces.length === 1")

    def pick(button):
        watched.page.locator("summary", has_text="Measure").click()
        watched.page.locator(button).click()

    pick("#measure-walk")
    pick("#ask-slice")
    watched.until("document.getElementById('say').textContent.startsWith('Pin two points')")
    watched.page.evaluate("explorer.setState({pins: [0, 29]})")
    pick("#ask-slice")
    watched.page.evaluate("explorer.setState({pins: [14]})")
    pick("#ask-point")
    watched.page.evaluate("explorer.setState({pins: [], window: [4, 0, 0]})")
    watched.page.wait_for_timeout(300)
    pick("#ask-surface")
    pick("#measure-nothing")
    for _ in range(200):
        if len(asked.requests) == 5:
            break
        watched.page.wait_for_timeout(20)
    walk, cut, point, region, nothing = asked.requests
    assert (walk, nothing) == ("walk", "nothing")
    assert cut == ("surface/pca", "slice", [-2, -2, 3, 2])
    assert point == ("surface/pca", "point", [0, 0])
    x0, x1, y0, y1 = region[2]
    assert region[:2] == ("surface/pca", "surface")
    assert -2 < x0 < x1 < 3
    assert -2 < y0 < y1 < 2
    axes = {"alpha": np.linspace(x0, x1, 9), "beta": np.linspace(y0, y1, 9)}
    replace(sample.surface(9, 9), **axes).save(
        results, "surface/region-1"
    )  # and the page turns to it
    watched.until("globalThis.explorer?.surfaces.length === 2 && explorer.state.surface === 1")
    assert watched.page.evaluate("explorer.state.window") is None
    assert not watched.problems


def test_it_says_that_the_run_stopped_went_on_was_replaced_and_finished(watched, monkeypatch):
    def says(text):
        watched.until(f"document.getElementById('say')?.textContent.includes('{text}')")

    watched.run.close(complete=False)
    says("stopped at step 2,563: the process was killed or interrupted")
    path = watched.run.recorder.path
    watched.run = LiveRun(path, resume=True)  # from the state in which the model is, the first one
    watched.run.steps(2, loss=7.0)
    says("resumed at step")
    watched.until("document.getElementById('step').max === '2'")
    np.testing.assert_array_equal(column(watched, "losses"), [7, 7])
    usage = namedtuple("usage", "total used free")
    with monkeypatch.context() as full:
        full.setattr(shutil, "disk_usage", lambda _: usage(9, 9, 0))
        with pytest.warns(ls.RecordingStopped, match="No space left"):
            watched.run.steps(1)
        says("stopped at step 2: the disk is full")
    watched.run.close()
    watched.run = LiveRun(path, overwrite=True)
    watched.run.steps(4, loss=9.0)
    watched.until("globalThis.explorer?.state.step === 4")
    watched.until("document.getElementById('say').textContent.includes('replaced')")
    np.testing.assert_array_equal(column(watched, "losses"), [9] * 4)
    watched.run.close()
    watched.until("document.getElementById('say').textContent.includes('finished at step 4')")
    assert not watched.problems
