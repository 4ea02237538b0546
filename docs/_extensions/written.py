"""What the site makes of texts that are written for other places: docstrings, links, commands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

# Links of the Markdown files, which also lead somewhere where no site is built.
LINKS = {
    "../README.md#where-things-are": "index.md",
    "../README.md": "index.md",
    "../benchmarks/README.md": "benchmarks.md",
    "../figures/README.md": "gallery/index.md",
    "../CONTRIBUTING.md": "contributing.md",
}
_ARXIV, _LINK = re.compile(r"arXiv:([\d.]+)"), r"[arXiv:\1](https://arxiv.org/abs/\1)"


def links(app: Any, name: str, source: list[str]) -> None:
    """Lead links to files of the repository to the pages that show them."""
    for old, new in LINKS.items():
        source[0] = source[0].replace(f"]({old}", f"]({new}")


def docstring(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Keep bars and stars as they are written: |λ| is no substitution, Σ* no emphasis."""
    code = False
    for number, line in enumerate(lines):
        if not line.strip():
            code = False
        if line.lstrip().startswith((">>>", "...")):
            code = True
        if not code:
            lines[number] = re.sub(r"(?<![`\\])\|", r"\\|", line)


def pages(app: Any) -> None:
    """Write the pages about commands and optimizers, where they differ from the old."""
    for name, text in (("commands", _commands()), ("optimizers", _optimizers())):
        path = Path(app.srcdir) / f"{name}.md"
        if not path.exists() or path.read_text() != text:
            path.write_text(text)


def _optimizers() -> str:
    from landscape.optim.registry import OPTIMIZERS

    rows = "".join(
        f"| `{name}` | {known.title} | {known.lr} | {_ARXIV.sub(_LINK, known.source)} |\n"
        for name, known in OPTIMIZERS.items()
    )
    return (
        "# Optimizers\n\nBy name on the command line and in `ls.Run`; some need the extra "
        "`optimizers`. The rate is the default here, which suits small networks.\n\n"
        f"| name | optimizer | rate | source |\n|---|---|---|---|\n{rows}"
    )


def _commands() -> str:
    from landscape.cli import HOMES

    parts = ["# Command line\n\n`landscape help COMMAND` prints the same.\n"]
    for name in ("", *HOMES):
        shown = _help(name)
        parts.append(f"\n## landscape {name}".rstrip() + f"\n\n```text\n{shown}\n```\n")
    return "".join(parts)


def _help(name: str) -> str:
    words = [name, "--help"] if name else ["--help"]
    environment = {"COLUMNS": "112", "TERM": "dumb", "NO_COLOR": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "landscape", *words],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def setup(app: Any) -> dict[str, bool]:
    """Connect all of it."""
    app.connect("builder-inited", pages, priority=100)
    app.connect("source-read", links)
    app.connect("autodoc-process-docstring", docstring)
    return {"parallel_read_safe": True}
