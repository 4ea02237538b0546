"""The page's modules without a browser: ticks, thinning, isolines, camera, labels, the field."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import landscape
from landscape.base.shown import percent
from landscape.explorer.program import program

FOLDER = Path(landscape.__file__).parent / "explorer" / "js"


@pytest.fixture(scope="module")
def modules(tmp_path_factory):
    """Run statements with the modules in sight; the last value comes back."""
    node = shutil.which("node")
    if node is None:
        assert os.environ.get("LANDSCAPE_REQUIRE_NODE") != "1", "node was not found"
        pytest.skip("needs node")
    folder = tmp_path_factory.mktemp("modules")
    for file in FOLDER.glob("*.js"):
        (folder / file.name).write_text(file.read_text("utf-8"), "utf-8")
    (folder / "package.json").write_text('{"type": "module"}')
    names = ("ticks", "isolines", "field", "camera", "picking", "labels", "data", "format", "state",
             "slope")  # fmt: skip
    head = "".join(f"import * as {name} from './{name}.js';\n" for name in names)

    def run(body):
        entry = folder / "entry.js"
        entry.write_text(f"{head}const found = (() => {{ {body} }})();\n"
                         "process.stdout.write(JSON.stringify(found));")  # fmt: skip
        done = subprocess.run([node, entry], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


SURFACE = """
const bowl = (x, y) => 0.1 + x * x + 2 * y * y;
const axis = (n) => Float32Array.from({ length: n }, (_, k) => -1 + (2 * k) / (n - 1));
const surface = { alpha: axis(9), beta: axis(7), gram: [1, 0, 0, 1],
  values: [Float32Array.from({ length: 63 }, (_, k) => bowl(-1 + (k % 9) / 4,
    -1 + Math.floor(k / 9) / 3))], computed: new Uint8Array(63).fill(1) };
const terrain = field.terrainOf(surface, 0, 'linear', 1);
const box = camera.boxOf(surface);
const frame = { x: 20, y: 10, width: 600, height: 400 };
const look = (tilt, azimuth = 30, elevation = 40) =>
  camera.viewOf(box, { azimuth, elevation, tilt, zoom: 1, panX: 0, panY: 0 }, frame);
