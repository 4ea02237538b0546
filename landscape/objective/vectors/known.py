"""Where the lines and planes of every kind lie: the kinds that there are, one import each."""

from __future__ import annotations

from landscape.objective.vectors import mixtures, recipes
from landscape.objective.vectors.lazy import vectors_of

__all__ = ["mixtures", "recipes", "vectors_of"]
