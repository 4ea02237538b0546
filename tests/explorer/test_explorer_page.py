"""The page in a real browser without a network: what is drawn is what was measured."""

from __future__ import annotations

import io
import math
from dataclasses import replace

import explorer_sample as sample
import numpy as np
import pytest
from PIL import Image

import landscape as ls

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def results():
    return sample.results()


@pytest.fixture(scope="module")
def address(results, tmp_path_factory):
    out = ls.explore(results, tmp_path_factory.mktemp("page") / "page.html", title="Sample")
    return f"file://{out}"


@pytest.fixture
def page(browser_page, address):
    browser_page.reuse(address)
    return browser_page


def set_state(page, **patch):
    page.evaluate("patch => explorer.setState(patch)", patch)
    page.settle()


def cell(page, run, column):
    return page.locator(f'tr[data-run="{run}"] td[data-column="{column}"]').inner_text()


def number(text):
    return float(text.replace("−", "-"))


def test_opens_quietly_and_asks_the_network_for_nothing(page):
    assert page.problems == []
    assert [url for url in page.requests if not url.startswith(("file:", "data:", "blob:"))] == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_has_no_button_that_uploads(page):
    text = page.inner_text("body").lower()
    assert "share" not in text
    assert "cloud" not in text
    assert page.locator("form, [action], a[href^=http]").count() == 0


def test_names_from_files_are_text(page):
    assert page.evaluate("window.pwned === undefined")
    chips = page.locator(".chip bdi").all_inner_texts()
    assert sample.NASTY in chips
    assert sample.NASTY in page.locator("tbody th bdi").all_inner_texts()
    assert page.locator("main bdi b, main p b, main option b").count() == 0


# Where the cursor of a curve is, where its step is, and the columns that are inked from end to end.
CURSOR = """k => { const { chart } = explorer.charts[k], { moving, margin, at } = chart;
  const { width, height } = moving, pen = moving.getContext('2d');
  const { data } = pen.getImageData(0, 0, width, height);
  const rows = height - margin.top - margin.bottom, dots = width / chart.box.clientWidth;
  const inked = [...Array(width).keys()].filter((x) => { let n = 0;
    for (let y = 0; y < height; y += 1) n += data[4 * (y * width + x) + 3] > 0;
    return n > 0.95 * rows; });
  return [at, dots * chart.x(at), inked]; }"""


@pytest.mark.parametrize("step", [0, 13, 24, 60])
def test_a_step_moves_the_table_and_every_panel(page, results, step):
    page.keyboard.press("b")
    assert page.locator("#table").is_visible()
    page.evaluate(
        """step => {const s = document.getElementById('step'); s.value = step;
        s.dispatchEvent(new Event('input', {bubbles: true}))}""",
        step,
    )
    page.settle()
    slider = page.locator("#step")
    assert slider.get_attribute("aria-valuetext") == f"step {step} of {sample.STEPS}"
    for index, name in enumerate(page.evaluate("explorer.runs.map(r => r.name)")):
        k = list(sample.RUNS).index(name)
        projection, path = results[f"projection/pca/{k}"], results[f"path/{k}"]
        state = np.searchsorted(projection.step, step, side="right") - 1
        expected = {
            "loss": projection.loss[state],
            "plane": projection.in_plane_loss[state],
            "off": projection.residual[state],
            "batch": path.losses[step],
            "distance": path.distance[step],
            "cosine": path.cosine[step],
            "lr": path.learning_rate[step],
        }
        for column, value in expected.items():
            shown = cell(page, index, column)
            if math.isnan(value):
                assert shown == "–"
            else:  # four significant digits are shown
                assert number(shown) == pytest.approx(value, rel=6e-4, abs=1e-12)
        # the marker stands at the pixel of the state's coordinates
        x, y = projection.coordinates[state]
        at, wanted = page.evaluate(
            """([run, x, y]) => { const land = explorer.lands[0];
            const item = land.layer.items.find(i => i.run.index === run);
            return [[item.x, item.y], land.projector()(x, y)] }""",
            [index, x, y],
        )
        assert at == pytest.approx(wanted, abs=0.01)
    page.keyboard.press("b")
    for index in range(5):
        page.evaluate("k => explorer.charts[k].chart.box.scrollIntoView()", index)
        page.settle()
        at, wanted, drawn = page.evaluate(CURSOR, index)
        assert at == step
        assert drawn == pytest.approx([wanted], abs=1.01)  # a line of whole pixels


