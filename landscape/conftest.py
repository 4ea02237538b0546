"""Examples in docstrings write their files into a folder of their own."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib as mpl
import pytest

mpl.use("Agg")


@pytest.fixture(autouse=True)
def examples_write_elsewhere(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Run every example in a temporary folder, and close what it drew."""
    import matplotlib.pyplot as plt

    monkeypatch.chdir(tmp_path_factory.mktemp("example"))
    yield
    plt.close("all")
