"""The terrain in a real browser: what a pen draws against the pixels that WebGL drew."""

from __future__ import annotations

import io
from dataclasses import replace
from itertools import product

import explorer_sample as sample
import numpy as np
import pytest
from conftest import BrowserPage
from PIL import Image

import landscape as ls

pytestmark = pytest.mark.browser

# Three states as WebGL draws them, as round dots in colours the page does not use.
DRAW_STATES = """states => {
  const land = explorer.lands[0], { layer, scene: { ribbons } } = land;
  const colours = [[255, 0, 255, 255], [0, 255, 0, 255], [0, 255, 255, 255]];
  const buffers = states.map((i, k) => {
    const floats = new Float32Array(10), bytes = new Uint8Array(floats.buffer);
    for (const n of [0, 1]) {
      floats.set(layer.items[0].points[i], 5 * n);
      bytes.set(colours[k], 20 * n + 16);
    }
    return ribbons.buffer(floats);
  });
  land.onPaint = () => {}; // as for a film: WebGL draws all, also where a pen would be faster
  layer.drawGl = () => {
    ribbons.hides = false;
    buffers.forEach((b) => ribbons.draw(b, 0, 1, { width: 9 }));
  };
}"""

PLACES = """states => {
  const { layer, stage, view } = explorer.lands[0];
  const box = stage.getBoundingClientRect();
  return states.map(i => { const [x, y] = view.pixel(layer.items[0].points[i]);
    return [x + box.left, y + box.top]; });
}"""

STATES = [0, 11, 30]
CAMERAS = [
    [32, 38, 1, 0, 0],
    [-140, 12, 1, 0, 0],
    [75, 70, 1.2, 0.1, -0.1],
    [5, 89, 0.8, 0, 0.2],
]


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    out = ls.explore(sample.results(), tmp_path_factory.mktemp("space") / "page.html")
    return f"file://{out}"


@pytest.fixture
def page(browser, address):
    """Few pixels, since WebGL runs in software here; reduced motion, so that cameras jump."""
    context = browser.new_context(
        offline=True, reduced_motion="reduce", viewport={"width": 920, "height": 520}
    )
    page = BrowserPage(context.new_page())
    page.open(f"{address}#view=3d&step=60&curves=off")
    yield page
    assert page.problems == []
    context.close()


def pixels(page, hidden=".fixed, .runs"):
    style = page.add_style_tag(
        content=f"{hidden}, .tip, .over, .key, .zooms {{ visibility: hidden !important }}"
    )
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    style.evaluate("node => node.remove()")
    return np.asarray(picture).astype(int)


def test_the_pen_draws_where_webgl_draws(page):
    """24 cases: 4 cameras, 2 scales, 3 states; then in the map and after a resize."""
    for scale in ("log", "linear"):
        page.evaluate("scale => explorer.setState({scale})", scale)
        page.settle()
        page.evaluate(DRAW_STATES, STATES)
        views = [{"view": "3d", "camera": camera} for camera in CAMERAS]
        for patch in [*views, {"view": "contour", "window": [1.3, 0.1, 0.05]}]:
            page.evaluate("patch => explorer.setState(patch)", patch)
            page.settle()
            drawn = centroids(page)
            error = np.abs(drawn - np.array(page.evaluate(PLACES, STATES))).max()
            assert error < 1.5, (scale, patch)
    page.set_viewport_size({"width": 980, "height": 560})
    page.settle()
    assert np.abs(centroids(page) - np.array(page.evaluate(PLACES, STATES))).max() < 1.5


def centroids(page):
    found = pixels(page)
    colours = ((255, 0, 255), (0, 255, 0), (0, 255, 255))
    spots = [np.argwhere(np.abs(found - colour).max(axis=2) < 60) for colour in colours]
    assert min(map(len, spots)) > 20
    return np.array([(s.mean(axis=0) + 0.5)[::-1] for s in spots])


