"""The options that name a language model and what it reads."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from landscape.cli.checks import check_there

Model = Annotated[
    Path | None,
    typer.Option(
        "--model",
        help="Instead of --task: folder of a language model of Hugging Face; with --text.",
    ),
]
Text = Annotated[
    Path | None,
    typer.Option("--text", help="What it reads: a text, or a .jsonl file of texts."),
]
Tokens = Annotated[
    int | None, typer.Option("--tokens", help="In a sequence; default: what it takes, at most 512.")
]


def is_language_model(model: Path | None, text: Path | None, task: str | None) -> bool:
    """Whether these options name a language model; its folder and its text are there, then.

    Raises:
        ValueError: If one of the two is missing, or a task is named too.
        FileNotFoundError: If they are not there.
    """
    if model is None and text is None:
        return False
    if model is None or text is None:
        raise ValueError("--model FOLDER and --text FILE go together; give both.")
    if task is not None:
        raise ValueError("Give --task, or --model with --text; not both.")
    check_there([model, text])
    return True


def beside(model: Path) -> Path:
    """The results file of a language model: beside its folder, and called like it."""
    folder = model.absolute()
    return folder.with_name(f"{folder.name}.results.h5")
