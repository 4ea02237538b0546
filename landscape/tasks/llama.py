"""A Llama-style language model and its tokenizer, small enough to read.

Names and file formats are those of llama2.c (github.com/karpathy/llama2.c), so that its trained
stories models load. Architecture: Touvron et al. 2023, arXiv:2302.13971; rotary positions: Su et
al. 2021, arXiv:2104.09864; SwiGLU: Shazeer 2020, arXiv:2002.05202; grouped queries: Ainslie et
al. 2023, arXiv:2305.13245.
"""

from __future__ import annotations

import itertools
import math
import os
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BEGIN = 1  # the token every text begins with
_FIRST_BYTE = 3  # tokens 3 to 258 are the 256 single bytes


class Llama(nn.Module):
    """A causal transformer: RMS norm before each block, rotary positions, tied embedding.

    Args:
        vocabulary: Number of tokens.
        width: Length of a token's vector.
        layers: Number of blocks.
        heads: Number of query heads.
        groups: Number of key and value heads; each serves `heads` / `groups` query heads.
        hidden: Width inside the feed-forward part.
    """

    def __init__(
        self,
        vocabulary: int = 512,
        *,
        width: int = 64,
        layers: int = 5,
        heads: int = 8,
        groups: int = 4,
        hidden: int = 172,
    ) -> None:
        super().__init__()
        self.tok_embeddings: nn.Embedding = nn.Embedding(vocabulary, width)
        self.layers: nn.ModuleList = nn.ModuleList(
            _Layer(width, heads, groups, hidden) for _ in range(layers)
        )
        self.norm: nn.RMSNorm = nn.RMSNorm(width, eps=1e-5)
        self.output: nn.Linear = nn.Linear(width, vocabulary, bias=False)
        self.output.weight = self.tok_embeddings.weight

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits of each next token, shape (texts, length, vocabulary)."""
        x = self.tok_embeddings(tokens)
        for layer in self.layers:
            x = layer(x)
        return self.output(self.norm(x))

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor], *, heads: int) -> Llama:
        """The model that a state dict belongs to; only the number of heads is not in its shapes."""
        vocabulary, width = state["tok_embeddings.weight"].shape
        model = cls(
            vocabulary,
            width=width,
            layers=1 + max(int(n.split(".")[1]) for n in state if n.startswith("layers.")),
            heads=heads,
            groups=len(state["layers.0.attention.wk.weight"]) * heads // width,
            hidden=len(state["layers.0.feed_forward.w1.weight"]),
        )
        model.load_state_dict(state)
        return model


class _Layer(nn.Module):
    def __init__(self, width: int, heads: int, groups: int, hidden: int) -> None:
        super().__init__()
        self.attention_norm = nn.RMSNorm(width, eps=1e-5)
        self.attention = _Attention(width, heads, groups)
        self.ffn_norm = nn.RMSNorm(width, eps=1e-5)
        self.feed_forward = _FeedForward(width, hidden)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.attention_norm(x))
        return x + self.feed_forward(self.ffn_norm(x))


class _Attention(nn.Module):
    """Written out, so that it can be differentiated twice (Hessians)."""

    def __init__(self, width: int, heads: int, groups: int) -> None:
        super().__init__()
        self.size = width // heads
        self.wq = nn.Linear(width, width, bias=False)
        self.wk = nn.Linear(width, groups * self.size, bias=False)
        self.wv = nn.Linear(width, groups * self.size, bias=False)
        self.wo = nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = (
            project(x).unflatten(-1, (-1, self.size)).transpose(1, 2)
            for project in (self.wq, self.wk, self.wv)
        )
        served = query.shape[1] // key.shape[1]
        key, value = (t.repeat_interleave(served, dim=1) for t in (_rotated(key), value))
        scores = _rotated(query) @ key.transpose(-1, -2) / math.sqrt(self.size)
        future = torch.ones_like(scores, dtype=torch.bool).triu(1)
        mixed = scores.masked_fill(future, -math.inf).softmax(dim=-1) @ value
        return self.wo(mixed.transpose(1, 2).flatten(2))


class _FeedForward(nn.Module):
    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.w1 = nn.Linear(width, hidden, bias=False)
        self.w2 = nn.Linear(hidden, width, bias=False)
        self.w3 = nn.Linear(width, hidden, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.w2(F.silu(self.w1(x)) * self.w3(x))


def _rotated(x: Tensor) -> Tensor:
    """Pair k at position p turned by p · 10000^(-2k / size), shape (n, heads, length, size)."""
    length, size = x.shape[-2:]
    rate = 10000.0 ** (-torch.arange(0, size, 2, dtype=x.dtype, device=x.device) / size)
    angle = torch.arange(length, dtype=x.dtype, device=x.device)[:, None] * rate
    even, odd = x[..., ::2], x[..., 1::2]
    turned = (even * angle.cos() - odd * angle.sin(), even * angle.sin() + odd * angle.cos())
    return torch.stack(turned, dim=-1).flatten(-2)


class Tokenizer:
    """Byte-pair encoding by scores: of all neighbours that form a known piece, the best joins.

    Args:
        path: A llama2.c tokenizer file: the longest length, then score, length and bytes of
            every piece.

    Raises:
        ValueError: If the file is cut short.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        content, at = Path(path).expanduser().read_bytes(), 4
        self.pieces: list[bytes] = []
        self._scores: list[float] = []
        while at < len(content):
            if at + 8 > len(content):
                raise ValueError(f"{path} ends within a piece; it is no llama2.c tokenizer.")
            score, length = struct.unpack_from("<fi", content, at)
            at += 8 + length
            if length < 0 or at > len(content):
                raise ValueError(f"{path} ends within a piece; it is no llama2.c tokenizer.")
            self.pieces.append(content[at - length : at])
            self._scores.append(score)
        self._numbers = {piece: number for number, piece in enumerate(self.pieces)}

    def encode(self, text: str) -> list[int]:
        """The tokens of a text, beginning with `BEGIN`; unknown characters become bytes."""
        tokens: list[int] = []
        for character in " " + text:
            piece = character.encode()
            known = self._numbers.get(piece)
            tokens += [byte + _FIRST_BYTE for byte in piece] if known is None else [known]
        while True:
            joined = [
                (-self._scores[number], at, number)
                for at, pair in enumerate(itertools.pairwise(tokens))
                if (number := self._numbers.get(b"".join(self.pieces[t] for t in pair))) is not None
            ]
            if not joined:
                return [BEGIN, *tokens]
            _, at, number = min(joined)
            tokens[at : at + 2] = [number]


def padded(texts: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Token lists as one tensor, shape (texts, longest), and which entries are tokens."""
    length = max(map(len, texts))
    tokens = torch.zeros(len(texts), length, dtype=torch.int64)
    real = torch.zeros(len(texts), length, dtype=torch.bool)
    for row, text in enumerate(texts):
        tokens[row, : len(text)] = torch.tensor(text)
        real[row, : len(text)] = True
    return tokens, real


def next_token_loss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Σ cross-entropy over the predicted tokens, in nats, and their number: (sum, weight).

    Every token counts the same, so a short text counts less than a long one and padding nothing.
    """
    tokens, real = batch
    logits, wanted, counted = model(tokens[:, :-1]), tokens[:, 1:], real[:, 1:]
    each = F.cross_entropy(logits.flatten(0, 1), wanted.flatten(), reduction="none")
    each = each.view_as(wanted)
    return (each * counted).sum(), counted.sum()
