"""Recompute somebody else's loss surface, point by point, and report the largest difference.

A public experiment made with the 2018 tool of Li et al. (arXiv:1712.09913): a 784-64-64-64-10
network, its two stored filter-normalized directions, and its stored 25 x 25 surface over all
60,000 MNIST training images. Needs the three files and MNIST below $LANDSCAPE_DATA or data/.

    python scripts/recompute_mnist_surface.py
"""
