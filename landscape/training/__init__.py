"""Training runs by name."""
