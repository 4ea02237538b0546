"""Large and broken data in a real browser; what one step of the slider costs."""

from __future__ import annotations

from dataclasses import replace

import explorer_sample as sample
import numpy as np
import pytest
from conftest import BrowserPage

import landscape as ls

pytestmark = pytest.mark.browser


def page_of(results, folder, page):
    out = ls.explore(results, folder / "page.html")
    page.open(f"file://{out}")
    return out


def milliseconds_per_step(page, steps):
    """Median CPU time of the main thread for one slider step, from Chromium's own counters."""
    session = page.context.new_cdp_session(page.inner)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def busy():
        metrics = session.send("Performance.getMetrics")["metrics"]
        return 1e3 * next(m["value"] for m in metrics if m["name"] == "TaskDuration")

    times = []
    for step in steps:
        before = busy()
        page.evaluate("step => explorer.setState({step})", step)
        page.settle()
        times.append(busy() - before)
    session.detach()
    return float(np.median(times))


@pytest.fixture
def page(browser_page):
    browser_page.set_viewport_size({"width": 1000, "height": 600})
    return browser_page


def test_one_step_of_six_runs(page, tmp_path, record_property, capsys):
    results = {"surface/pca": sample.surface(51, 41)}
    for k, name in enumerate(("gd", "sgd", "momentum", "adagrad", "adam", "radam")):
        results[f"projection/pca/{name}"] = sample.projection(name, 0.3 * k, steps=400)
        results[f"path/{name}"] = sample.path(name, 0.3 * k, steps=400)
        results[f"walk/{name}"] = sample.walk(name, 0.3 * k)
    out = page_of(results, tmp_path, page)
    for view in ("contour", "3d"):
        page.evaluate("view => explorer.setState({view})", view)
        page.settle()
        cost = milliseconds_per_step(page, range(11, 41))
        record_property(f"milliseconds_per_step_{view}", cost)
        with capsys.disabled():
            print(f"\none slider step, six runs, {view}: {cost:.1f} ms of the main thread")
    assert page.evaluate("explorer.lands[0].layer.items.map(i => i.state)") == [20] * 6
    assert page.evaluate("explorer.charts.map(({chart}) => chart.at)") == [40] * 5
    assert out.stat().st_size < 0.7e6
    assert cost < 24  # on a busy machine; quiet ones need a third


def test_twelve_long_runs_and_three_fine_surfaces(page, tmp_path, record_property, capsys):
    results = {"surface/a": sample.surface(101, 101)}
    for k, letter in enumerate("bc"):
        results[f"surface/{letter}"] = sample.surface(
            101, 101, provenance={"plane_hash": letter * (k + 1)}
        )
    for k in range(12):
        path = sample.path(f"run {k}", 0.1 * k, steps=10_000)
        losses = np.array(path.losses)
        losses[5003] = 1e3  # one spike among ten thousand
        results[f"path/{k}"] = replace(path, losses=losses)
        results[f"projection/a/{k}"] = sample.projection(f"run {k}", 0.1 * k, every=1, steps=10_000)
    out = page_of(results, tmp_path, page)
    drawn = page.evaluate("explorer.lands[0].layer.items.map(i => i.kept.length)")
    assert len(drawn) == 12
    assert max(drawn) <= 5000
    spike, top = page.evaluate(
        """() => { const {chart} = explorer.charts[0], faint = chart.series.find(s => s.faint);
        const box = document.querySelector('#panel-loss .curve.faint').getBBox();
        return [chart.y(faint.y[5003]), box.y]; }"""
    )
    assert top == pytest.approx(spike, abs=0.1)  # the spike is in the thinned curve
    page.evaluate("explorer.setState({step: 7001})")
    page.settle()
    x, wanted = page.evaluate(
        """() => { const item = explorer.lands[0].layer.items[3];
        const project = explorer.lands[0].projector();
        return [item.x, project(item.path.x[7001], item.path.y[7001])[0]]; }"""
    )
    assert x == pytest.approx(wanted, abs=0.01)  # full resolution at the marker
    cost = milliseconds_per_step(page, range(3000, 9000, 400))
    assert out.stat().st_size < 3e6
    record_property("milliseconds_per_step", cost)
    record_property("megabytes", out.stat().st_size / 1e6)
    with capsys.disabled():
        print(f"\n12 × 10,000 steps: {cost:.1f} ms a step, {out.stat().st_size / 1e6:.1f} MB")