"""


def test_ticks_are_round_and_inside(modules):
    linear, log = modules(
        "return [ticks.linearTicks(-0.73, 1.42, 5), ticks.logTicks(0.013, 47, 6)];"
    )
    assert linear == pytest.approx([-0.5, 0, 0.5, 1])
    assert log[0] >= 0.013
    assert log[-1] <= 47
    assert all(f"{tick:.0e}"[0] in "1235" for tick in log)


def test_thinning_keeps_spikes_ends_and_gaps(modules):
    kept = modules(
        """const y = Float64Array.from({ length: 10000 }, (_, i) => Math.sin(i / 300));
        y[5003] = 99; y[7000] = NaN; return ticks.thinned(10000, 100, y);"""
    )
    assert {0, 5003, 7000, 9999} <= set(kept)
    assert len(kept) < 500


def test_isolines_are_closed_curves_of_one_value(modules):
    values, lines = modules(
        SURFACE
        + """const values = isolines.isovalues(terrain);
        return [values, values.map((v) => isolines.isoline(terrain.field, terrain.height(v)))];"""
    )
    assert len(values) >= 5
    small = lines[values.index(min(values))]
    assert len(small) == 1
    assert small[0][0] == small[0][-1]  # around the bottom
    for value, found in zip(values, lines, strict=True):
        points = np.array([point for line in found for point in line])
        bowl = 0.1 + points[:, 0] ** 2 + 2 * points[:, 1] ** 2
        assert np.abs(bowl - value).max() < 0.06  # the grid is coarse


def test_a_pixel_and_its_ray_are_inverse_from_map_to_terrain(modules):
    found = modules(
        SURFACE
        + """return [0, 0.3, 1].flatMap((tilt) => [[0.2, -0.4], [-0.9, 0.9], [0, 0]].map(
          ([x, y]) => { const view = look(tilt, 25, 60);
          const pixel = view.pixel(box.place(x, y, terrain.heightOver(x, y)));
          return [[x, y], picking.groundUnder(terrain, box, view, ...pixel)]; }));"""
    )
    for wanted, got in found:
        assert got == pytest.approx(wanted, abs=5e-3)


def test_the_matrix_of_webgl_is_the_projection_of_the_pen(modules):
    pairs = modules(
        SURFACE
        + """const points = [[-1, 0.5, 0.2], [0.7, -0.3, 0.7]];
          return [0, 0.5, 1].flatMap((tilt) => points.map((p) => {
          const view = look(tilt), m = view.matrix(640, 420);
          const at = (r) => m[r] * p[0] + m[4 + r] * p[1] + m[8 + r] * p[2] + m[12 + r];
          return [view.pixel(p), [(at(0) / at(3) + 1) * 320, (1 - at(1) / at(3)) * 210],
            (at(2) / at(3) + 1) / 2, view.kept(p)]; }));"""
    )
    for pen, webgl, depth, kept in pairs:
        assert pen == pytest.approx(webgl, abs=1e-3)
        assert 0 < depth < 1
        assert kept == pytest.approx(depth, abs=1e-6)


def test_the_box_fits_its_frame_at_every_angle(modules):
    found = modules(
        SURFACE
        + """const seen = [];
        for (let azimuth = -180; azimuth < 180; azimuth += 15) for (const elevation of [5, 38, 89])
          for (const tilt of [0, 0.4, 1]) for (const a of [-1, 1]) for (const b of [-1, 1])
            for (const h of [0, camera.RELIEF])
              seen.push(look(tilt, azimuth, elevation).pixel([a * box.bx, b * box.by, h]));
        return seen;"""
    )
    x, y = np.array(found).T
    assert x.min() >= 20 - 1e-6
    assert x.max() <= 620 + 1e-6
    assert y.min() >= 10 - 1e-6
    assert y.max() <= 410 + 1e-6


def test_a_point_below_the_ground_is_hidden_and_one_above_is_not(modules):
    above, below, flat = modules(
        SURFACE
        + """const view = look(1, 30, 50);
        const at = (h) => box.place(0.1, 0.1, terrain.heightOver(0.1, 0.1) + h);
        return [picking.isHidden(terrain, box, view, at(0.05)),
          picking.isHidden(terrain, box, view, at(-0.02)),
          picking.isHidden(terrain, box, look(0), at(-0.02))];"""
    )
    assert [above, below, flat] == [False, True, False]


def test_a_line_is_parted_where_the_ground_hides_it(modules):
    seen, hidden = modules(
        """const line = [[0, 0, 0], [100, 0, 1], null, [0, 50, 0.2], [0, 60, 0.2]];
        return picking.parted(line, ([x]) => x > 20 && x < 60).parts;"""
    )
    assert [hidden[0], seen[0]] == [None, None]  # a part begins after a gap
    assert np.array(hidden[1:]) == pytest.approx(np.array([[20, 0, 0.2], [60, 0, 0.6]]), abs=0.02)
    assert np.array(seen[1:3]) == pytest.approx(np.array([[0, 0, 0], [20, 0, 0.2]]), abs=0.02)
    assert seen[3] is None
    assert np.array(seen[4:6]) == pytest.approx(np.array([[60, 0, 0.6], [100, 0, 1]]), abs=0.02)
    assert seen[6:] == [None, [0, 50, 0.2], [0, 60, 0.2]]


def test_slope_and_curvatures_of_a_quadratic_are_exact_in_a_skewed_plane(modules):
    gram, matrix, linear = [[2.0, 0.5], [0.5, 1.5]], np.array([[3, 0.7], [0.7, -1]]), [0.4, -2]
    alpha, beta = np.array([-1.0, 0.5, 0.9, 2.0]), np.array([-2.0, -0.5, 0.0])
    place = np.stack(np.meshgrid(alpha, beta), axis=-1)
    values = 0.5 * np.einsum("...i,ij,...j", place, matrix, place) + place @ linear
    found, edge, hole = modules(
        f"""const at = {{ alpha: {alpha.tolist()}, beta: {beta.tolist()},
        gram: {np.ravel(gram).tolist()}, computed: new Array(12).fill(1) }};
        const values = {values.ravel().tolist()}, of = (...p) => slope.slopeOf(...p);
        return [of(at, values, {{ i: 2, j: 1 }}), of(at, values, {{ i: 3, j: 1 }}),
          of(at, values.with(0, NaN), {{ i: 1, j: 1 }})];"""
    )
    gradient = matrix @ [0.9, -0.5] + linear
    inverse = np.linalg.inv(gram)
    assert found["slope"] == pytest.approx(np.sqrt(gradient @ inverse @ gradient))
    expected = np.sort(np.linalg.eigvals(inverse @ matrix).real)[::-1]
    assert found["curvatures"] == pytest.approx(expected)
    assert [edge, hole] == [None, None]


def test_labels_meet_neither_markers_nor_each_other(modules):
    boxes = modules(
        """const items = Array.from({ length: 6 }, (_, k) => ({ x: 200 + 9 * k, y: 150 + 5 * k,
          wide: 60 }));
        labels.placeLabels(items, items, { x: 0, y: 0, width: 500, height: 300 });
        return items.map((item) => item.box);"""
    )
    placed = [box for box in boxes if box]
    assert len(placed) >= 5
    for k, a in enumerate(placed):
        for b in placed[k + 1 :]:
            apart = (
                a["x"] + a["width"] <= b["x"] or b["x"] + b["width"] <= a["x"]
                or a["y"] + a["height"] <= b["y"] or b["y"] + b["height"] <= a["y"]
            )  # fmt: skip
            assert apart


def test_common_beginnings_of_names_are_found_up_to_a_separator(modules):
    assert modules("return data.commonPrefix(['resnet/lr=0.1/a', 'resnet/lr=0.12/a']);") == (
        "resnet/lr=0."
    )
    assert modules("return data.commonPrefix(['Adam', 'Adagrad']);") == ""
    assert modules("return data.commonPrefix(['one']);") == ""


PAGE = """
globalThis.location = { hash: '' };
globalThis.addEventListener = () => {};
data.load({ runs: [{ name: 'a', path: null, walk: { step: { dtype: 'i4', shape: [2],
  data: 'CgAAAAsAAAA=' }, next: { dtype: 'i4', shape: [2], data: 'CwAAAAwAAAA=' } } },
  { name: 'b' }],
  surfaces: [], lines: [] });
