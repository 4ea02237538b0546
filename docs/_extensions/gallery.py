"""Pages of the gallery: a script, the figure that it drew, and what the figure says.

The figures are those in `figures/`: some of the scripts train for minutes on data sets that a
machine which builds the site need not have, so none is run here.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
_REFERENCE = re.compile(r"\bls\.(\w+)")


def write(app: Any) -> None:
    """Write one page for every figure and one with all of them, where they differ from the old."""
    folder = Path(app.srcdir) / "gallery"
    folder.mkdir(exist_ok=True)
    cards = []
    for script in sorted((ROOT / "scripts").glob("fig_*.py")):
        figure = next((f for f in _drawn(script.stem) if f.exists()), None)
        if figure is None:
            continue
        title, text, code = _said(script)
        _write(folder / f"{script.stem}.md", _page(script, figure, title, text, code))
        cards.append(
            f":::{{grid-item-card}} {title}\n:link: {script.stem}\n:link-type: doc\n"
            f":img-bottom: ../../figures/{figure.name}\n:::\n"
        )
    hidden = "".join(f"{path.stem}\n" for path in sorted(folder.glob("fig_*.md")))
    _write(
        folder / "index.md",
        "# Gallery\n\nEach figure comes from one script, which measures what it shows and says so "
        "beside it.\n\n::::{grid} 1 2 2 3\n:gutter: 3\n\n"
        + "".join(cards)
        + f"::::\n\n```{{toctree}}\n:hidden:\n\n{hidden}```\n",
    )


def _drawn(name: str) -> list[Path]:
    return [ROOT / "figures" / f"{name}.{suffix}" for suffix in ("gif", "png")]


def _said(script: Path) -> tuple[str, str, str]:
    code = script.read_text()
    title, _, text = (ast.get_docstring(ast.parse(code)) or script.stem).partition("\n")
    return title.rstrip("."), text.strip(), code


def _page(script: Path, figure: Path, title: str, text: str, code: str) -> str:
    import landscape

    caption = figure.with_suffix(".txt").read_text().strip()
    used = sorted(set(_REFERENCE.findall(code)) & set(landscape.__all__))
    names = ", ".join(f"{{py:obj}}`{name} <landscape.{name}>`" for name in used)
    pdf = figure.with_suffix(".pdf")
    paper = f" · {{download}}`PDF <../../figures/{pdf.name}>`" if pdf.exists() else ""
    return (
        f"# {title}\n\n{text}\n\n![{title}](../../figures/{figure.name})\n\n{caption}\n\n"
        f"`python scripts/{script.name}`{paper}\n\n"
        + (f"Uses {names}.\n\n" if names else "")
        + f"```{{literalinclude}} ../../scripts/{script.name}\n:language: python\n```\n"
    )


def _write(path: Path, text: str) -> None:
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def setup(app: Any) -> dict[str, bool]:
    """Write the pages before any is read."""
    app.connect("builder-inited", write, priority=100)
    return {"parallel_read_safe": True}
