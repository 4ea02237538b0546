"""The 3-D view in a real browser: the overlay against the pixels that WebGL drew."""

from __future__ import annotations

import io
from itertools import product

import explorer_sample as sample
import numpy as np
import pytest
from PIL import Image

import landscape as ls

pytestmark = pytest.mark.browser

# The markers of three states as WebGL draws them, in colours the page does not use. Axis ranges
# are kept, the surface is left out so that it hides none of them.
DRAW_STATES = """async states => {
  const land = explorer.lands[0], item = land.layer.items[0];
  if (land.plot.data.length > 1) await Plotly.deleteTraces(land.plot, [1, 2, 3]);
  const colours = ['#ff00ff', '#00ff00', '#00ffff'];
  await Plotly.addTraces(land.plot, states.map((i, k) => ({
    type: 'scatter3d', mode: 'markers', hoverinfo: 'skip', showlegend: false,
    x: [item.path.x[i]], y: [item.path.y[i]], z: [item.height[i]],
    marker: { size: 9, color: colours[k], line: { width: 0 } } })));
  await Plotly.restyle(land.plot, { visible: false }, [0]);
}"""

# Plotly promises a scene before WebGL has it; until then its axes have placeholder ranges.
SCENE_IS_DRAWN = """() => {
  const scene = explorer.lands[0].plot._fullLayout.scene;
  return scene?._scene && Object.keys(scene._scene.traces).length > 0
    && scene.zaxis.range.join() !== '-1,6';
}"""

PLACES = """states => {
  const land = explorer.lands[0], item = land.layer.items[0];
  const box = land.stage.getBoundingClientRect();
  return states.map(i => { land.layer.step(item.path.step[i]);
    return [item.x + box.left, item.y + box.top]; });
}"""


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    out = ls.explore(sample.results(), tmp_path_factory.mktemp("space") / "page.html")
    return f"file://{out}"


@pytest.fixture
def page(browser_page, address):
    browser_page.reuse(address)
    # few pixels: WebGL runs in software here
    browser_page.set_viewport_size({"width": 920, "height": 800})
    browser_page.evaluate("explorer.setState({view: '3d'})")
    browser_page.settle()
    browser_page.wait_for_function(SCENE_IS_DRAWN)
    browser_page.wait_for_timeout(500)
    return browser_page


def centroids(page):
    """Centres of the three markers in CSS pixels, once WebGL has come to rest."""
    style = page.add_style_tag(content=".runs, .tip { display: none !important }")
    before = None
    for _ in range(60):
        picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
        pixels = np.asarray(picture).astype(int)
        found = [
            np.argwhere(np.abs(pixels - colour).max(axis=2) < 40)
            for colour in ((255, 0, 255), (0, 255, 0), (0, 255, 255))
        ]
        if min(map(len, found)) > 20:
            centres = np.array([(spots.mean(axis=0) + 0.5)[::-1] for spots in found])
            if before is not None and np.array_equal(centres, before):
                style.evaluate("node => node.remove()")
                return centres
            before = centres
        page.wait_for_timeout(150)
    raise AssertionError("the markers did not appear")


def freeze_axes(page):
    page.evaluate(
        """async () => { const land = explorer.lands[0], s = land.plot._fullLayout.scene;
        await Plotly.relayout(land.plot, Object.fromEntries(['x', 'y', 'z'].map(
          a => [`scene.${a}axis.range`, [...s[`${a}axis`].range]]))); }"""
    )


STATES = [0, 11, 30]
CAMERAS = [
    [1.2, -1.3, 0.9, 0, 0, 0, 0, 0, 1],
    [-0.8, -1.7, 1.4, 0.1, 0, -0.1, 0, 0, 1],
    [0.3, 1.9, 0.5, 0, 0, 0, 0, 0, 1],
    [0.1, -0.2, 2.4, 0, 0, 0, 0, 0, 1],
]


def test_the_overlay_stands_where_webgl_draws(page):
    """24 cases: 4 cameras, 2 scales, 3 steps; then after a drag and after a resize."""
    for scale in ("log", "linear"):
        page.evaluate("scale => explorer.setState({scale})", scale)
        page.settle()
        freeze_axes(page)
        page.evaluate(DRAW_STATES, STATES)
        for camera in CAMERAS:
            page.evaluate("camera => explorer.setState({camera})", camera)
            page.settle()
            page.wait_for_timeout(150)
            drawn = centroids(page)
            error = np.abs(drawn - np.array(page.evaluate(PLACES, STATES))).max()
            assert error < 1.5, (scale, camera)  # pixels
    box = page.locator(".stage").first.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    before = np.array(page.evaluate(PLACES, STATES))
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 90, y + 40, steps=2)
    page.mouse.up()
    page.mouse.move(5, 5)
    drawn = centroids(page)
    after = np.array(page.evaluate(PLACES, STATES))
    assert np.abs(after - before).max() > 20  # it did turn
    assert np.abs(drawn - after).max() < 1.5
    page.wait_for_function(
        "camera => explorer.state.camera.join() !== camera.join()", arg=CAMERAS[-1]
    )
    page.set_viewport_size({"width": 1000, "height": 860})
    page.wait_for_timeout(500)
    drawn = centroids(page)
    assert np.abs(drawn - np.array(page.evaluate(PLACES, STATES))).max() < 1.5
    page.problems.append("the page was changed by this test")


