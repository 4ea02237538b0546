"""Try every situation of the table "What works with what" and write it to docs/what-works.md."""

from __future__ import annotations

import argparse
import sys
import tempfile
import warnings
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "what-works.md"
HEAD = """# What works with what

Models, losses, data, loops and files as people bring them. Each situation is a test: *works* means
that the number, run or file that came out is the one that the user's own call gives, at a single
point, in a surface, and with every strategy that accepts it; *refused* means that it ends in an
error of one line, which is given here. Nothing in between is known.

Written by `python scripts/what_works.py`.
"""


def main() -> None:
    """Write the page; with --smoke try the first three situations only."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="try the first three, write nothing")
    smoke = parser.parse_args().smoke
    sys.path.insert(0, str(ROOT / "tests"))
    from strangers.table import SITUATIONS  # pyright: ignore[reportMissingImports]

    kinds: dict[str, list[str]] = {}
    for situation in list(SITUATIONS.values())[: 3 if smoke else None]:
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            verdict = situation.run(Path(folder))
        said = "works" if verdict.works else f"refused: {verdict.remark}"
        said = said.replace(folder, "FOLDER").replace("|", "\\|")
        kinds.setdefault(situation.kind, []).append(f"| {situation.name} | {said} |")
        print(f"{situation.kind}: {situation.name}: {said}")
    if smoke:
        return
    parts = [HEAD]
    for kind, rows in kinds.items():
        parts.append(
            "\n".join(
                [f"## {kind[0].upper()}{kind[1:]}", "", "| situation | |", "|---|---|", *rows]
            )
        )
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text("\n".join([parts[0], "\n\n".join(parts[1:]), ""]))
    print(PAGE)


if __name__ == "__main__":
    main()
