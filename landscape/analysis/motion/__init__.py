"""How a run moved."""
