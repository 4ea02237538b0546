"""Small transformers: a ViT for images (arXiv:2010.11929), a GPT for text (Radford et al. 2019)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from landscape.tasks.task import Data


class Block(nn.Module):
    """Attention, then a two-layer network of four times the width, each around a shortcut.

    Layer norm stands before each part. Attention is written out, so that it can be differentiated
    twice (Hessians) and evaluated for many weights at once.

    Args:
        width: Features per token.
        heads: Attention heads; must divide `width`.
        causal: Whether a token sees only itself and earlier ones.
    """

    causal: bool
    heads: int
    norm1: nn.LayerNorm
    norm2: nn.LayerNorm

    def __init__(self, width: int, heads: int, *, causal: bool) -> None:
        super().__init__()
        self.heads, self.causal = heads, causal
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention: nn.Linear = nn.Linear(width, 3 * width)
        self.projection: nn.Linear = nn.Linear(width, width)
        self.mlp: nn.Sequential = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Tokens of shape (samples, tokens, width) to the same shape."""
        samples, tokens, width = x.shape
        parts = self.attention(self.norm1(x)).view(samples, tokens, 3, self.heads, -1)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        scores = query @ key.transpose(-1, -2) / math.sqrt(width // self.heads)
        if self.causal:
            future = torch.ones(tokens, tokens, dtype=torch.bool, device=x.device).triu(1)
            scores = scores.masked_fill(future, -math.inf)
        mixed = (scores.softmax(dim=-1) @ value).transpose(1, 2).reshape(samples, tokens, width)
        x = x + self.projection(mixed)
        return x + self.mlp(self.norm2(x))


class ViT(nn.Module):
    """Vision transformer; the classifier reads the mean token (arXiv:2205.01580).

    Args:
        channels: Channels of the images.
        size: Width of the (square) images.
        classes: Outputs.
        patch: Width of a patch; must divide `size`.
        layers: Blocks.
        width: Features per token.
        heads: Attention heads.
    """

    def __init__(
        self,
        *,
        channels: int,
        size: int,
        classes: int,
        patch: int,
        layers: int,
        width: int,
        heads: int,
    ) -> None:
        super().__init__()
        if size % patch:
            raise ValueError(f"patch must divide the images' width {size}; got {patch}.")
        self.patches: nn.Conv2d = nn.Conv2d(channels, width, patch, stride=patch)
        self.position: nn.Parameter = nn.Parameter(0.5 * torch.randn((size // patch) ** 2, width))
        self.blocks: nn.Sequential = nn.Sequential(
            *(Block(width, heads, causal=False) for _ in range(layers))
        )
        self.norm: nn.LayerNorm = nn.LayerNorm(width)
        self.head: nn.Linear = nn.Linear(width, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Logits, shape (samples, classes)."""
        tokens = self.patches(images).flatten(2).transpose(1, 2) + self.position
        return self.head(self.norm(self.blocks(tokens)).mean(dim=1))


class GPT(nn.Module):
    """Decoder-only transformer over symbols.

    Args:
        symbols: Size of the vocabulary.
        length: Longest text.
        layers: Blocks.
        width: Features per token.
        heads: Attention heads.
    """

    def __init__(self, *, symbols: int, length: int, layers: int, width: int, heads: int) -> None:
        super().__init__()
        self.symbol: nn.Embedding = nn.Embedding(symbols, width)
        self.position: nn.Parameter = nn.Parameter(0.02 * torch.randn(length, width))
        self.blocks: nn.Sequential = nn.Sequential(
            *(Block(width, heads, causal=True) for _ in range(layers))
        )
        self.norm: nn.LayerNorm = nn.LayerNorm(width)
        self.head: nn.Linear = nn.Linear(width, symbols, bias=False)
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=0.02)
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits of every next symbol, shape (samples, tokens, symbols)."""
        x = self.symbol(tokens) + self.position[: tokens.shape[1]]
        return self.head(self.norm(self.blocks(x)))


def vit(data: Data, *, layers: int = 4, width: int = 64, heads: int = 4) -> ViT:
    """A `ViT` for the images of `data`, with 4×4 patches (2×2 for images under 16 pixels)."""
    _, channels, _, size = data.train[0].shape
    patch = 4 if size >= 16 else 2
    return ViT(
        channels=channels,
        size=size,
        classes=data.classes,
        patch=patch,
        layers=layers,
        width=width,
        heads=heads,
    )


def gpt(data: Data, *, layers: int = 4, width: int = 128, heads: int = 4) -> GPT:
    """A `GPT` for the symbols and text length of `data`."""
    length = data.train[0].shape[1]
    return GPT(symbols=data.classes, length=length, layers=layers, width=width, heads=heads)
