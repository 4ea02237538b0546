"""Shared fixtures: small runs of digits/mlp and a toy quadratic, made once per session."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import pytest

import landscape as ls

mpl.use("Agg")


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two recorded runs of digits/mlp, 40 steps each."""
    folder = tmp_path_factory.mktemp("runs")
    return {
        name: ls.record_run(ls.Run("digits/mlp", name, steps=40), folder / f"{name}.h5")
        for name in ("sgd", "adam")
    }


@pytest.fixture(scope="session")
def real_file() -> Callable[[str], Path]:
    """Finds a file of real data below $LANDSCAPE_DATA or data/; skips the test without it."""

    def find(name: str) -> Path:
        roots = [Path(os.environ["LANDSCAPE_DATA"])] if "LANDSCAPE_DATA" in os.environ else []
        for root in [*roots, Path(__file__).parents[1] / "data"]:
            for folder in (root, root / "data", root.parent):
                if (folder / name).exists():
                    return folder / name
        pytest.skip(f"needs {name} below $LANDSCAPE_DATA or data/")

    return find
