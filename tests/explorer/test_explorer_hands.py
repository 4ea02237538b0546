"""The page in people's hands: touch, wheel, keys and the layout on screens of all sizes."""

from __future__ import annotations

import explorer_sample as sample
import numpy as np
import pytest
from conftest import BrowserPage

import landscape as ls

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    out = ls.explore(sample.results(), tmp_path_factory.mktemp("hands") / "page.html")
    return f"file://{out}"


@pytest.fixture(scope="module")
def phone(browser, address):
    context = browser.new_context(
        offline=True, has_touch=True, is_mobile=True, viewport={"width": 390, "height": 844},
        reduced_motion="reduce",
    )  # fmt: skip
    page = BrowserPage(context.new_page())
    page.open(f"{address}#step=30")
    yield page
    context.close()


@pytest.fixture
def touched(phone):
    phone.inner.evaluate(
        """() => { explorer.setState({...explorer.initial, step: 30});
        document.scrollingElement.scrollTop = 0; }"""
    )
    phone.settle()
    return phone


def fingers(page, *moves):
    """Fingers that go down at the first places, over the next ones, and up at the last."""
    session = page.context.new_cdp_session(page.inner)
    for kind, places in zip(["touchStart", *["touchMove"] * (len(moves) - 1)], moves, strict=True):
        points = [{"x": x, "y": y, "id": k} for k, (x, y) in enumerate(places)]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    session.detach()
    page.settle()


def spot(page, x, y):
    """The pixel of data (x, y) in the map."""
    return page.evaluate(
        """([x, y]) => { const land = explorer.lands[0], box = land.stage.getBoundingClientRect();
        const at = land.projector()(x, y); return [box.left + at[0], box.top + at[1]]; }""",
        [x, y],
    )


def state(page, name):
    return page.evaluate(f"explorer.state.{name}")


def test_a_tap_on_a_path_goes_to_its_step_and_one_on_the_ground_pins_its_value(touched):
    path = sample.results()["projection/pca/1"]
    x, y = spot(touched, *path.coordinates[4])
    fingers(touched, [(x, y)])
    assert state(touched, "step") == path.step[4]
    assert touched.locator(".land .tip").is_visible()
    surface = sample.surface()
    x, y = spot(touched, surface.alpha[4], surface.beta[2])
    fingers(touched, [(x, y)])
    assert state(touched, "pins") == [2 * 6 + 4]
    shown = touched.locator(".card .number").first.inner_text()
    assert float(shown) == pytest.approx(surface.loss[2, 4], rel=6e-5)


def test_two_fingers_zoom_where_they_are(touched):
    x, y = spot(touched, 0.5, 0.0)
    fingers(
        touched,
        [(x - 30, y), (x + 30, y)], [(x - 45, y), (x + 45, y)], [(x - 60, y), (x + 60, y)],
    )  # fmt: skip
    assert state(touched, "window[0]") == pytest.approx(2, rel=0.02)
    assert spot(touched, 0.5, 0.0) == pytest.approx([x, y], abs=2)
    touched.locator(".fit").first.tap()
    touched.until("explorer.state.window === null")


def test_two_fingers_zoom_the_terrain_and_one_turns_it(touched):
    touched.evaluate("explorer.setState({view: '3d'})")
    touched.settle()
    box = touched.locator(".stage").first.bounding_box()
    x, y = box["x"] + 150, box["y"] + 150
    before = touched.evaluate("explorer.lands[0].camera.azimuth")
    fingers(touched, [(x - 30, y), (x + 30, y)], [(x - 60, y), (x + 60, y)])
    assert state(touched, "camera[2]") == pytest.approx(2, rel=0.02)
    assert state(touched, "camera[0]") == pytest.approx(before, abs=0.01)
    fingers(touched, [(x, y)], [(x + 40, y)], [(x + 60, y)])
    assert abs(state(touched, "camera[0]") - before) > 15


def test_a_double_tap_shows_the_whole_again_and_pins_nothing(touched):
    touched.evaluate("explorer.setState({window: [3, 0, 0]})")
    touched.settle()
    x, y = spot(touched, 0.5, 0.0)
    for _ in range(2):
        touched.touchscreen.tap(x, y)
    touched.settle()
    assert [state(touched, "window"), state(touched, "pins")] == [None, []]


