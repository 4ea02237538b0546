"""All situations, by importing the files that hold them."""

from __future__ import annotations

from importlib import import_module

from strangers.situation import SITUATIONS

__all__ = ["SITUATIONS"]

KINDS = (
    "losses",
    "remembered",
    "reached",
    "returned",
    "language",
    "data",
    "arithmetic",
    "curvature",
    "loops",
    "checkpoints",
    "files",
)

for kind in KINDS:
    import_module(f"strangers.{kind}")
