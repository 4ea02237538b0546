"""What users call things, written letter by letter: dollars are no mathematics for matplotlib."""

from __future__ import annotations


def literal(text: str) -> str:
    r"""A text that matplotlib draws as it is.

    >>> literal("cost $a$")
    'cost \\$a\\$'
    """
    return text.replace("$", r"\$")


def plain(name: str) -> str:
    r"""A name for a legend, which leaves out what begins with an underscore; in one line.

    >>> plain("_mine"), plain("two\nlines")
    (' _mine', 'two lines')
    """
    shown = literal(" ".join(name.split("\n"))) if name.strip() else "(no name)"
    return f" {shown}" if shown.startswith("_") else shown