def test_hover_on_the_terrain_is_the_stored_loss(page):
    """All 24 points of a surface that is not square."""
    surface = sample.surface()
    page.evaluate("explorer.setState({hidden: [0, 1, 2], camera: [20, 60, 1, 0, 0]})")
    page.settle()
    wrong = []
    for j, i in product(range(4), range(6)):
        x, y = page.evaluate(
            """([i, j]) => { const land = explorer.lands[0], s = land.surface;
            const inward = (axis, k) => axis[k] + (k ? -1 : 1) * (k % (axis.length - 1) ? 0 : 0.15)
              * (axis[1] - axis[0]);
            const [u, v] = [inward(s.alpha, i), inward(s.beta, j)];
            const [px, py] = land.view.pixel(land.box.place(u, v, land.terrain.heightOver(u, v)));
            const box = land.stage.getBoundingClientRect();
            return [box.left + px, box.top + py]; }""",
            [i, j],
        )
        page.mouse.move(x, y)
        text = page.locator(".land .tip .number").first.inner_text()
        if float(text.replace("−", "-")) != pytest.approx(surface.loss[j, i], rel=6e-5):
            wrong.append((j, i, text, surface.loss[j, i]))
    assert wrong == []


def hill():
    """A hill in the middle of a plain, and a path that goes round it on the far side."""
    x, y = np.linspace(-2, 2, 33), np.linspace(-2, 2, 33)
    values = 0.1 + np.exp(-2 * (x[None, :] ** 2 + y[:, None] ** 2))
    land = sample.surface(
        alpha=33, beta=33, values=np.stack([values, values]), computed=np.ones((33, 33), bool),
        standard_error=np.zeros((2, 33, 33)),
    )  # fmt: skip
    land = type(land)(**{**vars(land), "alpha": x, "beta": y})
    t = np.linspace(-1, 1, 31)
    flat = np.full(31, 0.13)
    path = sample.projection("SGD", 0.0)
    coordinates = np.stack([1.6 * t, np.full(31, 1.6)], axis=1)
    path = type(path)(
        **{**vars(path), "coordinates": coordinates, "loss": flat, "in_plane_loss": flat}
    )
    return {"surface/hill": land, "projection/hill/sgd": path}


@pytest.mark.parametrize(("azimuth", "hidden"), [(0, True), (180, False)])
def test_the_hill_hides_what_lies_behind_it(browser, tmp_path, azimuth, hidden):
    out = ls.explore(hill(), tmp_path / "page.html")
    context = browser.new_context(
        offline=True, reduced_motion="reduce", viewport={"width": 920, "height": 520}
    )
    page = BrowserPage(context.new_page())
    look = f"view=3d&scale=linear&camera={azimuth},14,1,0,0&curves=off"
    page.open(f"file://{out}#step=30&{look}")
    page.settle()
    assert page.evaluate("explorer.lands[0].layer.items[0].hidden") is hidden
    page.evaluate("explorer.setState({step: 60})")
    page.settle()
    x, y = page.evaluate(
        """() => { const { layer, stage, view } = explorer.lands[0];
        const box = stage.getBoundingClientRect();
        const [x, y] = view.pixel(layer.items[0].points[15]);
        return [Math.round(x + box.left), Math.round(y + box.top)]; }"""
    )
    colour = page.evaluate("explorer.colour(explorer.runs[0])")
    ink = [int(colour[k : k + 2], 16) for k in (1, 3, 5)]
    for hand, others in (("pen", ".fixed, .ground"), ("WebGL", ".fixed, .runs")):
        if hand == "WebGL":  # as for a film
            page.evaluate("() => { const [l] = explorer.lands; l.onPaint = () => {}; l.paint(); }")
        around = pixels(page, others)[y - 5 : y + 6, x - 12 : x + 13]
        columns = (np.abs(around - ink).max(axis=2) < 60).any(axis=0).mean()
        # seen: a line from side to side; hidden: dots, two pixels in seven
        assert (0.1 < columns < 0.6) if hidden else (columns > 0.9), hand
    context.close()


# What a pen drew last, and the share of its pixels that differ when it draws all trails anew.
ANEW = """() => { const [land] = explorer.lands, { over, penMoving } = land;
  const look = () => { land.paint();
    return over.getContext('2d').getImageData(0, 0, over.width, over.height).data; };
  const kept = look(), pictures = [...land.trails.lines.values()].map((l) => l.pieces.length);
  land.penMoving = (pen, paths, key, dots) => penMoving.call(land, pen, paths, null, dots);
  const anew = look();
  delete land.penMoving;
  let [drawn, other] = [0, 0];
  for (let k = 0; k < kept.length; k += 1) {
    drawn += anew[k] > 0; other += Math.abs(kept[k] - anew[k]) > 48;
  }
  return [drawn, other / drawn, pictures]; }"""


