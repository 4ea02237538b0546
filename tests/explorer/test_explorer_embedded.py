"""The page inside a notebook: a path that shows itself, in frames of several kinds."""

from __future__ import annotations

import os
import re
from pathlib import Path

import explorer_sample as sample
import pytest
from conftest import BrowserPage

import landscape as ls

# What VS Code allows a notebook's output, roughly.
VSCODE = "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval' blob: data:; "
VSCODE += "style-src 'unsafe-inline'; img-src data: blob:; frame-src *"


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    folder = tmp_path_factory.mktemp("embedded")
    results = [sample.surface(), sample.projection("Adam", 0.2), sample.path("Adam", 0.2)]
    return ls.explore(results, folder / "page.html", title='A <title> & "more"')


def test_it_is_a_path(shown):
    assert isinstance(shown, Path)
    assert os.fspath(shown) == str(shown)
    assert shown.stat().st_size == len(shown.read_bytes())
    assert shown == Path(shown)
    assert len(repr(shown)) < 200


def test_what_front_ends_are_given(shown):
    bundle = shown._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "text/html", "image/png"}
    assert bundle["image/png"].startswith(b"\x89PNG")
    assert len(bundle["text/plain"]) < 200
    assert len(bundle["text/html"]) < 1.3 * shown.stat().st_size
    assert "<script" not in bundle["text/html"]  # nothing of the page runs outside its frame


def test_where_it_is_written_by_default(tmp_path, monkeypatch, runs):
    monkeypatch.chdir(tmp_path)
    assert ls.explore({"surface/a": sample.surface()}) == Path("explorer.html")
    sample.surface().save("mine.results.h5", "surface/a")
    assert ls.explore("mine.results.h5") == Path("mine.html")
    assert ls.explore(sample.surface(), "one.html").exists()
    page = ls.explore(ls.Trajectory(runs["adam"]), "run.html").read_text()
    assert "1 run" in page
    assert ls.explore([runs["adam"], runs["sgd"]], "runs.html").exists()
    with pytest.raises(ValueError, match=r"Give results.*not a int"):
        ls.explore(3)


@pytest.mark.browser
@pytest.mark.parametrize("kind", ["plain", "vscode"])
def test_stepping_in_a_frame_throws_nothing(browser, shown, kind):
    policy = f'<meta http-equiv="Content-Security-Policy" content="{VSCODE}">'
    context = browser.new_context(offline=True, viewport={"width": 1000, "height": 900})
    page, problems = context.new_page(), []
    page.on("pageerror", lambda error: problems.append(str(error)))
    head = policy if kind == "vscode" else ""
    page.set_content(f"<!doctype html>{head}{shown._repr_mimebundle_()['text/html']}")
    frame = page.frame_locator("iframe")
    frame.locator("html[data-ready]").wait_for(timeout=120_000)
    inner = page.frames[1]
    first = inner.evaluate("explorer.state.step")
    inner.evaluate("explorer.setState({step: explorer.state.step === 3 ? 4 : 3})")
    page.wait_for_timeout(400)  # the address follows after 200 ms
    assert inner.evaluate("explorer.state.step") != first
    assert not problems
    context.close()


def test_a_page_that_holds_it_hands_over_new_content(browser, shown, tmp_path):
    """More than the sixteen scenes that a browser allows at a time; the view stays where it was."""
    new = {"surface/a": sample.surface(9, 7)}
    for k, name in enumerate(("Adam", "SGD", "Lion")):
        new |= {f"p/{k}": sample.projection(name, 0.2 * k), f"q/{k}": sample.path(name, 0.2 * k)}
    text = ls.explore(new, tmp_path / "new.html", title="New").read_text("utf-8")
    (packed,) = re.findall(r'id="content">([^<]+)<', text)
    context = browser.new_context(offline=True, viewport={"width": 700, "height": 500})
    page = BrowserPage(context.new_page())
    page.inner.set_content(f"<!doctype html>{shown._repr_mimebundle_()['text/html']}")
    page.frame_locator("iframe").locator("html[data-ready]").wait_for(timeout=120_000)
    inner = page.frames[1]
    inner.evaluate("explorer.setState({step: 7, view: '3d', camera: [10, 40, 2, 0, 0]})")

    def handed(content):
        page.evaluate("c => frames[0].postMessage({content: c}, '*')", content)
        inner.wait_for_timeout(100)
        return inner.evaluate(
            """async () => { const frame = () => new Promise(requestAnimationFrame);
            await frame(); await frame(); await Promise.all(explorer.lands.map((l) => l.drawing));
            return document.querySelectorAll('*').length; }"""
        )

    nodes = [handed(packed) for _ in range(20)]
    assert nodes[1] == nodes[-1]
    assert inner.evaluate("explorer.runs.map((run) => run.name)") == ["SGD", "Adam", "Lion"]
    assert inner.evaluate("document.getElementById('title').textContent") == "New"
    view = inner.evaluate("[explorer.state.step, explorer.state.view, explorer.state.camera]")
    assert view == [7, "3d", [10, 40, 2, 0, 0]]
    assert inner.evaluate("explorer.lands.map((l) => l.scene.gl.isContextLost())") == [False]
    assert inner.evaluate("explorer.lands[0].surface.alpha.length") == 9
    handed("no content")
    assert "No new content" in inner.evaluate("document.getElementById('say').textContent")
    assert page.problems == []
    context.close()