def test_hover_on_the_surface_is_the_stored_loss(page):
    """All 24 points of a 4×6 surface; an upstream bug mixes up tooltips when it is not square."""
    surface = sample.surface()
    page.evaluate(
        "camera => explorer.setState({hidden: [0, 1, 2], camera})",
        [0.05, -0.9, 1.9, 0, 0, 0, 0, 0, 1],
    )
    page.settle()
    page.wait_for_timeout(300)
    wrong = []
    for j, i in product(range(4), range(6)):
        x, y = page.evaluate(
            """([i, j]) => { const land = explorer.lands[0], s = land.surface;
            const inward = (axis, k) => axis[k] + (k ? -1 : 1) * (k % (axis.length - 1) ? 0 : 0.15)
              * (axis[1] - axis[0]);
            const [u, v] = [inward(s.alpha, i), inward(s.beta, j)];
            const height = land.terrain.clamp(land.terrain.values[j * s.alpha.length + i]);
            const [px, py] = land.projector()(u, v, height);
            const box = land.stage.getBoundingClientRect();
            return [box.left + px, box.top + py]; }""",
            [i, j],
        )
        page.mouse.move(x - 3, y - 3)
        page.mouse.move(x, y)
        page.wait_for_timeout(60)
        tip = page.locator(".land .tip .number").first
        text = tip.inner_text() if tip.is_visible() else "0"
        if float(text.replace("−", "-")) != pytest.approx(surface.loss[j, i], rel=6e-5):
            wrong.append((j, i, text, surface.loss[j, i]))
    assert wrong == []


def test_cameras_are_linked_when_two_are_compared(page):
    page.evaluate("explorer.setState({compare: 1})")
    page.settle()
    page.wait_for_timeout(300)
    box = page.locator(".stage").first.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    before = page.evaluate("explorer.lands[1].camera().eye")
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 60, y + 30)
    agree = """() => { const [a, b] = explorer.lands.map(l => l.camera().eye);
      return Math.hypot(a.x - b.x, a.y - b.y, a.z - b.z) < 1e-3; }"""
    page.wait_for_function(agree)  # while dragging
    page.mouse.up()
    page.wait_for_function(
        """() => { const {camera} = explorer.state, {x, y, z} = explorer.lands[0].camera().eye;
        return camera && Math.hypot(camera[0] - x, camera[1] - y, camera[2] - z) < 1e-3; }"""
    )
    page.wait_for_function(agree)
    after = page.evaluate("explorer.lands[1].camera().eye")
    assert abs(after["z"] - before["z"]) + abs(after["x"] - before["x"]) > 0.1


def test_without_the_private_camera_runs_are_still_drawn(page):
    page.evaluate(
        """async () => { const land = explorer.lands[0]; land.projector = () => null;
        await land.draw(); explorer.setState({step: 20}); }"""
    )
    page.settle()
    page.wait_for_timeout(300)
    kinds = page.evaluate("explorer.lands[0].plot.data.map(t => `${t.type} ${t.mode || ''}`)")
    assert kinds == ["surface ", *["scatter3d lines"] * 3, "scatter3d markers"]
    drawn = page.evaluate("[...explorer.lands[0].plot.data[4].x]")
    wanted = page.evaluate("explorer.lands[0].surface.paths.map(p => p.x[10])")
    assert sorted(drawn) == pytest.approx(sorted(wanted))
    page.problems.append("the page was changed by this test")


def test_without_webgl_the_contour_works(browser, address):
    poor = browser.browser_type.launch(
        executable_path=browser.chromium_path, args=["--no-sandbox", "--disable-3d-apis"]
    )
    page = poor.new_context(offline=True).new_page()
    problems, requests = [], []
    page.on("console", lambda m: m.type == "error" and problems.append(m.text))
    page.on("pageerror", lambda e: problems.append(str(e)))
    page.on("request", lambda r: requests.append(r.url))
    page.goto(f"{address}#view=3d")
    page.wait_for_selector("html[data-ready]")
    assert page.evaluate("explorer.state.view") == "contour"
    assert "no WebGL" in page.inner_text("#say")
    page.get_by_role("button", name="3-D").click()
    assert page.evaluate("explorer.state.view") == "contour"
    assert page.evaluate("explorer.lands[0].layer.items.length") == 3
    assert page.locator(".contourlayer path").count() > 10
    assert problems == []
    assert all(url.startswith(("file:", "data:", "blob:")) for url in requests)
    poor.close()
