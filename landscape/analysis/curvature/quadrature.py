"""Traces and densities of a symmetric matrix from random vectors, beside pairs already known."""

from __future__ import annotations

import numpy as np

from landscape.analysis.curvature.krylov import Krylov, Product


def deflated(product: Product, vectors: np.ndarray) -> Product:
    """V -> P H P v with P = I - UᵀU, for orthonormal rows U."""

    def project(v: np.ndarray) -> np.ndarray:
        for _ in range(2):
            v = v - (vectors @ v) @ vectors
        return v

    return lambda v: project(product(project(v)))


def probed(
    product: Product, size: int, vectors: np.ndarray, parts: list[slice], *, probes: int, seed: int
) -> np.ndarray:
    """Hutchinson's estimates of what the known pairs leave of the trace, shape (probes, parts).

    Source: Hutchinson 1990; deflation: Girard 1987, Gambhir et al. 2017, arXiv:1603.05988.
    """
    random = np.random.default_rng(seed)
    rest = deflated(product, vectors)
    found = []
    for _ in range(probes):
        z = random.choice([-1.0, 1.0], size)
        each = z * rest(z)
        found.append([each[part].sum() for part in parts])
    return np.array(found).reshape(probes, len(parts))


def gauss(
    product: Product, size: int, vectors: np.ndarray, *, steps: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of one run of stochastic Lanczos quadrature beside known pairs.

    Returns:
        Both of shape (steps,): Σ weights f(nodes) estimates tr f(PHP) / (n - k) on what the k
        known pairs leave. A run that ends early has zero weights at the end.

    Source: Ubaru, Chen & Saad 2017; Ghorbani et al. 2019, arXiv:1901.10159.
    """
    rest = deflated(product, vectors)
    start = np.random.default_rng(seed).standard_normal(size)
    for _ in range(2):
        start -= (vectors @ start) @ vectors
    space = Krylov(rest, size, start)
    for _ in range(min(steps, size - len(vectors))):
        if space.grow() == 0.0:
            break
    value, weight = np.linalg.eigh(space.matrix)
    nodes, weights = np.zeros(steps), np.zeros(steps)
    nodes[: len(value)], weights[: len(value)] = value, weight[0] ** 2
    return nodes, weights


def orthonormal(vectors: np.ndarray) -> np.ndarray:
    """Rows made orthonormal in double precision, each near the one it was."""
    if not len(vectors):
        return vectors.astype(np.float64)
    q, r = np.linalg.qr(vectors.astype(np.float64).T)
    return (q * np.sign(np.diag(r))).T
