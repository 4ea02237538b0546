"""All situations, by importing the files that hold them."""

from __future__ import annotations

from strangers import curvature, losses  # noqa: F401
from strangers.situation import SITUATIONS

__all__ = ["SITUATIONS"]