@pytest.mark.parametrize("step", [10, 24, 39, 60])
def test_a_step_moves_the_walk_and_the_colour_bar(page, results, step):
    set_state(page, step=step)
    page.settle()
    series = page.evaluate(
        "explorer.charts.walk.series.map(s => [s.name, Array.from(s.x), Array.from(s.raw)])"
    )
    greyed = page.locator("#panel-walk.elsewhere").count()
    assert bool(greyed) == (step > 40)  # the walk was measured from step 10 to 40
    assert series  # elsewhere the nearest steps stay
    for name, x, raw in series:
        walk = results[f"walk/{list(sample.RUNS).index(name)}"]
        first = int(min(x))
        assert first == (37 if greyed else max(10, step - 2))
        rows = slice(first - 10, first - 10 + len(x) // 11)
        np.testing.assert_allclose(raw, walk.loss[rows].ravel(), rtol=1e-6)  # stored as float32
        np.testing.assert_allclose(x, (walk.step[rows, None] + walk.alpha).ravel(), rtol=1e-6)
    needles = page.evaluate("explorer.lands[0].bar.needles.map(([x, run]) => [run.name, x])")
    assert len(needles) == len(sample.RUNS)
    for name, drawn in needles:
        projection = results[f"projection/pca/{list(sample.RUNS).index(name)}"]
        loss = projection.loss[np.searchsorted(projection.step, step, side="right") - 1]
        wanted = page.evaluate(
            "v => { const bar = explorer.lands[0].bar; return bar.x(bar.terrain.clamp(v)); }", loss
        )
        assert drawn == pytest.approx(wanted, abs=0.01)


@pytest.mark.parametrize("scale", ["log", "linear"])
def test_hover_on_the_contour_is_the_stored_loss(page, results, scale):
    set_state(page, scale=scale, hidden=[0, 1, 2])
    surface = results["surface/pca"]
    assert surface.loss.shape == (4, 6)
    for j, i in np.ndindex(4, 6):
        inset = [2 if n == 0 else -2 if n == m else 0 for n, m in ((i, 5), (j, 3))]
        x, y = page.evaluate(
            """([x, y, dx, dy]) => { const land = explorer.lands[0];
            const box = land.stage.getBoundingClientRect(), at = land.projector()(x, y);
            return [box.left + at[0] + dx, box.top + at[1] - dy] }""",
            [surface.alpha[i], surface.beta[j], *inset],
        )
        page.mouse.move(x, y)
        shown = page.locator(".land .tip .number").first.inner_text()
        assert number(shown) == pytest.approx(surface.loss[j, i], rel=6e-5)  # five digits


def test_holes_are_told_apart_on_hover(page):
    set_state(page, surface=1)
    surface = page.evaluate("explorer.lands[0].surface.key")
    assert surface == "surface/random"
    for (j, i), text in {
        (2, 3): "not finite", (2, 4): "+∞", (0, 0): "not computed", (6, 8): "1.0000·10⁹",
    }.items():  # fmt: skip
        x, y = page.evaluate(
            """([j, i]) => { const land = explorer.lands[0], s = land.surface;
            const box = land.stage.getBoundingClientRect();
            const at = land.projector()(s.alpha[i], s.beta[j]);
            return [box.left + at[0] + (i ? -2 : 2), box.top + at[1] + (j ? 2 : -2)] }""",
            [j, i],
        )
        page.mouse.move(x, y)
        assert page.locator(".land .tip .number").first.inner_text() == text
    assert "2 points are not finite" in page.locator(".key .note").last.inner_text()


def test_runs_are_switched_by_chip_and_key(page):
    page.locator(".chip").nth(1).click()
    page.settle()
    assert page.evaluate("explorer.state.hidden") == [1]
    assert page.evaluate("explorer.lands[0].layer.items.map(i => i.run.index)") == [0, 2]
    assert page.locator("#panel-distance .curve").count() == 2
    page.keyboard.press("2")
    page.settle()
    assert page.evaluate("explorer.state.hidden") == []
    assert page.locator("#panel-distance .curve").count() == 3


def test_keys(page):
    page.keyboard.press("Home")
    page.settle()
    assert page.evaluate("explorer.state.step") == 0
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowRight")
    page.settle()
    assert page.evaluate("explorer.state.step") == 11
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("l")
    page.settle()
    assert page.evaluate("[explorer.state.step, explorer.state.scale]") == [10, "linear"]
    page.keyboard.press("End")
    page.settle()
    assert page.evaluate("explorer.state.step") == sample.STEPS
    page.keyboard.press("?")
    assert page.locator("#help").is_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("i")
    assert "60 %" not in page.locator("#notes").inner_text()
    assert "80 % of the squared movement" in page.locator("#notes").inner_text()
    page.keyboard.press("Escape")


def test_playing_advances_and_stops(page):
    set_state(page, step=0, speed="4")
    page.keyboard.press(" ")
    page.until("explorer.state.step > 5")
    page.keyboard.press(" ")
    page.settle()
    step = page.evaluate("explorer.state.step")
    assert step == int(step) >= 5
    page.settle()
    assert page.evaluate("explorer.state.step") == step


def test_an_address_brings_a_view_back(page, address):
    set_state(page, step=33, scale="linear", hidden=[0, 2], surface=1, trail="10", theme="dark")
    page.until("location.hash.includes('step=33')")
    hash_ = page.evaluate("location.hash")
    page.open(address + hash_)
    wanted = {"step": 33, "scale": "linear", "hidden": [0, 2], "surface": 1, "trail": "10"}
    state = page.evaluate("explorer.state")
    assert {name: state[name] for name in wanted} == wanted
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_a_bad_address_is_ignored(page, address):
    bad = ["step=1e9", "step=-1", "step=abc", "view=4d", "hidden=7", "hidden=x", "surface=9"]
    bad += [
        "clip=0",
        "camera=1,2",
        "camera=NaN,0,1,0,0",
        "window=0,0,0",
        "range=40,20",
        "pins=1,2,3",
        "marks=9999:x",
        "theme=<script>",
        "%%%=1&&&",
    ]
    before = page.evaluate("JSON.stringify(explorer.state)")
    for hash_ in [*bad, "__proto__=1", "constructor=1"]:
        page.evaluate("hash => { location.hash = hash }", hash_)
        page.settle()
        assert page.evaluate("JSON.stringify(explorer.state)") == before, hash_
    page.open(f"{address}#{'&'.join(bad)}")
    assert page.evaluate("JSON.stringify(explorer.state)") == before
    assert page.problems == []


def test_the_csv_holds_the_curves(page, results):
    set_state(page, hidden=[1])
    rows = page.evaluate("explorer.curvesCsv()").split("\r\n")
    assert rows[0].split(",")[:4] == ["run", "step", "loss", "mini_batch_loss"]
    assert len(rows) == 2 * (sample.STEPS + 1) + 2
    name, step, loss, batch, *_ = rows[1 + 24].split(",")
    assert (name, step) == (page.evaluate("explorer.runs[0].name"), "24")
    k = list(sample.RUNS).index(name)
    assert float(loss) == pytest.approx(results[f"projection/pca/{k}"].loss[12], rel=1e-6)
    assert float(batch) == pytest.approx(results[f"path/{k}"].losses[24], rel=1e-6)
    quoted = '"' + sample.NASTY.replace('"', '""') + '"'
    assert any(row.startswith(quoted + ",") for row in rows)


def saved(page, click, target):
    with page.expect_download() as waiting:
        click()
    waiting.value.save_as(target)
    return target.read_bytes()


@pytest.mark.parametrize(("button", "start"), [("png", b"\x89PNG"), ("svg", b"<svg")])
def test_a_panel_is_saved_as_a_picture(page, tmp_path, button, start):
    def click():
        page.locator(f"#panel-loss [data-format={button}]").click()

    content = saved(page, click, tmp_path / "picture")
    assert content.startswith(start)
    assert len(content) > 2000
    assert b"var(--" not in content


def test_the_landscape_is_saved_as_it_is_seen(page, tmp_path):
    width, height = page.evaluate(
        "[explorer.lands[0].stage.clientWidth, explorer.lands[0].stage.clientHeight]"
    )
    for view in ("contour", "3d"):
        set_state(page, view=view, step=30)
        for button, scale in (("#save-png", 2), ("#save-png4", 4)):
            page.locator("summary", has_text="Save").click()
            click = page.locator(button).click
            content = saved(page, click, tmp_path / "land.png")
            picture = Image.open(io.BytesIO(content))
            assert picture.width == scale * width
            assert picture.height > scale * height  # title and runs above
            page.keyboard.press("Escape")
            page.evaluate("document.querySelector('details[open]')?.removeAttribute('open')")
        text = page.evaluate("explorer.landSvg(explorer.lands[0])")
        assert "var(--" not in text
        assert "<image" in text
        assert text.count("<path") > 20
        assert text.count("clip-path") == (1 if view == "contour" else 0)


@pytest.mark.parametrize("step", [0, 30, 60])
def test_labels_cover_neither_each_other_nor_a_marker(page, step):
    set_state(page, step=step)
    labels, markers = page.evaluate(
        """() => { const {labelled, layer} = explorer.lands[0];
        return [labelled.map(({box, run}) => [box.x, box.x + box.width, box.y, box.y + box.height,
                run.index]),
            layer.items.map(({x, y, run}) => [x - 5, x + 5, y - 5, y + 5, run.index])]; }"""
    )
    assert len(labels) == 3

    def meet(a, b):
        return min(a[1], b[1]) > max(a[0], b[0]) and min(a[3], b[3]) > max(a[2], b[2])

    for k, label in enumerate(labels):
        assert not any(meet(label, other) for other in labels[k + 1 :])
        assert not any(meet(label, marker) for marker in markers if marker[4] != label[4])


def test_the_page_follows_the_system_between_light_and_dark(page):
    theme = "document.documentElement.dataset.theme"
    for scheme, ink in (("dark", "#f3f3f0"), ("light", "#000000")):
        page.emulate_media(color_scheme=scheme)
        page.settle()
        assert page.evaluate(theme) == scheme
        # full-batch gradient descent is black on paper and nearly white on black
        assert page.evaluate("explorer.colour({color: '#000000'})") == ink
    page.keyboard.press("t")
    page.settle()
    assert page.evaluate(theme) == "dark"  # the choice wins over the system
    page.emulate_media(color_scheme="light")


def test_a_double_click_shows_the_whole_and_python_makes_it_again(
    browser_page, tmp_path, monkeypatch, capsys
):
    near = sample.surface()
    far = replace(near, alpha=10 * near.alpha, beta=3 * near.beta)
    out = ls.explore({"surface/near": near, "surface/far": far}, tmp_path / "two.html", title="Two")
    page = browser_page
    page.reuse(f"file://{out}")
    set_state(page, surface=1)
    box = page.locator(".stage").first.bounding_box()
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    corners = """(() => { const land = explorer.lands[0], { alpha, beta } = land.surface;
      const corner = (k) => land.projector()(alpha.at(-k), beta.at(-k));
      return [...corner(0), ...corner(1)]; })()"""
    whole = page.evaluate(corners)
    page.mouse.move(*middle)
    page.keyboard.down("Control")
    page.mouse.wheel(0, -400)
    page.keyboard.up("Control")
    page.settle()
    assert page.evaluate("explorer.state.window[0]") > 1.5
    assert page.evaluate(corners) != pytest.approx(whole, abs=5)
    page.mouse.dblclick(*middle)
    page.settle()
    assert page.evaluate(corners) == pytest.approx(whole, abs=0.5)
    assert page.evaluate("[explorer.state.window, explorer.state.pins]") == [None, []]
    set_state(page, view="3d", camera=[10, 50, 3, 0, 0])
    page.mouse.dblclick(*middle)
    page.settle()
    assert page.evaluate("[explorer.state.camera, explorer.state.pins]") == [None, []]
    set_state(page, view="contour", surface=1)
    page.evaluate("() => { navigator.clipboard.writeText = (text) => { window.copied = text; }; }")
    page.locator("summary", has_text="Save").click()
    page.locator("#python").click()
    code = page.evaluate("window.copied")
    monkeypatch.chdir(tmp_path)
    exec(code, {"results": {"surface/near": near, "surface/far": far}})  # the Python that makes it
    assert capsys.readouterr().out.strip() == f"{(tmp_path / 'page.html').as_uri()}#surface=1"