def test_one_finger_on_the_map_leaves_scrolling_to_the_page(touched):
    action = "getComputedStyle(document.querySelector('.stage')).touchAction"
    assert touched.evaluate(action) == "pan-y"
    fingers(touched, *([(150, y)] for y in (500, 480, 450, 410, 360, 300)))
    touched.until("document.scrollingElement.scrollTop > 100")
    assert state(touched, "window") is None
    touched.evaluate("explorer.setState({window: [2, 0, 0]})")
    touched.settle()
    assert touched.evaluate(action) == "none"


def test_on_a_phone_map_and_player_stay_while_the_curves_scroll(touched):
    share = touched.evaluate(
        "(() => { const b = document.querySelector('.stage').getBoundingClientRect();"
        " return b.width * b.height / (innerWidth * innerHeight); })()"
    )
    assert share >= 0.45
    touched.evaluate("document.scrollingElement.scrollTop = 700")
    touched.settle()
    assert touched.evaluate("document.scrollingElement.scrollTop") > 300
    for selector in (".stage", "#player"):
        box = touched.locator(selector).first.bounding_box()
        assert box["y"] >= -1
        assert box["y"] + box["height"] <= 845
    small = touched.evaluate(
        """[...document.querySelectorAll('button, select, summary, #step')].filter(n => {
        const b = n.getBoundingClientRect(), s = getComputedStyle(n);
        return b.width && s.visibility === 'visible' && !n.closest('.bands, .link, dialog, p')
          && (b.height < 44 || b.width < 44); }).map(n => n.id || n.className || n.textContent)"""
    )
    assert small == []


@pytest.mark.parametrize("size", [(1440, 900), (1920, 1080)])
def test_the_landscape_fills_the_screen(browser_page, address, size):
    page = browser_page
    page.reuse(address)
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.settle()
    share, blank, scroll = page.evaluate(
        """() => { const b = document.querySelector('.stage').getBoundingClientRect();
        const c = document.querySelector('.curves').getBoundingClientRect();
        return [b.width * b.height / (innerWidth * innerHeight), c.left - b.right,
          document.documentElement.scrollHeight - innerHeight]; }"""
    )
    assert share >= 0.55
    assert blank <= 1
    assert scroll <= 0
    page.keyboard.press("k")  # without the curves it takes all the width
    page.settle()
    assert page.locator(".stage").first.bounding_box()["width"] == size[0]


def test_talk_mode_is_read_from_the_last_row(browser_page, address):
    page = browser_page
    page.reuse(address)
    page.set_viewport_size({"width": 1280, "height": 720})
    page.keyboard.press("p")
    page.settle()
    smallest = page.evaluate(
        """() => {
        const shown = (n) => n.checkVisibility() && !n.closest('svg, .hidden, noscript')
          && [...n.childNodes].some((c) => c.nodeType === 3 && c.data.trim());
        return Math.min(explorer.lands[0].size, ...[...document.querySelectorAll('body *')]
          .filter(shown).map((n) => parseFloat(getComputedStyle(n).fontSize))); }"""
    )
    assert smallest >= 0.016 * 720
    for chrome in (".tools", ".curves", ".key", ".zooms", ".runs-row"):
        assert not page.locator(chrome).first.is_visible()
    page.keyboard.press("Escape")
    page.settle()
    assert state(page, "talk") == "off"


def test_the_wheel_alone_never_zooms(browser_page, address):
    page = browser_page
    page.reuse(address)
    page.settle()
    box = page.locator(".stage").first.bounding_box()
    page.mouse.move(box["x"] + 300, box["y"] + 300)
    page.mouse.wheel(0, -300)
    page.settle()
    assert state(page, "window") is None
    assert "Ctrl" in page.locator(".hint").first.inner_text()
    prevented = page.evaluate(
        """[false, true].map(ctrlKey => { const e = new WheelEvent('wheel',
          { deltaY: -100, ctrlKey, cancelable: true, bubbles: true, clientX: 400, clientY: 400 });
        document.querySelector('.stage').dispatchEvent(e); return e.defaultPrevented; })"""
    )
    assert prevented == [False, True]


