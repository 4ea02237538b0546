"""Time, story, many runs and what several surfaces say together, in a real browser."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise, product

import explorer_sample as sample
import numpy as np
import pytest

import landscape as ls
from landscape.results.layers import LayerMetrics

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    folder = tmp_path_factory.mktemp("time")
    out = ls.explore(sample.results(), folder / "page.html", notes={20: "<b>lr</b> drop"})
    return f"file://{out}"


@pytest.fixture
def page(browser_page, address):
    browser_page.reuse(address)
    return browser_page


def open_page(page, results, folder, **options):
    out = ls.explore(results, folder / "page.html", **options)
    page.open(f"file://{out}")
    return out


def test_the_first_look_is_the_whole_and_then_it_plays_once(browser, address):
    context = browser.new_context(offline=True, viewport={"width": 500, "height": 420})
    page = context.new_page()
    page.goto(address)
    page.wait_for_selector("html[data-ready]")
    assert page.evaluate("explorer.state.step") == sample.STEPS
    for _ in range(200):
        page.wait_for_timeout(50)
        if page.evaluate("explorer.player.isPlaying() && explorer.state.step < 40"):
            break
    assert page.evaluate("explorer.player.isPlaying()")
    page.keyboard.press(" ")
    page.goto("about:blank")
    page.goto(f"{address}#step=60")  # who comes with an address sees what it says
    page.wait_for_selector("html[data-ready]")
    assert page.evaluate("explorer.cancelFirstLook") is None
    context.close()


def test_time_runs_by_steps_by_log_steps_or_by_path_length(page):
    for name in ("steps", "log", "length"):
        shares = [0, 0.25, 0.5, 0.75, 1]
        steps = page.evaluate(
            "([name, us]) => { const c = explorer.clockOf(name, 0, 60); return us.map(c.step); }",
            [name, shares],
        )
        back = page.evaluate(
            "([name, ss]) => { const c = explorer.clockOf(name, 0, 60); return ss.map(c.share); }",
            [name, steps],
        )
        assert back == pytest.approx(shares, abs=1e-6)
        if name == "steps":
            expected = 60 * np.array(shares)
        elif name == "log":
            expected = 61 ** np.array(shares) - 1
        else:  # half of the path, on average over runs whose updates are 0.1 + t, equally long
            reach = np.cumsum(0.1 + np.arange(61) / 60)
            expected = np.interp(shares, (reach - reach[0]) / (reach[-1] - reach[0]), np.arange(61))
        assert steps == pytest.approx(expected, abs=1.0 if name == "length" else 1e-9)


def test_a_chosen_range_is_what_curves_show_and_what_loops(page):
    page.evaluate("explorer.setState({range: [10, 30], loop: 'on', speed: '4', step: 10})")
    page.settle()
    limits = page.evaluate("explorer.charts.map(({chart}) => [chart.x0, chart.x1])")
    assert limits == [[10, 30]] * 5
    page.keyboard.press(" ")
    seen = [page.evaluate("explorer.state.step") for _ in range(5)]
    page.until("explorer.state.step > 12")
    page.keyboard.press(" ")
    page.settle()
    assert all(10 <= step <= 30 for step in [*seen, page.evaluate("explorer.state.step")])
    page.locator("#range").click()
    page.settle()
    assert page.evaluate("explorer.state.range") is None


def test_a_range_is_chosen_on_a_curve_with_shift(page):
    box = page.locator("#panel-distance .plot").bounding_box()
    a, b = page.evaluate(
        "(() => { const c = explorer.charts.find(p => p.panel.id === 'distance').chart;"
        " return [c.x(12), c.x(44)]; })()"
    )
    page.keyboard.down("Shift")
    page.mouse.move(box["x"] + a, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + b, box["y"] + 20, steps=2)
    page.mouse.up()
    page.keyboard.up("Shift")
    page.settle()
    assert page.evaluate("explorer.state.range") == [12, 44]


def test_marks_come_from_python_and_from_the_page(page):
    assert page.evaluate("explorer.state.marks") == [[20, "<b>lr</b> drop"]]
    assert page.locator("#panel-loss .mark-note").text_content() == "<b>lr</b> drop"
    assert page.locator(".bands .flag").count() == 1
    page.inner.once("dialog", lambda dialog: dialog.accept("warm-up ends"))
    page.evaluate("explorer.setState({step: 33})")
    page.settle()
    page.keyboard.press("m")
    page.settle()
    assert page.evaluate("explorer.state.marks.map(m => m[0])") == [20, 33]


def test_windows_of_the_walk_are_bands_that_lead_there(page):
    page.evaluate("explorer.setState({step: 55})")
    page.settle()
    assert page.locator("#panel-walk.elsewhere").count() == 1
    assert "not measured here; nearest: step 40" in page.locator("#panel-walk .note").inner_text()
    assert page.locator("#panel-walk .curve").count() == 3  # the nearest stay
    page.locator(".bands .window").click()
    page.settle()
    assert page.evaluate("explorer.state.step") == 10
    assert page.locator("#panel-walk.elsewhere").count() == 0


def test_the_story_goes_from_scene_to_scene(page):
    scenes = page.evaluate("explorer.story.scenes.map(s => s.text)")
    assert len(scenes) >= 5
    for k, text in enumerate(scenes):
        page.keyboard.press("n")
        page.settle()
        assert page.locator("#scene-text").inner_text() == text
        assert page.evaluate("explorer.hashOf(explorer.state)").endswith(f"scene={k}")
    page.keyboard.press("n")
    page.settle()
    assert not page.locator("#scene-text").is_visible()
    page.keyboard.press("n")
    page.settle()
    page.get_by_role("button", name="Auto").click()  # goes on, and on by itself
    page.settle()
    assert page.evaluate("explorer.state.scene") == 1
    page.get_by_role("button", name="Auto").click()


def test_every_run_is_seen_against_its_halo_in_both_themes(page):
    """Three to one at least, at both ends of the map: the halo is opaque. First colours differ."""

    def light(colour):
        channels = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return np.dot([0.2126, 0.7152, 0.0722], linear)

    from landscape.explorer.looks import HUES, page_looks
    from landscape.optim.registry import OPTIMIZERS

    ramps = [page_looks([f"lr={k}" for k in range(9)], [o] * 9) for o in ("sgd", "adam", "gd")]
    colours = [*HUES, *(entry.color for entry in OPTIMIZERS.values())]
    colours += [look.color for ramp in ramps for look in ramp]
    for dark, halo in ((False, "#ffffff"), (True, "#0c0d10")):
        drawn = page.evaluate(
            "([cs, dark]) => cs.map((color) => explorer.colour({color}, dark))", [colours, dark]
        )
        for colour, seen in zip(colours, drawn, strict=True):
            low, high = sorted([light(seen), light(halo)])
            assert (high + 0.05) / (low + 0.05) >= 3, (colour, seen, dark)
        first = np.array([lab(seen) for seen in drawn[:8]])
        apart = np.linalg.norm(first[:, None] - first[None], axis=2) + 99 * np.eye(8)
        assert apart.min() >= 15, dark


def lab(colour):
    """CIE L*a*b* (D65) of a colour, in which 2 is just seen apart."""
    srgb = np.array([int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)])
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    x, y, z = np.cbrt(np.array(to_xyz) @ linear / [0.9505, 1, 1.089])
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def test_page_and_figures_have_one_map(page):
    from landscape.plots.ground import ground_colors

    for theme in ("light", "dark"):
        drawn = page.evaluate(
            "dark => Array.from({length: 256}, (_, k) => explorer.ground(k / 255, dark))",
            theme == "dark",
        )
        for one, other in zip(drawn, ground_colors(theme), strict=True):
            channels = [[int(c[k : k + 2], 16) for k in (1, 3, 5)] for c in (one, other)]
            assert np.abs(np.subtract(*channels)).max() <= 1


def test_layers_have_a_panel_when_they_were_measured(page, tmp_path):
    assert page.locator("#panel-layers").count() == 0
    step = np.arange(61)
    weight = np.outer([1.0, 2.0, 4.0], np.ones(61))
    update = np.outer([0.1, 0.01, 0.001], 1 + step / 60)
    layers = LayerMetrics(
        name="Adam", optimizer="adam", step=step, layers=("a.weight", "a.bias", "b.weight"),
        weight_norm=weight, update_norm=update, learning_rate=np.full(61, 0.1),
    )  # fmt: skip
    open_page(page, {**sample.results(), "layers/adam": layers}, tmp_path)
    panel = page.locator("#panel-layers .plot")
    panel.scroll_into_view_if_needed()
    box = panel.bounding_box()
    x = page.evaluate("explorer.charts.more.layers.x(30)")
    page.mouse.move(box["x"] + x, box["y"] + 0.45 * box["height"])
    shown = panel.locator(".tip .number").all_inner_texts()
    assert shown[0] == "30"
    assert float(shown[1]) == pytest.approx(update[1, 30] / weight[1, 30], rel=1e-3)
    page.mouse.down()
    page.mouse.up()
    page.settle()
    assert page.evaluate("explorer.state.step") == 30
    assert page.problems == []


def test_two_metrics_of_one_surface_stand_side_by_side(page):
    page.evaluate("explorer.setState({compare: 0, other: 1})")
    page.settle()
    shown = page.evaluate("explorer.lands.map(l => l.surface.metrics[l.terrain.metric])")
    assert shown == ["loss", "error"]
    page.keyboard.press("c")
    page.settle()
    assert page.evaluate("[explorer.state.compare, explorer.state.other]") == [-1, -1]


def test_a_step_in_a_sentence_leads_there(page):
    page.keyboard.press("n")
    page.keyboard.press("n")
    page.settle()
    link = page.locator("#scene-text .link").first
    step = int(link.inner_text().split()[1])
    page.evaluate("explorer.setState({step: 1})")
    page.settle()
    link.click()
    page.settle()
    assert page.evaluate("explorer.state.step") == step


def test_forty_runs_with_long_names(page, tmp_path):
    results = {"surface/pca": sample.surface()}
    for k, (rate, seed) in enumerate(product(range(8), range(5))):
        name = f"resnet56-noshort/lr=0.{rate}/seed={seed}"
        results[f"projection/pca/{k}"] = sample.projection(name, 0.05 * k)
        results[f"path/{k}"] = sample.path(name, 0.05 * k)
    open_page(page, results, tmp_path, title="Forty")
    chips = page.locator("#legend > .legend > li:not(.note)")
    assert chips.count() == 9  # eight and the way to the others
    rows = page.evaluate(
        "new Set([...document.querySelectorAll('#legend > .legend .chip')]"
        ".map(n => Math.round(n.getBoundingClientRect().top / 20))).size"
    )
    assert rows <= 2
    assert page.locator("#legend bdi").first.inner_text() == "resnet56-noshort/lr=0.…"
    assert page.evaluate("explorer.runs[0].short").startswith("0/seed")
    assert page.evaluate("explorer.lands[0].labelled.length") <= 8
    looks = page.evaluate("explorer.runs.map(r => [explorer.colour(r), r.dash, r.marker].join())")
    assert len(set(looks)) == 40
    page.locator("#more-runs").click()
    page.locator("#all-runs input").fill("lr=0.7")
    assert page.locator("#all-runs .chip:visible").count() == 5
    caption = page.locator("#caption").inner_text()
    assert re.match(r"At step 60 .* is lowest, at loss .*; .* is highest", caption)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.problems == []


def test_columns_without_numbers_are_left_out(page, tmp_path):
    open_page(page, {"walk/a": sample.walk("Adam", 1.0)}, tmp_path)
    assert page.locator("thead th").count() == 1
    open_page(page, {"path/a": sample.path("Adam", 0.0)}, tmp_path)
    titles = page.locator("thead th").all_text_contents()
    assert "Mini-batch" in titles
    assert "In plane" not in titles


def test_a_random_plane_marks_the_network_it_was_laid_around(page):
    page.evaluate("explorer.setState({surface: 1})")
    page.settle()
    assert page.evaluate("explorer.lands[0].surface.around") == "the network at (0, 0)"
    assert page.evaluate("explorer.surfaces[0].around") == ""
    assert "No run was projected" in page.locator(".key .note").last.inner_text()


def test_the_difference_of_two_surfaces_or_why_there_is_none(page, tmp_path):
    page.evaluate("explorer.setState({difference: 'on'})")
    page.settle()
    assert "other points" in page.locator(".key .note").last.inner_text()
    one = sample.surface()
    other = replace(one, values=1.5 * np.array(one.values))
    open_page(page, {"surface/one": one, "surface/other": other}, tmp_path)
    page.evaluate("explorer.setState({difference: 'on'})")
    page.settle()
    key, values = page.evaluate(
        "[explorer.lands[1].surface.key, [...explorer.lands[1].terrain.values]]"
    )
    assert key == "surface/one − surface/other"
    np.testing.assert_allclose(values, (one.loss - other.loss).ravel(), rtol=1e-5)


def test_values_below_a_log_scale_are_not_silent(page, tmp_path):
    values = np.array(sample.surface().values)
    values[0, 0, :2] = [-3.0, 0.0]
    open_page(page, {"surface/a": sample.surface(values=values)}, tmp_path)
    note = page.locator(".key .note").last.inner_text()
    assert "2 points are not positive: drawn at" in note
    assert page.locator(".bar .clip.low").count() == 1
    page.keyboard.press("l")
    page.settle()
    assert page.locator(".bar .clip.low").count() == 0


def test_paths_are_coloured_by_what_was_measured_along_them(page):
    plain = page.evaluate("explorer.lands[0].layer.items.map(i => i.tints(0).join())")
    for colour in ("loss", "angle", "residual"):
        page.evaluate("colour => explorer.setState({colour})", colour)
        page.settle()
        tints = page.evaluate(
            "(() => { const i = explorer.lands[0].layer.items[0]; "
            "return i.path.residual.length && [...i.path.step.keys()].map(k => i.tints(k)); })()"
        )
        assert len({tuple(t) for t in tints}) > 5
        said = page.locator(".path-scale").first.inner_text()
        assert {"loss": "paths: ", "angle": "180°", "residual": "0.5"}[colour] in said
    page.evaluate("explorer.setState({colour: 'rate'})")  # each run has its own, from .01 to .018
    page.settle()
    assert (
        page.evaluate("new Set(explorer.lands[0].layer.items.map(i => i.tints(9).join())).size")
        == 3
    )
    page.evaluate("explorer.setState({colour: 'run', fade: 'on'})")
    page.settle()
    assert "faintest: 0.5" in page.locator(".path-scale").first.inner_text()
    strength = page.evaluate(
        "(() => { const i = explorer.lands[0].layer.items[0]; "
        "return [...i.path.step.keys()].map(k => i.tints(k)[3]); })()"
    )
    assert all(b <= a for a, b in pairwise(strength))  # residual grows
    assert strength[0] == 1 > strength[-1] > 0
    assert page.evaluate("explorer.lands[0].layer.items.map(i => i.tints(0).join())") == plain
    page.evaluate("explorer.setState({fade: 'off'})")
    page.settle()
    assert not page.locator(".path-scale").first.is_visible()


def test_a_clip_is_a_film_of_the_chosen_range(browser, address, tmp_path):
    context = browser.new_context(offline=True, viewport={"width": 500, "height": 420})
    page = context.new_page()
    page.goto(f"{address}#range=0,20&speed=4&curves=off")
    page.wait_for_selector("html[data-ready]")
    page.locator("summary", has_text="Save").click()
    with page.expect_download() as waiting:
        page.locator("#save-webm").click()
    waiting.value.save_as(tmp_path / "clip.webm")
    content = (tmp_path / "clip.webm").read_bytes()
    assert content.startswith(b"\x1a\x45\xdf\xa3")  # an EBML file: WebM
    assert len(content) > 10_000
    assert page.evaluate("explorer.state.step") == 20
    context.close()


def test_an_embedded_page_has_no_chrome_and_hears_its_holder(browser, address):
    context = browser.new_context(offline=True, viewport={"width": 500, "height": 420})
    page = context.new_page()
    page.goto(f"{address}?embed#step=60")
    page.wait_for_selector("html[data-ready]")
    for chrome in (".tools", ".curves", ".head"):
        assert not page.locator(chrome).first.is_visible()
    page.evaluate("postMessage({step: 7}, '*')")
    page.wait_for_timeout(300)
    assert page.evaluate("explorer.state.step") == 7
    context.close()


def test_the_policy_of_the_page_stops_what_tries_to_leave(page):
    refused = page.evaluate(
        """async () => { const seen = [];
        addEventListener('securitypolicyviolation', (e) => seen.push(e.effectiveDirective));
        await fetch('https://example.org/').catch(() => {});
        const image = new Image(); image.src = 'https://example.org/a.png';
        const script = document.createElement('script'); script.textContent = 'window.pwned = 1';
        document.body.append(script, image);
        await new Promise((done) => setTimeout(done, 200));
        script.remove(); return [seen.sort(), window.pwned]; }"""
    )
    assert refused[0] == ["connect-src", "img-src", "script-src-elem"]
    assert refused[1] is None
    page.problems.clear()
