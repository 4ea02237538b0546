"""What axe-core finds in the page: nothing, in both themes, on a desktop and on a phone."""

from __future__ import annotations

import os
from pathlib import Path

import explorer_sample as sample
import pytest

import landscape as ls

pytestmark = pytest.mark.browser
AXE = Path(__file__).parents[1] / "page" / "node_modules" / "axe-core" / "axe.min.js"


@pytest.fixture(scope="module")
def axe():
    if not AXE.exists():
        assert os.environ.get("LANDSCAPE_REQUIRE_NODE") != "1", "npm ci --prefix tests/page"
        pytest.skip("needs axe-core: npm ci --prefix tests/page")
    return AXE.read_text("utf-8")


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    out = ls.explore(sample.results(), tmp_path_factory.mktemp("page") / "page.html", title="Three")
    return f"file://{out}"


VIEWS = {
    "map": "",
    "terrain": "explorer.setState({view: '3d'})",
    "compare": "explorer.setState({compare: 1, pins: [3, 9]})",
    "story": "explorer.setState({scene: 0})",
    "table": "document.querySelector('#table').hidden = false",
    "menu": "document.querySelectorAll('details.menu')[0].open = true",
    "notes": "document.querySelector('#not-shown').click()",
    "help": "document.querySelector('#help-button').click()",
    "talk": "explorer.setState({talk: 'on'})",
}


AFRESH = """async (patch) => {
  document.querySelectorAll('dialog[open]').forEach((d) => d.close());
  document.querySelectorAll('details.menu').forEach((d) => { d.open = false; });
  document.querySelector('#table').hidden = true;
  explorer.setState({...explorer.initial, ...patch}); }"""
VIOLATIONS = """async (options) => { const frame = () => new Promise(requestAnimationFrame);
  await frame(); await frame(); await Promise.all(explorer.lands.map((land) => land.drawing));
  const found = await axe.run({resultTypes: ['violations'], ...options});
  return found.violations.map((v) => `${v.id}: ${v.nodes.slice(0, 3).map((n) =>
    `${n.html.slice(0, 120)} ${n.failureSummary.split('\\n').slice(1, 2)}`).join(' | ')}`); }"""


@pytest.mark.parametrize("width", [1440, 390])
def test_axe_finds_nothing(browser, address, axe, width):
    phone = width < 900
    context = browser.new_context(
        offline=True, viewport={"width": width, "height": 844 if phone else 900}, has_touch=phone,
        reduced_motion="reduce",
    )  # fmt: skip
    page = context.new_page()
    page.goto(f"{address}#step=60")
    page.wait_for_selector("html[data-ready]")
    page.evaluate(axe)
    found = []
    for theme in ("light", "dark"):
        # a theme changes colours and nothing else
        options = {"runOnly": ["color-contrast"]} if theme == "dark" else {}
        for view, act in VIEWS.items():
            page.evaluate(AFRESH, {"theme": theme})
            page.evaluate(f"() => {{ {act} }}")
            found += [f"{theme} {view}: {one}" for one in page.evaluate(VIOLATIONS, options)]
    context.close()
    assert found == []
