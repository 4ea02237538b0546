"""Vectors that are not held: their tensors are made, or read, when they are asked for."""
