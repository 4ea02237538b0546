"""Batch-norm and precision policies."""
