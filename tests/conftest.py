"""Shared fixtures: small runs of digits/mlp and a toy quadratic, made once per session."""

from __future__ import annotations

import math
import os
import shutil
import time
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pytest

import landscape as ls

mpl.use("Agg")
os.environ["LANDSCAPE_REMEMBER"] = "0"  # what was chosen for others decides nothing here

KINDS = {  # of tests, by their files; what is in none, and needs no browser, is a unit test
    "kills": (
        "test_evaluation_kills", "test_evaluation_units", "test_units_of_runs", "test_fuzz_files",
        "test_recorder_crash", "test_recorder_disk", "test_recorder_mishaps", "test_crashproof",
    ),
    "commands": (
        "test_cli*", "test_readme", "test_import", "test_reproduce", "test_live*", "test_house",
        "test_evaluation_start",
    ),
    "external": (
        "test_huggingface", "test_lightning", "test_li2018*", "test_llama", "test_optim_*",
        "test_checkpoint_files", "test_trackers", "test_losses", "test_path_resnet",
    ),
}  # fmt: skip


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test with its kind, before they are chosen by it."""
    for item in items:
        for kind, files in KINDS.items():
            if any(fnmatch(item.path.stem, file) for file in files):
                item.add_marker(kind)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[Any]:
    """With $LANDSCAPE_SLOWEST_TEST, a test that takes more seconds than that fails."""
    began = time.monotonic()
    result = yield
    spent, most = time.monotonic() - began, float(os.environ.get("LANDSCAPE_SLOWEST_TEST", "inf"))
    if spent > most:
        pytest.fail(
            f"took {spent:.0f} s, and no test may take more than {most:.0f}: make it smaller, or "
            "measure it in benchmarks/ or scripts/"
        )
    return result


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs a GPU where there is none."""
    if item.get_closest_marker("gpu"):
        import torch

        if not torch.cuda.is_available():
            pytest.skip("needs a CUDA device")


@pytest.fixture(autouse=True)
def speed_decides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """No machine is so slow that a faster way is looked for; tests of the choice ask for it."""
    monkeypatch.setattr("landscape.objective.tuning._WORTH_CHOOSING", math.inf)


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two recorded runs of digits/mlp, 40 steps each."""
    folder = tmp_path_factory.mktemp("runs")
    return {
        name: ls.record_run(ls.Run("digits/mlp", name, steps=40), folder / f"{name}.h5")
        for name in ("sgd", "adam")
    }


@pytest.fixture(scope="session")
def real_file() -> Callable[[str], Path]:
    """Finds a file of real data below $LANDSCAPE_DATA or data/; skips the test without it."""

    def find(name: str) -> Path:
        roots = [Path(os.environ["LANDSCAPE_DATA"])] if "LANDSCAPE_DATA" in os.environ else []
        for root in [*roots, Path(__file__).parents[1] / "data"]:
            for folder in (root, root / "data", root.parent):
                if (folder / name).exists():
                    return folder / name
        pytest.skip(f"needs {name} below $LANDSCAPE_DATA or data/")

    return find


class BrowserPage:
    """A Playwright page that remembers what it complained about and what it asked for."""

    def __init__(self, page: Any) -> None:
        self.inner = page
        self.problems: list[str] = []
        self.requests: list[str] = []
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))

    def _said(self, message: Any) -> None:
        if message.type == "error":
            self.problems.append(message.text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def open(self, address: str) -> None:
        """Load an address anew and wait until everything is drawn."""
        self.inner.goto("about:blank")
        self.problems.clear()
        self.requests.clear()
        self.inner.goto(address)
        self.inner.wait_for_selector("html[data-ready]")
        self.rest()
        if address.startswith("file:"):  # no page asks for anything or breaks its own policy
            assert self.problems == []
            assert all(url.startswith(("file:", "data:", "blob:")) for url in self.requests)

    def rest(self) -> None:
        """Nothing plays by itself from now on."""
        self.inner.evaluate(
            """() => { explorer.player?.stop(); if (!explorer.cancelFirstLook) return;
            explorer.cancelFirstLook(); explorer.setState({step: explorer.initial.step}); }"""
        )
        self.settle()

    def reuse(self, address: str) -> None:
        """Bring an open page back to its first view; load it when it is not open or complained."""
        if self.problems or self.inner.url.partition("#")[0] != address:
            return self.open(address)
        self.inner.set_viewport_size({"width": 1280, "height": 800})
        self.inner.mouse.move(0, 0)
        self.inner.evaluate(
            """() => { document.querySelectorAll('dialog[open]').forEach(d => d.close());
            document.querySelectorAll('details[open]').forEach(d => { d.open = false; });
            document.getElementById('table').hidden = true;
            document.activeElement?.blur();
            explorer.cancelFirstLook?.(); explorer.player?.stop();
            explorer.setState(explorer.initial); }"""
        )
        return self.settle()

    def until(self, expression: str, seconds: float = 30) -> None:
        """Wait until an expression is true (the page's policy forbids Playwright's own way)."""
        end = time.monotonic() + seconds
        while not self.inner.evaluate(expression):
            assert time.monotonic() < end, f"never true: {expression}"
            self.inner.wait_for_timeout(20)

    def settle(self) -> None:
        """Wait until two frames have passed and nothing is being drawn."""
        self.inner.evaluate(
            """async () => { const frame = () => new Promise(requestAnimationFrame);
            await frame(); await frame();
            await Promise.all(explorer.lands.map(l => l.drawing)); }"""
        )


def _chromium() -> str:
    names = (os.environ.get("CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome")
    found = next((path for name in names if name and (path := shutil.which(name))), None)
    if found is None:
        message = "Chromium was not found; install it or set CHROMIUM to its path."
        if os.environ.get("LANDSCAPE_REQUIRE_BROWSER") == "1":
            pytest.fail(message)
        pytest.skip(message)
    return found


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """One Chromium for the session, with WebGL in software."""
    api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as playwright:
        path = _chromium()
        running = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        running.chromium_path = path
        yield running
        running.close()


@pytest.fixture(scope="session")
def browser_page(browser: Any) -> BrowserPage:
    """One page for the session, offline."""
    context = browser.new_context(offline=True, viewport={"width": 1280, "height": 800})
    context.set_default_timeout(120_000)  # WebGL in software on a busy machine
    return BrowserPage(context.new_page())
