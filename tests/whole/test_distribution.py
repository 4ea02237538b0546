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


def test_public_jobs_call_what_exists():
    yaml = pytest.importorskip("yaml")
    jobs = yaml.safe_load((ROOT / ".github/workflows/gate.yml").read_text())["jobs"]
    lines = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    assert len(lines) > len(jobs)
    extras = PROJECT["project"]["optional-dependencies"]
    for line in lines:
        named = [name for group in re.findall(r"\.\[([\w,]+)\]", line) for name in group.split(",")]
        assert set(named) <= set(extras), line
        for file in re.findall(r"tests/[\w/.]+|\.ci/run|constraints\.txt|\bdocs\b", line):
            assert (ROOT / file).exists(), line
    # pytest is asked for what only the extra `test` brings.
    tested = [job for job in jobs.values() if "pytest" in str(job)]
    assert all(re.search(r"\.\[[^]]*\btest\b", str(job)) for job in tested)


def test_what_is_cited_is_this_version():
    cited = (ROOT / "CITATION.cff").read_text()
    assert re.search(rf"^version: {re.escape(VERSION)}$", cited, re.MULTILINE)
    if "(unreleased)" in (ROOT / "CHANGELOG.md").read_text().partition("## ")[2].splitlines()[0]:
        assert "date-released" not in cited
