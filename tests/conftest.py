"""Shared fixtures: small runs of digits/mlp and a toy quadratic, made once per session."""

from __future__ import annotations

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
