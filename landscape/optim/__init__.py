"""Optimizers by name; see `registry`."""
