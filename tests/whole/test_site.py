"""The site names everything that is public, and everything public has an example."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import landscape as ls

DOCS = Path(__file__).parents[2] / "docs"


def said():
    """What the docstring of every public name says; without those whose extra is not installed."""
    texts = {}
    for name in ls.__all__:
        try:
            thing = getattr(ls, name)
        except ImportError:
            continue
        if not inspect.ismodule(thing):
            texts[name] = inspect.getdoc(thing) or ""
    return texts


def test_the_reference_names_every_public_name_once():
    named = re.findall(r"^   (\w+)$", (DOCS / "reference.md").read_text(), re.MULTILINE)
    assert len(named) == len(set(named))
    assert set(named) <= set(ls.__all__)
    assert all(inspect.ismodule(getattr(ls, name)) for name in set(ls.__all__) - set(named))


def test_every_public_name_has_an_example():
    assert [name for name, text in said().items() if ">>>" not in text] == []


def test_papers_of_public_names_are_cited():
    cited = (DOCS / "citing.md").read_text()
    optimizers = {"LARS", "LAMB", "Lookahead", "SAM", "AdamToSGD", "MuonAdamW"}  # a list has them
    papers = {
        paper
        for name, text in said().items()
        for paper in re.findall(r"arXiv:([\d.]+\d)", text)
        if name not in optimizers
    }
    assert {paper for paper in papers if paper not in cited} == set()


def test_pages_of_the_site_link_to_what_is_there():
    made = {"gallery", "commands.md", "optimizers.md"}  # when the site is built
    for page in [*DOCS.glob("*.md"), *DOCS.glob("guides/*.md"), *DOCS.glob("tutorials/*.md")]:
        text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
        for target in re.findall(r"(?<!!)\[[^]]*\]\((?!http)([^)#]+)", text):
            path = (page.parent / target).resolve()
            if not made & {path.name, path.parent.name}:
                assert path.exists(), f"{page.name}: {target}"