state.startState();
"""


def test_a_share_that_is_not_all_is_not_called_all_of_it(modules):
    shares = [0, 0.0004, 0.004, 0.37, 0.996, 0.9996, 1]
    told = modules(f"return {json.dumps(shares)}.map(format.percent);")
    assert told == [percent(share).replace("%", " %") for share in shares]


def test_an_address_is_the_inverse_of_its_state(modules):
    wanted = (
        "{ step: 11, hidden: [1], range: [10, 12], marks: [[11, 'x|y, é #1']], scale: 'linear' }"
    )
    first, found, back = modules(
        f"{PAGE} const wanted = {wanted};"
        "const hash = state.hashOf({ ...state.initial, ...wanted });"
        "return [[state.initial.step, state.hashOf(state.initial)], hash, state.readHash(hash)];"
    )
    assert first == [12, ""]  # the last step, and nothing to say
    assert back == {"step": 11, "hidden": [1], "range": [10, 12], "scale": "linear",
                    "marks": [[11, "x/y, é #1"]]}  # fmt: skip
    assert "#" not in found


@pytest.mark.parametrize(
    "hash_", ["step=9", "step=1e9", "step=", "hidden=2", "range=12,10", "range=10", "marks=99:no",
              "view=4d", "clip=0.1", "nothing=1", "__proto__=1", "camera=1,2,NaN,1,1"]
)  # fmt: skip
def test_what_an_address_must_not_ask_for_is_left_out(modules, hash_):
    assert modules(f"{PAGE} return state.readHash({hash_!r});") == {}


@pytest.mark.parametrize("entry", ["file", "live", "widget"])
def test_no_two_modules_of_a_program_define_the_same_name(modules, entry, tmp_path):
    """Put together they are one module: a name that is defined twice would stop it."""
    whole = tmp_path / "whole.mjs"
    whole.write_text(program(entry), "utf-8")
    done = subprocess.run(["node", "--check", whole], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