def test_what_is_kept_of_a_trail_looks_as_drawn_anew(page, tmp_path):
    """A zigzag of 400 corners over a hill, in one colour, dashed, and in colours of its own."""
    results = hill()
    step = np.arange(401)
    zigzag = np.stack([step / 125 - 1.6, 1.2 * np.sin(step / 40) + 0.2 * (-1.0) ** step], axis=1)
    for k, name in enumerate(("SGD", "other", "third")):
        path = sample.projection(name, 0.0, every=1, steps=400)
        turned = zigzag * [1, 1 - 0.3 * k]
        results[f"projection/hill/{k}"] = replace(path, coordinates=turned, in_plane_loss=None)
    del results["projection/hill/sgd"]
    page.open(f"file://{ls.explore(results, tmp_path / 'page.html')}#step=390&curves=off")
    for patch in ({"view": "contour"}, {"view": "3d"}, {"colour": "loss", "fade": "on"}):
        page.evaluate("patch => explorer.setState(patch)", patch)
        page.settle()
        drawn, other, pictures = page.evaluate(ANEW)
        assert drawn > 10_000
        assert min(pictures) >= 4  # it was kept
        assert other < 0.01
    page.evaluate("explorer.setState({step: 40})")  # back again: less is drawn
    page.settle()
    assert page.evaluate(ANEW)[0] < drawn / 3
    page.evaluate("explorer.setState({hidden: [1, 2]})")
    page.settle()
    assert len(page.evaluate(ANEW)[2]) == 1


def test_the_map_turns_into_the_terrain_without_a_cut(browser, address):
    context = browser.new_context(offline=True, viewport={"width": 500, "height": 420})
    page = BrowserPage(context.new_page())
    page.open(f"{address}#step=60&curves=off")
    tilts = page.evaluate(
        """async () => { const land = explorer.lands[0], seen = [];
        const start = performance.now();
        land.onPaint = () => seen.push([performance.now() - start, land.camera.tilt]);
        explorer.setState({view: '3d'});
        await new Promise(requestAnimationFrame); await new Promise(requestAnimationFrame);
        await land.drawing; return seen; }"""
    )
    shares = [share for _, share in tilts]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert len({round(share, 3) for share in shares}) > 3  # between map and terrain
    assert tilts[-1][0] > 550
    # On its way, and only then, the ground is as coarse as the frames ask for.
    wide, stage, coarse = page.evaluate(
        """async () => { const [land] = explorer.lands, { follower } = land, widths = [];
        land.onPaint = null;
        follower.keepUp = () => { follower.sharp = 0.5; };
        const bar = land.bar.step;
        land.bar.step = () => { widths.push(land.ground.width); bar.call(land.bar); };
        explorer.setState({camera: [60, 30, 1, 0, 0]});
        await new Promise(requestAnimationFrame); await new Promise(requestAnimationFrame);
        await land.drawing;
        return [widths.at(-1), land.stage.clientWidth, Math.min(...widths)]; }"""
    )
    assert [wide, coarse] == [stage, pytest.approx(stage / 2, abs=1)]
    context.close()


def test_reduced_motion_cuts_from_map_to_terrain(page):
    page.evaluate("explorer.setState({view: 'contour'})")
    page.settle()
    seen = page.evaluate(
        """async () => { const land = explorer.lands[0], seen = [];
        land.onPaint = () => seen.push(land.camera.tilt);
        explorer.setState({view: '3d'});
        await new Promise(requestAnimationFrame); await new Promise(requestAnimationFrame);
        await land.drawing; return seen; }"""
    )
    assert set(seen) == {1}


@pytest.mark.parametrize("size", [(1440, 900), (390, 844)])
def test_the_terrain_fits_its_pane(page, size):
    page.set_viewport_size({"width": size[0], "height": size[1]})
    for azimuth in (-120, 20, 65):
        page.evaluate("a => explorer.setState({camera: [a, 38, 1, 0, 0]})", azimuth)
        page.settle()
        corners, pane = page.evaluate(
            """() => { const { box, view, stage } = explorer.lands[0], found = [];
            for (const x of [-1, 1]) for (const y of [-1, 1]) for (const z of [0, 0.72])
              found.push(view.pixel([x * box.bx, y * box.by, z]));
            return [found, [stage.clientWidth, stage.clientHeight]]; }"""
        )
        corners = np.array(corners)
        assert (corners >= 0).all()
        assert (corners <= pane).all()
        assert (np.ptp(corners, axis=0) / pane).max() > 0.7


