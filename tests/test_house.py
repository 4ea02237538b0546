"""What holds of the package as a whole: its picture is current, and functions are short."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

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


def test_no_function_is_longer_than_a_screen():
    long = {(p.name, f.name) for p in FILES for f in functions(p) if lines_of(f) > 60}
    assert not long, "say it in several functions"


def test_commands_take_records_of_options():
    commands = [path for path in FILES if "cli" in path.parts]
    many = {(p.name, f.name) for p in commands for f in functions(p) if parameters_of(f) > 12}
    assert not many, "options that belong together are a record, see cli/options/records.py"