def test_zero_and_fit_bring_the_whole_back_in_both_views(browser_page, address):
    page = browser_page
    page.reuse(address)
    for view, field, zoomed in (
        ("contour", "window", [3, 0.2, 0.1]),
        ("3d", "camera", [10, 50, 3, 0, 0]),
    ):
        for back in ("key", "button"):
            page.evaluate("p => explorer.setState(p)", {"view": view, field: zoomed})
            page.settle()
            if back == "key":
                page.keyboard.press("0")
            else:
                page.locator(".fit").first.click()
            page.settle()
            assert state(page, field) is None
            assert page.evaluate("explorer.lands[0].camera.zoom") == 1


def test_a_marker_outside_the_window_is_an_arrow_at_its_edge(browser_page, address):
    page = browser_page
    page.reuse(address)
    page.evaluate("explorer.setState({step: 60, window: [8, -0.8, 0.5]})")
    page.settle()
    outside = page.evaluate("explorer.lands[0].layer.items.map(i => i.outside)")
    assert outside == [True] * 3
    assert page.evaluate("explorer.lands[0].labelled.length") == 0
    page.evaluate("explorer.setState({window: null})")
    page.settle()
    assert page.evaluate("explorer.lands[0].layer.items.some(i => i.outside)") is False
    # Hatched is what was not computed or is not finite, and nothing else.
    hatched = "explorer.lands[0].scene.ground.holes.count / 6"
    assert page.evaluate(hatched) == 0
    page.evaluate("explorer.setState({surface: 1})")
    page.settle()
    assert page.evaluate(hatched) == 1 + 6  # a corner, and around two neighbours inside


def test_the_address_keeps_everything(browser_page, address):
    page = browser_page
    page.reuse(address)
    wanted = {
        "step": 24, "view": "3d", "camera": [40, 20, 1.5, 0.1, 0], "window": [2, 0.1, -0.1],
        "pins": [3, 14], "range": [10, 40], "marks": [[20, "a & b|c=d"]], "time": "log",
        "loop": "on", "colour": "loss", "fade": "on", "curves": "off",
    }  # fmt: skip
    page.evaluate("patch => explorer.setState(patch)", wanted)
    page.settle()
    hash_ = page.evaluate("explorer.hashOf(explorer.state)")
    page.open(f"{address}#{hash_}")
    found = page.evaluate("explorer.state")
    wanted["marks"] = [[20, "a & b/c=d"]]
    assert {name: found[name] for name in wanted} == wanted
    assert page.problems == []


def test_runs_by_double_click_shift_and_keys(browser_page, address):
    page = browser_page
    page.reuse(address)
    chips = page.locator("#legend .chip")
    chips.nth(1).click(modifiers=["Shift"])
    chips.nth(0).click(modifiers=["Shift"])  # two runs in two clicks
    page.settle()
    assert state(page, "hidden") == [2]
    one, other = (sample.results()[f"projection/pca/{k}"] for k in (1, 0))
    drawn = page.evaluate("[...explorer.charts.pairs[0].chart.series[0].y]")
    np.testing.assert_allclose(drawn, one.loss - other.loss, atol=1e-6)
    apart = page.evaluate("[...explorer.charts.pairs[1].chart.series[0].y]")
    np.testing.assert_allclose(
        apart, np.linalg.norm(one.coordinates - other.coordinates, axis=1), atol=1e-6
    )
    u, v = np.diff(one.coordinates, axis=0), np.diff(other.coordinates, axis=0)
    cosine = (u * v).sum(1) / np.linalg.norm(u, axis=1) / np.linalg.norm(v, axis=1)
    angles = page.evaluate("[...explorer.charts.pairs[2].chart.series[0].y]")
    np.testing.assert_allclose(angles, np.degrees(np.arccos(cosine)), atol=0.02)
    chips.nth(2).dblclick()
    page.settle()
    assert state(page, "hidden") == [0, 1]
    page.keyboard.press("Shift+1")
    page.settle()
    assert state(page, "hidden") == [1, 2]


