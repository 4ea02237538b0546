"""How points are evaluated: one strategy a file, and the choice between them."""
