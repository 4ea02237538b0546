"""The site names everything that is public, and everything public has an example."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import landscape as ls

DOCS = Path(__file__).parent.parent / "docs"
NAMES = [name for name in ls.__all__ if not inspect.ismodule(getattr(ls, name))]


def test_the_reference_names_every_public_name_once():
    named = re.findall(r"^   (\w+)$", (DOCS / "reference.md").read_text(), re.MULTILINE)
    assert sorted(named) == sorted(NAMES)


def test_every_public_name_has_an_example():
    without = [n for n in NAMES if ">>>" not in (inspect.getdoc(getattr(ls, n)) or "")]
    assert without == []


def test_papers_of_public_names_are_cited():
    cited = (DOCS / "citing.md").read_text()
    papers = {
        paper
        for name in NAMES
        if not hasattr(getattr(ls, name), "step")  # an optimizer's is in the list of optimizers
        for paper in re.findall(r"arXiv:([\d.]+\d)", inspect.getdoc(getattr(ls, name)) or "")
    }
    assert {paper for paper in papers if paper not in cited} == set()


def test_pages_of_the_site_link_to_what_is_there():
    made = {"gallery", "commands.md", "optimizers.md"}  # when the site is built
    for page in [*DOCS.glob("*.md"), *DOCS.glob("guides/*.md"), *DOCS.glob("tutorials/*.md")]:
        text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
        for target in re.findall(r"\]\((?!http)([^)#]+)", text):
            path = (page.parent / target).resolve()
            if not made & {path.name, path.parent.name}:
                assert path.exists(), f"{page.name}: {target}"
