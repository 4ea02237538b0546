"""What goes into the page, without a browser: numbers, runs and planes, files and escaping."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import re
import subprocess
import sys
from dataclasses import replace

import explorer_sample as sample
import numpy as np
import pytest
from typer.testing import CliRunner

import landscape as ls
from landscape.cli import app
from landscape.explorer.content import packed, page_content
from landscape.explorer.looks import page_looks
from landscape.explorer.packing import packed_content, unpacked_content
from landscape.explorer.program import program
from landscape.explorer.story import Scene, automatic_story, told
from landscape.plots.style import look


def content_of(path):
    text = path.read_text("utf-8")
    (found,) = re.findall(
        r'<script type="application/gzip" id="content">(.*?)</script>', text, re.DOTALL
    )
    return unpacked_content(found)


def unpacked(column):
    raw = base64.b64decode(column["data"])
    return np.frombuffer(raw, "<" + column["dtype"]).reshape(column["shape"])


def test_arrays_survive_packing():
    values = np.array([[1.5, np.nan], [np.inf, -2.25e-30]])
    np.testing.assert_array_equal(unpacked(packed(values)), values.astype(np.float32))
    # beyond float32 a number becomes infinite; no warning, no crash
    assert np.isposinf(unpacked(packed(np.array([1e300])))[0])


def test_results_files_become_one_page(tmp_path):
    results = sample.results()
    for name, result in results.items():
        result.save(tmp_path / f"{name.split('/')[0]}.results.h5", name)
    files = sorted(tmp_path.glob("*.h5"))
    assert len(files) == 5
    page = ls.explore(files, tmp_path / "deep" / "page.html", title="A <b> & B")
    assert page == tmp_path / "deep" / "page.html"
    found, direct = content_of(page), page_content({"": results})
    assert [run["name"] for run in found["runs"]] == [run["name"] for run in direct["runs"]]
    assert len(found["runs"]) == 3  # merged by name across files
    surfaces = {surface["key"]: surface for surface in found["surfaces"]}
    assert [len(surfaces[key]["paths"]) for key in ("surface/pca", "surface/random")] == [3, 0]
    np.testing.assert_array_equal(
        surfaces["surface/pca"]["values"][0],
        results["surface/pca"].loss.astype(np.float32),
    )
    assert found["lines"][0]["runs"] == [1, None]
    assert "<title>A &lt;b&gt; &amp; B</title>" in page.read_text("utf-8")
    assert not list(tmp_path.rglob("*.partial"))


def test_a_surface_with_a_tolerance_shows_its_measured_points_and_its_error():
    plain = sample.surface()
    measured = np.arange(24).reshape(4, 6) % 2 == 0
    fast = sample.surface(
        measured=measured,
        samples=100 * measured,
        error=0.01 * plain.values,
        trusted=np.ones((4, 6), bool),
        accuracy={
            "stated": [0.004, 0.01], "passes": 31.0, "full": 24, "tolerance": 0.01,
            "check": {"points": 30, "median": [0.002, 0.005], "largest": [0.006, 0.02]},
        },
    )  # fmt: skip
    (found,) = page_content({"": {"surface": fast}})["surfaces"]
    assert found["metrics"] == ["loss", "error", "error of loss", "error of error"]
    np.testing.assert_array_equal(unpacked(found["measured"]), measured)
    np.testing.assert_allclose(unpacked(found["values"][2]), 0.01 * plain.loss, rtol=1e-6)
    (note,) = [text for heading, text in found["notes"] if heading == "Error"]
    assert "12 of 24 points were measured" in note
    assert "0.4 %" in note
    (found,) = page_content({"": {"surface": plain}})["surfaces"]
    assert found["measured"] is None
    assert found["metrics"] == ["loss", "error"]


def test_a_path_measured_on_other_data_than_its_surface_is_told():
    def notes(data):
        path = dataclasses.replace(sample.projection("Adam", 0.0), settings={"data_hash": data})
        surface = sample.surface(settings={"data_hash": "train"})
        (found,) = page_content({"": {"surface": surface, "path": path}})["surfaces"]
        return dict(found["notes"])

    assert "losses of Adam were measured on other data" in notes("validation")["Other data"]
    assert "Other data" not in notes("train")


def test_runs_of_the_same_name_stay_apart():
    results = {
        "projection/pca/adam": sample.projection("Adam", 0.0),
        "projection/pca/adam-seed2": sample.projection("Adam", 0.5),
        "path/adam": sample.path("Adam", 0.0),
        "path/adam-seed2": sample.path("Adam", 0.5),
        "surface/pca": sample.surface(),
    }
    content = page_content({"": results})
    assert [run["name"] for run in content["runs"]] == ["Adam (adam)", "Adam (adam-seed2)"]
    assert all(run["path"] for run in content["runs"])
    colors = {run["color"] for run in content["runs"]}
    assert len(colors) == 2
    twice = {
        "one": {"path/adam": sample.path("Adam", 0)},
        "two": {"path/adam": sample.path("Adam", 1)},
    }
    names = [run["name"] for run in page_content(twice)["runs"]]
    assert names == ["Adam (one, adam)", "Adam (two, adam)"]


def test_runs_look_as_in_the_figures():
    content = page_content({"": sample.results()})
    for run in content["runs"]:
        if run["optimizer"] == "made-up":  # no optimizer of the registry has this look
            continue
        figure = look(run["optimizer"])
        assert (run["color"], run["dash"], run["marker"]) == (
            figure.color, figure.dash, figure.marker,
        )  # fmt: skip


def test_text_from_files_cannot_leave_its_element(tmp_path):
    page = ls.explore(
        sample.results(), tmp_path / "page.html", title="{{CONTENT}}", description="</script><b>"
    )
    text = page.read_text("utf-8")
    assert "<script>window.pwned" not in text
    assert "</script><b>" not in text
    assert content_of(page)["title"] == "{{CONTENT}}"


@pytest.mark.parametrize("where", ["inline", "inline-raw", "directory", "cdn"])
def test_where_plotly_should_come_from_does_nothing_any_more(tmp_path, where):
    with pytest.warns(DeprecationWarning, match="plotlyjs does nothing"):
        page = ls.explore({"surface": sample.surface()}, tmp_path / "page.html", plotlyjs=where)
    assert "plotly" not in page.read_text("utf-8").lower()
    assert [file.name for file in tmp_path.iterdir()] == ["page.html"]


def test_the_command_says_that_plotlyjs_does_nothing(tmp_path):
    file = tmp_path / "a.results.h5"
    sample.surface().save(file, "surface/pca")
    page = tmp_path / "a.html"
    found = CliRunner().invoke(
        app, ["explore", str(file), "--out", str(page), "--plotlyjs", "directory"]
    )
    assert found.exit_code == 0, found.output
    assert "--plotlyjs does nothing any more" in found.output
    assert page.exists()


def test_a_page_forbids_every_request(tmp_path):
    text = ls.explore(sample.results(), tmp_path / "page.html").read_text("utf-8")
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="(.*?)">', text)
    allowed = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert allowed["default-src"] == "'none'"
    assert allowed["img-src"] == "data: blob:"
    assert "connect-src" not in allowed
    (code,) = re.findall(r'<script type="module">(.*?)</script>', text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
    assert allowed["script-src"] == f"'sha256-{digest}'"  # this script and no other
    outside = re.sub(r"<(script|style|noscript).*?</\1>", "", text, flags=re.DOTALL)
    assert "http:" not in outside
    assert "https:" not in outside


def test_without_scripts_there_is_a_picture(tmp_path):
    text = ls.explore(sample.results(), tmp_path / "page.html", title="A & B").read_text("utf-8")
    (still,) = re.findall(r"<noscript>(.*?)</noscript>", text, re.DOTALL)
    (picture,) = re.findall(r'src="data:image/png;base64,(.*?)"', still)
    assert base64.b64decode(picture).startswith(b"\x89PNG")
    assert "A &amp; B" in still
    walk_only = ls.explore({"walk": sample.walk("Adam", 1.0)}, tmp_path / "walk.html")
    assert "<img" not in re.findall(r"<noscript>(.*?)</noscript>", walk_only.read_text("utf-8"))[0]


def test_content_survives_packing_and_equal_columns_are_stored_once():
    content = page_content({"": sample.results()})
    again = unpacked_content(packed_content(content))
    assert [run["name"] for run in again["runs"]] == [run["name"] for run in content["runs"]]
    for run, packed_run in zip(again["runs"], content["runs"], strict=True):
        np.testing.assert_array_equal(run["path"]["step"], np.arange(sample.STEPS + 1))
        np.testing.assert_array_equal(run["path"]["cosine"], unpacked(packed_run["path"]["cosine"]))
    rng = np.random.default_rng(0)
    one = {"a": packed(rng.random(5000))}
    assert len(packed_content({**one, "b": one["a"]})) < 1.05 * len(packed_content(one))


def test_the_program_is_put_together_in_the_order_of_its_imports():
    code = program()
    assert not re.search(r"^(import|export)\b", code, re.MULTILINE)
    places = [code.index(text) for text in ("function load(", "const state =", "class Land")]
    assert places == sorted(places)
    names = re.findall(r"^(?:async )?(?:function|const|let|class) (\w+)", code, re.MULTILINE)
    assert len(names) == len(set(names)) > 100


@pytest.mark.parametrize("count", [2, 4, 12, 40])
@pytest.mark.parametrize("optimizer", ["sgd", "made-up", None])
def test_runs_of_one_page_never_look_alike(count, optimizer):
    names = [f"run {k} of {'xy'[k % 2]}" for k in range(count)]
    looks = page_looks(names, [optimizer or name for name in names])
    assert len({(look.color, look.dash, look.marker) for look in looks}) == count
    assert len({look.color for look in looks}) >= min(count, 8)


def test_runs_that_differ_in_one_number_go_from_dark_to_light():
    names = ["lr=0.1", "lr=0.001", "lr=0.01"]
    looks = page_looks(names, ["sgd"] * 3)
    shades = [sum(int(look.color[k : k + 2], 16) for k in (1, 3, 5)) for look in looks]
    assert shades[1] < shades[2] < shades[0]
    assert len({look.color for look in page_looks(["a", "b", "c"], ["sgd"] * 3)}) == 3


def test_the_story_is_computed_from_the_results():
    results = sample.results()
    adam = results["projection/pca/0"]
    results["projection/pca/0"] = replace(adam, loss=adam.loss * np.linspace(1, 0.7, 31))
    paths = [r for r in results.values() if isinstance(r, ls.Projection)]
    story = automatic_story({"": results}, page_content({"": results}))
    assert len(story) >= 5
    text = " ".join(scene.text for scene in story)
    last = {p.name: p.loss[-1] for p in paths}
    low, high = min(last, key=last.get), max(last, key=last.get)
    assert f"At the end {low} is lowest, at loss {last[low]:.3g}; {high} is highest" in text
    first = {p.name: int(p.step[np.argmax(p.loss <= p.loss[0] / 2)]) for p in paths}
    fastest = min(first, key=first.get)
    assert (
        f"{fastest} is the first at half of its loss at the start, at step {first[fastest]}" in text
    )
    far = max(paths, key=lambda p: p.residual.max())
    assert f"{far.name} is {far.residual.max():.3g} off it" in text
    median = {
        r.name: np.degrees(np.nanmedian(np.arccos(r.cosine)))
        for r in results.values()
        if isinstance(r, ls.PathMetrics)
    }
    straight = min(median, key=median.get)
    assert (
        f"{straight} goes straightest: half of its turns are below {median[straight]:.0f}°" in text
    )
    walks = [r for r in results.values() if isinstance(r, ls.Walk)]
    inside = sum(
        int((w.loss.min(1) < np.minimum(w.loss[:, 0], w.loss[:, -1]) * (1 - 1e-6)).sum())
        for w in walks
    )
    assert f"on {30 * len(walks)} segments; on {inside} of them" in text


def test_a_story_of_ones_own(tmp_path):
    scenes = [("Look.", {"step": 20, "hidden": [0, 2]}), Scene("Watch.", {"view": "3d"}, (0, 30))]
    page = ls.explore(sample.results(), tmp_path / "page.html", story=scenes, notes={20: "lr drop"})
    found = content_of(page)
    assert found["story"] == [
        {"text": "Look.", "view": "step=20&hidden=0,2"},
        {"text": "Watch.", "view": "view=3d", "play": [0, 30]},
    ]
    assert found["marks"] == [[20, "lr drop"]]
    with pytest.raises(ValueError, match="A scene cannot set stpe; it can set step, view"):
        told([("Look.", {"stpe": 20})])
    with pytest.raises(ValueError, match=r"A scene is a pair \(sentence, {field: value}\); not 3"):
        told([3])
    with pytest.raises(ValueError, match="notes are texts by step"):
        ls.explore(sample.results(), tmp_path / "page.html", notes={"20": "lr drop"})


def test_what_cannot_be_drawn_is_refused(tmp_path):
    out = tmp_path / "page.html"
    with pytest.raises(ValueError, match="nothing to draw"):
        ls.explore({}, out)
    with pytest.raises(FileNotFoundError, match="no such file"):
        ls.explore(tmp_path / "missing.h5", out)
    with pytest.raises(ValueError, match=r"Give results.*not a int"):
        ls.explore(3, out)
    assert not out.exists()


def test_a_page_is_made_without_torch(tmp_path):
    file = tmp_path / "a.results.h5"
    sample.surface().save(file, "surface/pca")
    code = (
        "import sys, landscape as ls; ls.explore(sys.argv[1], sys.argv[2]); "
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run(
        [sys.executable, "-c", code, str(file), str(tmp_path / "a.html")], check=True, timeout=120
    )
