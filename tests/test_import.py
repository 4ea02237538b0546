"""Importing the package is light, and its public names all exist."""

from __future__ import annotations

import subprocess
import sys

import pytest

import landscape as ls


def test_import_loads_neither_torch_nor_matplotlib():
    code = (
        "import landscape, sys\n"
        "print([m for m in ('torch', 'matplotlib', 'plotly', 'h5py') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ls.__all__)
def test_public_names_exist(name):
    assert getattr(ls, name).__name__ == name


def test_unknown_name():
    with pytest.raises(AttributeError, match="no_such_thing"):
        _ = ls.no_such_thing
