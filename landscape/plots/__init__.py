"""Figures: one file per result; Axes in, Axes out."""
