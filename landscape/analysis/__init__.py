"""Measuring: one file per result, with the function that makes it."""