def test_a_stem_joins_what_was_measured_to_the_surface_below(page):
    page.evaluate("explorer.setState({step: 20})")
    page.settle()
    kind = "explorer.lands[0].layer.items.map(i => [i.run.name, i.stem, i.at[2], i.points[10][2]])"
    low, top = page.evaluate("[explorer.lands[0].terrain.low, explorer.lands[0].terrain.top]")
    for name, stem, height, point in page.evaluate(kind):
        path = sample.results()[f"projection/pca/{list(sample.RUNS).index(name)}"]
        share = np.log(path.loss[10] / low) / np.log(top / low)
        assert [height, point] == pytest.approx([0.72 * share] * 2, abs=1e-5)
        assert stem
    page.evaluate("explorer.setState({drop: 'on'})")
    page.settle()
    assert not any(stem for _, stem, *_ in page.evaluate(kind))


def test_cameras_are_linked_when_two_are_compared(page):
    page.evaluate("explorer.setState({compare: 1})")
    page.settle()
    box = page.locator(".stage").first.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    before = page.evaluate("explorer.lands[1].camera.azimuth")
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 60, y + 30, steps=2)
    page.mouse.up()
    page.settle()
    one, other = page.evaluate("explorer.lands.map(l => [l.camera.azimuth, l.camera.elevation])")
    assert one == pytest.approx(other)
    assert abs(other[0] - before) > 10
    assert page.evaluate("explorer.state.camera.slice(0, 2)") == pytest.approx(one, abs=0.01)


def test_without_webgl_the_map_is_drawn_on_a_canvas(browser, address):
    poor = browser.browser_type.launch(
        executable_path=browser.chromium_path, args=["--no-sandbox", "--disable-3d-apis"]
    )
    page = BrowserPage(poor.new_context(offline=True).new_page())
    page.open(f"{address}#view=3d")
    assert page.evaluate("explorer.state.view") == "contour"
    assert "no WebGL" in page.inner_text("#say")
    page.get_by_role("button", name="Terrain").click()
    assert page.evaluate("explorer.state.view") == "contour"
    assert page.evaluate("explorer.lands[0].layer.items.length") == 3
    colours = page.evaluate(
        """() => { const { fixed } = explorer.lands[0];
        const c = new OffscreenCanvas(fixed.width, fixed.height).getContext('2d');
        c.drawImage(fixed, 0, 0);
        const found = new Set(), { data } = c.getImageData(0, 0, fixed.width, fixed.height);
        for (let k = 0; k < data.length; k += 400) found.add(data.slice(k, k + 3).join());
        return found.size; }"""
    )
    assert colours > 100  # a whole field of them
    assert page.problems == []
    assert all(url.startswith(("file:", "data:", "blob:")) for url in page.requests)
    poor.close()


def test_isolines_run_where_the_drawn_field_has_their_value(page):
    found = page.evaluate(
        """() => { const { isolines, terrain } = explorer.lands[0];
        return isolines.map(({ value, height, lines }) => [value, height,
          lines.flatMap(line => line.map(([x, y]) => terrain.heightOver(x, y)))]); }"""
    )
    assert len(found) >= 5
    for value, height, heights in found:
        assert float(f"{value:.2g}") == pytest.approx(value, rel=1e-9)  # round
        assert heights == pytest.approx([height] * len(heights), abs=1e-6)


def test_between_the_points_nothing_is_higher_or_lower_than_its_neighbours(page):
    """The field goes through every stored point and has no extremes of its own along rows."""
    surface = sample.surface()
    z, width, fine, low, top = page.evaluate(
        """() => { const { field, low, top } = explorer.lands[0].terrain;
        return [[...field.z], field.width, field.fine, low, top]; }"""
    )
    z = np.array(z).reshape(-1, width)
    stored = (np.log10(surface.loss) - np.log10(low)) / (np.log10(top) - np.log10(low))
    np.testing.assert_allclose(z[::fine, ::fine], stored, atol=1e-6)
    for k in range(surface.loss.shape[1] - 1):
        part = z[::fine, k * fine : (k + 1) * fine + 1]
        ends = np.sort(part[:, [0, -1]], axis=1)
        assert (part >= ends[:, :1] - 1e-6).all()
        assert (part <= ends[:, 1:] + 1e-6).all()