def test_the_slider_is_within_three_tabs_and_the_landscape_has_a_name(browser_page, address):
    page = browser_page
    page.open(address)
    reached = []
    for _ in range(3):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id"))
    assert "step" in reached
    name = page.locator(".stage").first.get_attribute("aria-label")
    assert "paths of 3 runs" in name
    assert name.startswith("loss on surface/pca, from ")
    assert page.locator("#live").get_attribute("aria-live") == "polite"
    assert "ends at" in page.locator("#panel-loss svg[role=img]").get_attribute("aria-label")
    page.locator("#step").focus()
    page.keyboard.press("ArrowLeft")
    page.until("document.getElementById('live').textContent.includes('At step 59')")
    page.keyboard.press("Tab")
    page.locator("#panel-loss .plot").focus()  # on a curve the keys say what is there
    page.keyboard.press("ArrowLeft")
    page.settle()
    assert "step 58" in page.locator("#panel-loss .tip").inner_text()
    page.locator("#step").focus()
    assert not page.locator("#panel-loss .tip").is_visible()


def test_targets_are_large_and_forced_colours_keep_what_is_pressed(browser_page, address):
    page = browser_page
    page.reuse(address)
    page.locator("summary", has_text="View").click()
    small = page.evaluate(
        """[...document.querySelectorAll('button, select, summary, input')].filter((n) => {
        const b = n.getBoundingClientRect();
        return n.checkVisibility({ visibilityProperty: true }) && b.width
          && !n.closest('.bands, p') && (b.height < 32 || b.width < 32); })
        .map((n) => n.id || n.className || n.textContent)"""
    )
    assert small == []
    page.locator("summary", has_text="View").click()
    page.emulate_media(forced_colors="active")
    looks = page.evaluate(
        """[true, false].map((on) => getComputedStyle(document.querySelector(
        `.tools > .segment [aria-pressed="${on}"]`)).backgroundColor)"""
    )
    assert looks[0] != looks[1]
    assert page.evaluate("getComputedStyle(document.querySelector('#play')).forcedColorAdjust") == (
        "none"
    )
    page.emulate_media(forced_colors="none")


def test_keys_move_over_the_points_of_a_focused_landscape(browser_page, address):
    page = browser_page
    page.reuse(address)
    surface = sample.surface()
    page.locator(".stage").first.focus()
    step = state(page, "step")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowUp")
    i, j = page.evaluate("[explorer.lands[0].cursor.i, explorer.lands[0].cursor.j]")
    shown = page.locator(".land .tip .number").first.inner_text()
    assert float(shown) == pytest.approx(surface.loss[j, i], rel=6e-5)
    page.keyboard.press("Enter")
    page.settle()
    assert [state(page, "pins"), state(page, "step")] == [[6 * j + i], step]


def test_a_slice_has_the_stored_values_at_its_ends_and_says_what_is_between(browser_page, address):
    page = browser_page
    page.reuse(address)
    surface = sample.surface()
    page.evaluate("explorer.setState({pins: [1, 22]})")
    page.settle()
    slice_ = page.evaluate("[...explorer.sliceOf(explorer.lands[0]).values]")
    assert [slice_[0], slice_[-1]] == pytest.approx([surface.loss[0, 1], surface.loss[3, 4]])
    card = page.locator(".card").first.inner_text()
    assert "interpolated between measured points" in card
    numbers = page.locator(".card section .number").all_inner_texts()
    assert float(numbers[0]) == pytest.approx(surface.loss[0, 1], rel=6e-5)


def test_a_pin_knows_its_distance_to_every_run(browser_page, address):
    page = browser_page
    page.reuse(address)
    run = page.evaluate("explorer.runs.findIndex(r => r.name === 'Adam')")
    path = sample.results()["projection/pca/0"]
    shown = page.evaluate(
        "run => explorer.distanceTo(explorer.surfaces[0], explorer.runs[run], [1, -2], 40)", run
    )
    page.evaluate("explorer.setState({pins: [8]})")
    page.settle()
    card = page.locator(".card").first.inner_text()
    assert "slope of the grid" in card
    assert "curvatures of the grid" in card
    gap = np.hypot(np.linalg.norm(path.coordinates[20] - [1, -2]), path.residual[20])
    assert shown == pytest.approx(gap, rel=1e-6)
