"""Surfaces at a fraction of the cost: fewer points, fewer samples, and a stated error.

`levels`: nested grids, and what coarser points predict of finer ones. `rounds`: samples in a
random order common to all points, taken in growing rounds, the first of them everywhere as scouts;
`samples` are those of a real objective. `refine`: points from coarse to fine, measured where the
prediction is uncertain. `control`: a few points on all samples, by which the others are corrected.
`check`: random points on all samples that nothing was fitted to. `surface` puts them together.
"""
