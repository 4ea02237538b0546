"""What holds of the package as a whole: its picture is current, and functions are short.

``python tests/whole/test_house.py`` draws the picture of the imports in the README anew.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
BEGIN, END = "```text\ncli ", "```\n"
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


def code_of(path: Path) -> int:
    """Lines of a file without its docstrings, which public names have long ones of."""
    text = path.read_text()
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    told = [
        node.body[0]
        for node in ast.walk(ast.parse(text))
        if isinstance(node, kinds) and ast.get_docstring(node) is not None
    ]
    return text.count("\n") - sum((d.end_lineno or 0) - d.lineno + 1 for d in told)


def test_no_file_holds_several_ideas():
    long = {str(p.relative_to(ROOT)): n for p in FILES if (n := code_of(p)) > 300}
    assert not long, "make a file of each idea"


def test_commands_take_records_of_options():
    commands = [path for path in FILES if "cli" in path.parts]
    many = {(p.name, f.name) for p in commands for f in functions(p) if parameters_of(f) > 12}
    assert not many, "options that belong together are a record, see cli/options/records.py"


def picture() -> str:
    """Every room and the rooms that it imports, annotations counted.

    Rooms stand above what they import. What a room already reaches through another that it imports
    is left out.
    """
    grimp = pytest.importorskip("grimp")
    graph = grimp.build_graph("landscape", exclude_type_checking_imports=False, cache_dir=None)
    rooms = [m for m in graph.find_children("landscape") if graph.find_children(m)]
    inside = {room: {room, *graph.find_descendants(room)} for room in rooms}
    imported = {
        room: {
            other
            for other in rooms
            if other != room
            and any(
                graph.find_modules_directly_imported_by(m) & inside[other] for m in inside[room]
            )
        }
        for room in rooms
    }
    reached: dict[str, set[str]] = {}
    while len(reached) < len(rooms):
        ready = [r for r in rooms if r not in reached and imported[r] <= reached.keys()]
        assert ready, "rooms import each other in a circle"
        reached |= {r: imported[r].union(*(reached[o] for o in imported[r])) for r in ready}
    lines = []
    for room in sorted(rooms, key=lambda r: (-len(reached[r]), r)):
        beyond = set().union(*(reached[other] for other in imported[room]))
        below = ", ".join(sorted(o.partition(".")[2] for o in imported[room] - beyond))
        lines.append(f"{room.partition('.')[2]:10}" + (f" ─▶ {below}" if below else ""))
    return "\n".join(map(str.rstrip, lines)) + "\n"


def test_the_picture_in_the_readme_is_current():
    drawn = README.read_text().partition(BEGIN)[2].partition(END)[0]
    assert BEGIN[8:] + drawn == picture(), "run python tests/whole/test_house.py"


def test_the_evaluator_adds_little_to_torch():
    """What reads files, differentiates twice or compiles is imported when it is used."""
    code = (
        "import sys, torch; before = set(sys.modules)\nimport landscape.objective.objective\n"
        "print(*{name.partition('.')[0] for name in set(sys.modules) - before})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "scipy", "h5py", "matplotlib", "plotly"} & set(done.stdout.split())


if __name__ == "__main__":
    before, _, rest = README.read_text().partition(BEGIN)
    README.write_text(before + BEGIN[:8] + picture() + END + rest.partition(END)[2])