def test_five_hundred_steps_leave_nothing_behind(page, tmp_path):
    results = {"surface/pca": sample.surface(21, 17)}
    for k, name in enumerate(("sgd", "adam", "radam")):
        results |= {
            f"p/{k}": sample.projection(name, 0.3 * k),
            f"q/{k}": sample.path(name, 0.3 * k),
        }
        results[f"walk/{k}"] = sample.walk(name, 0.3 * k)
    page.set_viewport_size({"width": 500, "height": 420})
    page_of(results, tmp_path, page)
    session = page.context.new_cdp_session(page.inner)
    session.send("Performance.enable")

    def left(steps):
        page.evaluate(
            """async (steps) => { for (let k = 0; k < steps; k += 1) {
            explorer.setState({step: (7 * k) % 60});
            await new Promise(requestAnimationFrame); } }""",
            steps,
        )
        session.send("HeapProfiler.collectGarbage")
        metrics = {m["name"]: m["value"] for m in session.send("Performance.getMetrics")["metrics"]}
        return metrics["JSHeapUsedSize"] / 1e6, metrics["Nodes"], metrics["JSEventListeners"]

    before, after = left(300), left(500)  # first the browser compiles what is run often
    session.detach()
    assert after[0] - before[0] < 0.3  # less than a kilobyte a step
    assert after[1] <= before[1] + 20
    assert after[2] == before[2]


def test_a_run_that_diverged_is_still_there(page, tmp_path):
    healthy, lost = sample.projection("SGD", 0.0), sample.projection("Adam", 0.5)
    columns = {n: np.array(getattr(lost, n)) for n in ("coordinates", "residual", "loss")}
    columns["loss"][10:15] = np.inf
    columns["loss"][15:] = np.nan
    columns["coordinates"][15:] = np.nan
    columns["residual"][15:] = np.nan
    broken = replace(lost, in_plane_loss=columns["loss"], **columns)
    page_of({"s": sample.surface(), "sgd": healthy, "adam": broken}, tmp_path, page)
    page.keyboard.press("b")
    for view in ("contour", "3d"):
        page.evaluate("view => explorer.setState({view, step: 60})", view)
        page.settle()
        state = page.evaluate(
            """() => { const item = explorer.lands[0].layer.items.find(i => i.run.name === 'Adam');
            return [item.state, item.lost]; }"""
        )
        assert state == [14, True]  # where it was last seen
        assert page.locator('tr[data-run="1"] td[data-column="loss"]').inner_text() == "not finite"
    assert "No finite loss: Adam" in page.locator("#caption").inner_text()
    page.evaluate("explorer.setState({step: 22})")
    page.settle()
    assert page.locator('tr[data-run="1"] td[data-column="loss"]').inner_text() == "+∞"
    assert page.locator('tr[data-run="0"] td[data-column="loss"]').inner_text() != "+∞"
    path = page.locator("#panel-loss .curve").last.get_attribute("d")
    assert "NaN" not in path
    assert "Infinity" not in path
    assert page.problems == []


def test_an_exploding_surface_is_clipped_and_says_so(page, tmp_path):
    values = np.array(sample.surface(11, 11).values)
    values[0, 0, :5] = 1e12
    page_of({"s": sample.surface(11, 11, values=values)}, tmp_path, page)
    top, high = page.evaluate("[explorer.lands[0].terrain.top, explorer.lands[0].terrain.high]")
    assert high == pytest.approx(1e12)
    assert top < 100
    clip = page.locator(".clip-box input")
    assert "flat above" in clip.get_attribute("aria-valuetext")
    clip.evaluate("n => { n.value = 1; n.dispatchEvent(new Event('input', {bubbles: true})) }")
    page.settle()
    assert page.evaluate("explorer.lands[0].terrain.top") == pytest.approx(1e12)
    assert clip.get_attribute("aria-valuetext") == "nothing is clipped"


@pytest.mark.parametrize(
    "results",
    [
        {"path/a": sample.path("Adam", 0.0)},
        {"surface/a": sample.surface()},
        {"line": sample.results()["line/initial-final"]},
        {"walk/a": sample.walk("Adam", 1.0)},
        {"s": sample.surface(values=np.full((2, 4, 6), np.nan))},
    ],
    ids=["path", "surface", "line", "walk", "nothing-finite"],
)
def test_any_part_makes_a_page(page, tmp_path, results):
    page_of(results, tmp_path, page)
    assert page.problems == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    if "surface/a" in results:  # without curves the landscape has all the width
        assert page.locator(".stage").bounding_box()["width"] == 1000


@pytest.mark.parametrize("width", [390, 900, 3840])
def test_nothing_scrolls_sideways(page, tmp_path, width):
    page_of(sample.results(), tmp_path, page)
    page.set_viewport_size({"width": width, "height": 844})
    for patch in ({"compare": 1}, {"compare": -1, "view": "3d"}, {"talk": "on"}):
        page.evaluate("patch => explorer.setState(patch)", patch)
        page.settle()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.locator("tbody tr").count() == 3


def test_reduced_motion_jumps_from_state_to_state(browser, tmp_path):
    out = ls.explore(sample.results(), tmp_path / "page.html")
    context = browser.new_context(offline=True, reduced_motion="reduce")
    page = BrowserPage(context.new_page())
    page.goto(f"file://{out}#step=0&speed=4")
    page.wait_for_selector("html[data-ready]")
    page.evaluate(
        """() => { window.seen = []; (function look() { window.seen.push(explorer.state.step);
        requestAnimationFrame(look); })(); }"""
    )
    page.click("#play")
    page.until("explorer.state.step > 10")
    seen = page.evaluate("window.seen")
    assert all(step == int(step) for step in seen)
    context.close()
