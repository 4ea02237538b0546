"""Recorders for training libraries."""
