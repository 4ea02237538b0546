"""Whatever a stranger brings gives the number of their own call, or a clear refusal."""

from __future__ import annotations

from pathlib import Path

import pytest
from strangers.table import SITUATIONS


@pytest.mark.parametrize("key", SITUATIONS)
def test_right_or_refused(key: str, tmp_path: Path) -> None:
    verdict = SITUATIONS[key].run(tmp_path)
    assert verdict.works or verdict.remark


def test_the_page_says_what_the_table_holds():
    page = (Path(__file__).parents[2] / "docs" / "what-works.md").read_text()
    named = [line.split(" | ")[0].removeprefix("| ") for line in page.splitlines()]
    assert [s.name for s in SITUATIONS.values() if s.name.replace("|", "\\|") not in named] == []
