"""A folder as a static site: what is on the index, what leads where, and what it asks for."""

from __future__ import annotations

import http.server
import os
import shutil
import threading
from functools import partial

import explorer_sample as sample
import numpy as np
import pytest
from live_run import LiveRun
from typer.testing import CliRunner

import landscape as ls
from landscape.cli import app


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gallery")
    data = folder / "my data"
    (data / "deep").mkdir(parents=True)
    run = LiveRun(data / "index.h5", run={"task": "toy/one"})
    run.steps(4)
    run.close()
    shutil.copy(data / "index.h5", data / "deep" / 'a "b" <i>&c.h5')
    sample.surface(settings={"task": "toy/two"}).save(data / "measured.results.h5", "surface/a")
    sample.projection("Adam", 0.2).save(data / "measured.results.h5", "projection/a")
    run = LiveRun(data / "measured.h5")
    run.steps(3)
    run.close()
    (data / "broken.h5").write_bytes(b"nothing")
    return ls.gallery(data, folder / "site")


def test_every_file_has_a_page_and_a_preview(site):
    assert site.name == "index.html"
    pages = sorted(p.relative_to(site.parent).as_posix() for p in site.parent.rglob("*.html"))
    assert pages == ["index.html", 'runs/deep/a "b" <i>&c.html', "runs/index.html",
                     "runs/measured.html"]  # fmt: skip
    for page in pages:
        if page != "index.html":
            preview = (site.parent / page).with_suffix(".png").read_bytes()
            assert preview.startswith(b"\x89PNG")
            assert len(preview) < 60_000
    text = site.read_text("utf-8")
    assert "<i>&c" not in text  # names are texts, never markup
    assert "broken" in text
    assert "is not an HDF5 file" in text
    assert str(site.parent.parent) not in text
    assert "<title>my data</title>" in text


def test_what_is_measured_and_what_was_recorded_are_on_one_page(site):
    from landscape.explorer.packing import unpacked_content

    page = (site.parent / "runs" / "measured.html").read_text("utf-8")
    packed = page.partition('id="content">')[2].partition("<")[0]
    content = unpacked_content(packed)
    assert [s["key"] for s in content["surfaces"]] == ["surface/a"]
    sgd = next(run for run in content["runs"] if run["name"] == "SGD")
    np.testing.assert_array_equal(sgd["path"]["losses"][1:], [1, 2, 3])


def test_it_is_written_again_and_refuses_what_is_no_page(site, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    with pytest.raises(ValueError, match="holds no run or results"):
        ls.gallery(data, tmp_path / "site")
    with pytest.raises(NotADirectoryError, match="is no folder"):
        ls.gallery(tmp_path / "none", tmp_path / "site")
    sample.path("Adam", 0.1).save(data / "one.results.h5", "path/a")
    for _ in range(2):
        found = CliRunner().invoke(app, ["gallery", str(data), "-o", str(tmp_path / "site")])
        assert found.exit_code == 0, found.output
        assert "1 page;" in found.output
    (tmp_path / "site" / "index.html").write_text("mine")
    with pytest.raises(FileExistsError):
        ls.gallery(data, tmp_path / "site")


@pytest.mark.browser
@pytest.mark.parametrize("host", ["disk", "server"])
def test_filters_links_and_previews_in_a_browser(site, browser, host):
    context = browser.new_context(viewport={"width": 1100, "height": 800})
    page, problems = context.new_page(), []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: message.type == "error" and problems.append(message.text))
    if host == "server":
        handler = type("Quiet", (http.server.SimpleHTTPRequestHandler,),
                       {"log_message": lambda *_: None})  # fmt: skip
        server = http.server.ThreadingHTTPServer(
            ("127.0.0.1", 0), partial(handler, directory=site.parent)
        )
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}/"
    else:
        address = site.as_uri()
    page.goto(address)
    assert page.inner_text("#count") == "3 shown"
    drawn = "[...document.images].every((i) => i.complete && i.naturalWidth > 50)"
    for _ in range(100):
        if page.evaluate(drawn):
            break
        page.wait_for_timeout(50)
    assert page.evaluate(drawn), problems
    if out := os.environ.get("LANDSCAPE_SHOTS"):
        page.screenshot(path=f"{out}/gallery-{host}.png")
    page.select_option("#task", "toy/two")
    assert page.inner_text("#count") == "1 shown"
    page.reload()  # the address is the view
    assert page.inner_text("#count") == "1 shown"
    page.select_option("#task", "")
    page.select_option("#optimizer", "SGD")
    page.fill("#words", "deep")
    assert page.inner_text("#count") == "1 shown"
    page.locator(".card:visible").click()
    page.wait_for_selector("html[data-ready]")
    assert page.evaluate("explorer.runs[0].name") == "SGD"
    assert not problems
    context.close()
    if host == "server":
        server.shutdown()
        server.server_close()
