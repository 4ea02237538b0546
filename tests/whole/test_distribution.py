"""The name of this package where packages are fetched from: one, everywhere."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

import landscape as ls
from landscape.base.distribution import DISTRIBUTION, VERSION, install

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
TEXTS = sorted(
    path
    for folder in ("landscape", "scripts", "docs", "benchmarks", ".ci", ".github")
    for path in (ROOT / folder).rglob("*")
    if path.suffix in (".py", ".md", ".toml", ".yml", ".yaml", ".html", ".js", "")
    and path.is_file()
) + sorted(path for path in ROOT.glob("*.*") if path.is_file())
# What is installed or added and called `landscape` alone, or `landscape[extra]` anywhere.
STRANGER = re.compile(
    r"\b(?:pip3?|uv|pipx|conda)\b[^\n`&;]*?\b(?:install|add)\b"
    r"[^\n`&;]*?[ \t'\"]landscape(?![-\w/.:])"
    r"|(?<![\w.-])landscape\[[a-z,]+\]"
)


def test_nothing_names_the_other_package():
    found = [
        f"{path.relative_to(ROOT)}: {hit.group()}"
        for path in TEXTS
        for hit in STRANGER.finditer(path.read_text("utf-8", errors="ignore"))
    ]
    assert not found


@pytest.mark.parametrize(
    "text",
    ["pip install landscape", "pip install --upgrade landscape", "needs 'landscape[mesh]'",
     "uv add landscape", "pip install torch landscape"],
)  # fmt: skip
def test_the_other_package_would_be_seen(text):
    assert STRANGER.search(text)
    assert not STRANGER.search(text.replace("landscape", DISTRIBUTION))


def test_one_name_and_one_version():
    assert PROJECT["project"]["name"] == DISTRIBUTION != "landscape"
    assert PROJECT["tool"]["hatch"]["version"]["path"] == "landscape/base/distribution.py"
    assert ls.__version__ == VERSION
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.dev\d+)?", VERSION)
    assert install() == f"pip install {DISTRIBUTION}"


def test_extras_that_messages_name_exist():
    extras = PROJECT["project"]["optional-dependencies"]
    named = {
        extra
        for path in (ROOT / "landscape").rglob("*.py")
        for extra in re.findall(r"install\(['\"](\w+)['\"]\)", path.read_text())
    }
    assert len(named) >= 3
    assert named <= set(extras)
