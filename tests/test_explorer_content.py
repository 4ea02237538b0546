"""What goes into the page, without a browser: numbers, runs and planes, files and escaping."""

from __future__ import annotations

import base64
import dataclasses
import gzip
import json
import re
import subprocess
import sys

import explorer_sample as sample
import numpy as np
import pytest

import landscape as ls
from landscape.explorer.content import packed, page_content
from landscape.plots.style import look


def content_of(path):
    text = path.read_text("utf-8")
    (found,) = re.findall(
        r'<script type="application/json" id="content">(.*?)</script>', text, re.DOTALL
    )
    return json.loads(found)


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
        unpacked(surfaces["surface/pca"]["values"][0]),
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
            "check": {"points": 30, "largest": [0.006, 0.02]},
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
def test_plotly_comes_from_where_it_is_wanted(tmp_path, where):
    page = ls.explore({"surface": sample.surface()}, tmp_path / "page.html", plotlyjs=where)
    text = page.read_text("utf-8")
    assert (
        "https://cdn.plot.ly" in re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)
    ) == (where == "cdn")
    assert (tmp_path / "plotly.min.js").exists() == (where == "directory")
    if where == "inline":
        (code,) = re.findall(r'id="plotly">([^<]+)</script>', text)
        assert b"plotly.js v" in gzip.decompress(base64.b64decode(code))[:500]
        assert page.stat().st_size < 3e6


def test_what_cannot_be_drawn_is_refused(tmp_path):
    out = tmp_path / "page.html"
    with pytest.raises(ValueError, match="must be inline, inline-raw, directory or cdn; not 'web'"):
        ls.explore({"s": sample.surface()}, out, plotlyjs="web")
    with pytest.raises(ValueError, match="nothing to draw"):
        ls.explore({}, out)
    with pytest.raises(FileNotFoundError, match="no such file"):
        ls.explore(tmp_path / "missing.h5", out)
    with pytest.raises(ValueError, match="files or results by name; not 3"):
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
