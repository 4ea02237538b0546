"""A trained language model small enough for any laptop: stories260K of llama2.c, and five stories.

github.com/karpathy/llama2.c; Eldan & Li 2023, arXiv:2305.07759. Put the files into
``data/checkpoints/stories260K``, or below ``$LANDSCAPE_DATA``.
"""

from __future__ import annotations

import torch

from landscape.objective.losses import causal_lm, next_token_error
from landscape.tasks.folders import find_data
from landscape.tasks.llama import Llama, Tokenizer, padded
from landscape.tasks.task import Task

STATE, TOKENIZER, STORIES = "stories260K_state_dict.pt", "tok512.bin", "tinystories_sample.txt"


def stories(*, most: int | None = None) -> tuple[Task, Tokenizer]:
    """The trained model, its loss in nats per token, the five stories, and the tokenizer.

    Args:
        most: Keep so many of the stories.

    Returns:
        The task, which measures the share of wrong next tokens too, and the tokenizer.

    Raises:
        FileNotFoundError: If the files are not on this computer; the message says where it looked.
    """
    files = find_data("checkpoints/stories260K", [STATE, TOKENIZER, STORIES])
    model = Llama.from_state(torch.load(files[STATE], weights_only=True), heads=8).eval()
    tokenizer = Tokenizer(files[TOKENIZER])
    texts = files[STORIES].read_text(encoding="utf-8").split("<|endoftext|>")
    tokens = [tokenizer.encode(text.strip()) for text in texts if text.strip()]
    data = padded(tokens[:most])
    return Task(model, causal_lm, data, metrics={"error": next_token_error}), tokenizer
