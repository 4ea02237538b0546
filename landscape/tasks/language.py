"""A causal language model in a folder, as Hugging Face saves it, and a text to measure it on."""

# pyright: reportMissingImports=false
from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from landscape.base.distribution import install
from landscape.base.files import expanded
from landscape.objective.losses import causal_lm, next_token_error
from landscape.tasks.task import Task

_LONGEST = 512  # tokens in a sequence, where the model takes more
_SURE = 10**6  # what a tokenizer says that knows no limit is more


def language_task(
    model: str | os.PathLike[str], text: str | os.PathLike[str], *, length: int | None = None
) -> Task:
    """A language model and the mean cross-entropy of its next tokens on a text, in nats.

    The text is cut into sequences that are read each for itself; the rest of the last one is
    padding, which counts for nothing. Nothing is downloaded, and no code of the folder is run.

    Args:
        model: A folder with a model and its tokenizer, as `save_pretrained` writes them. Its
            weights keep the type they are stored in.
        text: A file of text; a .jsonl file holds one text a line, under ``text``, and every one of
            them begins a sequence.
        length: Tokens in a sequence; default: as many as the model takes, at most 512.

    Returns:
        The task; beside the loss it measures the share of wrong next tokens, ``error``.

    Raises:
        FileNotFoundError: If there is no such folder or file.
        ValueError: If it holds no causal language model or no tokenizer, or the text is empty.
        ImportError: If transformers is not installed.

    >>> language_task("no/such/folder", "text.txt")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    FileNotFoundError: no/such/folder: no such folder; nothing is downloaded, so give one ...
    """
    folder = _folder(model)
    texts, tokenizer = _texts(expanded(text)), _tokenizer(folder)
    network = load_language_model(folder)
    longest = _longest(network, tokenizer)
    if length is not None and not 2 <= length <= longest:
        raise ValueError(f"length must be from 2 to {longest}, what {folder} takes; not {length}.")
    tokens = [tokenizer(each, verbose=False)["input_ids"] for each in texts]
    data = in_sequences(tokens, length or min(longest, _LONGEST))
    return Task(network, causal_lm, data, metrics={"error": next_token_error})


def load_language_model(folder: str | os.PathLike[str], *, empty: bool = False) -> nn.Module:
    """The causal language model in a folder, in evaluation mode, its weights as they are stored.

    Args:
        folder: As `save_pretrained` writes it.
        empty: Read no weights: parameters of any size then share a few random numbers, and take no
            memory. Such a model is measured on lines and planes through files, which may be larger
            than memory (`checkpoint_line`, ``Objective(..., strategy="streamed")``).

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If it holds no such model.
        ImportError: If transformers is not installed.
    """
    folder = _folder(folder)
    known = _transformers().AutoModelForCausalLM
    try:
        if not empty:
            return known.from_pretrained(folder, local_files_only=True, dtype="auto").eval()
        config = _transformers().AutoConfig.from_pretrained(folder, local_files_only=True)
        from accelerate import init_empty_weights

        with init_empty_weights(include_buffers=False):
            model = known.from_config(config, dtype=config.dtype).eval()
        model.tie_weights()
        return _without_memory(model)
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(
            f"{folder} holds no causal language model that transformers can load ({_said(error)})."
        ) from error


def _without_memory(model: nn.Module) -> nn.Module:
    """The model with parameters whose elements lie on each other, instead of none."""
    generator = torch.Generator().manual_seed(0)
    made: dict[int, nn.Parameter] = {}
    for module in model.modules():
        for name, empty in module._parameters.items():
            if empty is not None and id(empty) not in made:
                few = torch.randn(sum(empty.shape) + 1, generator=generator).mul_(0.02)
                few = few.to(empty.dtype).as_strided(empty.shape, (1,) * empty.ndim)
                made[id(empty)] = nn.Parameter(few, requires_grad=empty.requires_grad)
            if empty is not None:
                module._parameters[name] = made[id(empty)]
    return model


def is_language_model(folder: Path) -> bool:
    """Whether a folder says of itself that it holds a causal language model."""
    try:
        told = json.loads((folder / "config.json").read_text())["architectures"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return any(name.endswith(("ForCausalLM", "LMHeadModel")) for name in told or ())


def in_sequences(texts: Sequence[Sequence[int]], length: int) -> dict[str, Tensor]:
    """Tokens of texts cut into sequences of one length, with a mask that hides the padding.

    A text of which one token is left over loses it: nothing of it is predicted.

    Raises:
        ValueError: If nothing is left.

    >>> found = in_sequences([[5, 6, 7, 8, 9], [4, 3]], 3)
    >>> found["input_ids"].tolist(), found["attention_mask"].sum().item()
    ([[5, 6, 7], [8, 9, 0], [4, 3, 0]], 7)
    """
    parts = [text[at : at + length] for text in texts for at in range(0, len(text), length)]
    parts = [part for part in parts if len(part) > 1]
    if not parts:
        raise ValueError("The text holds fewer than two tokens; there is nothing to predict.")
    tokens = torch.zeros(len(parts), length, dtype=torch.int64)
    for row, part in zip(tokens, parts, strict=True):
        row[: len(part)] = torch.tensor(part)
    lengths = torch.tensor([len(part) for part in parts])
    mask = torch.arange(length) < lengths[:, None]
    return {"input_ids": tokens, "attention_mask": mask.to(torch.int64)}


def _folder(path: str | os.PathLike[str]) -> Path:
    folder = expanded(path)
    if not folder.is_dir():
        raise FileNotFoundError(
            f"{folder}: no such folder; nothing is downloaded, so give one that save_pretrained "
            "wrote, or a local copy of a repository."
        )
    return folder


def _texts(path: Path) -> list[str]:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file.")
    try:
        content = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no text in UTF-8 ({error.reason}).") from None
    if path.suffix != ".jsonl":
        return [content]
    found = []
    for number, line in enumerate(content.splitlines(), start=1):
        try:
            found += [json.loads(line)["text"]] if line.strip() else []
        except (ValueError, KeyError, TypeError):
            raise ValueError(
                f'{path}, line {number}: expected is {{"text": "…"}}; not {line[:40]!r}.'
            ) from None
    return found


def _tokenizer(folder: Path) -> Any:
    try:
        return _transformers().AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(
            f"{folder} holds no tokenizer ({_said(error)}); save it there too: "
            "tokenizer.save_pretrained(folder)."
        ) from error


def _longest(model: nn.Module, tokenizer: Any) -> int:
    told = getattr(getattr(model, "config", None), "max_position_embeddings", None)
    limits = [n for n in (told, tokenizer.model_max_length) if isinstance(n, int) and n < _SURE]
    return min(limits, default=_LONGEST)


def _transformers() -> Any:
    try:
        import transformers
    except ImportError:
        raise ImportError(f"A language model needs transformers: {install('hf')}.") from None
    return transformers


def _said(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")[:150]
