"""Importing the package is light, and its public names all exist."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest

import landscape as ls
from landscape.cli import HELP


def test_import_loads_neither_torch_nor_matplotlib():
    code = (
        "import landscape, sys\n"
        "print([m for m in ('torch', 'matplotlib', 'plotly', 'h5py') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ls.__all__)
def test_public_names_exist(name):
    assert getattr(ls, name).__name__.rpartition(".")[2] == name


def test_unknown_name():
    with pytest.raises(AttributeError, match="no_such_thing"):
        _ = ls.no_such_thing


def test_the_help_loads_no_library_that_computes():
    code = (
        "import sys\nfrom landscape.cli import main\n"
        "sys.argv = ['landscape', '--help']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print([m for m in ('numpy', 'torch', 'h5py') if m in sys.modules], file=sys.stderr)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stderr.strip() == "[]"
    assert "surface" in found.stdout


@pytest.mark.parametrize("module", HELP)
def test_the_help_names_what_each_module_holds(module):
    assert {*import_module(f"landscape.cli.{module}").COMMANDS} == {*HELP[module]}
