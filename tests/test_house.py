"""What holds of the house as a whole: its picture is current, functions are short, rooms have doors."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = sorted((ROOT / "landscape").rglob("*.py"))
Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(path: Path) -> Iterator[Function]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, Function):
            yield node


def lines_of(function: Function) -> int:
    """Lines of its body, without the docstring."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return (function.end_lineno or 0) - body[0].lineno + 1 if body else 0


def parameters_of(function: Function) -> int:
    given = function.args
    names = [a.arg for a in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    return len([name for name in names if name not in ("self", "cls")])


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_function_is_longer_than_a_screen(path):
    long = {f.name: lines_of(f) for f in functions(path) if lines_of(f) > 60}
    assert not long, "say it in several functions"


@pytest.mark.parametrize("path", [p for p in FILES if "cli" in p.parts], ids=lambda p: p.name)
def test_commands_take_records_of_options(path):
    many = {f.name: parameters_of(f) for f in functions(path) if parameters_of(f) > 12}
    assert not many, "options that belong together are a record, see cli/options/records.py"
