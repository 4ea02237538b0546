"""The ends of the Hessian's spectrum: its largest and smallest eigenvalues, with vectors."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.analysis.curvature.aim import zero_of
from landscape.analysis.curvature.krylov import Product
from landscape.analysis.curvature.lanczos import Pairs, Stopped, extremes
from landscape.analysis.curvature.quadrature import orthonormal
from landscape.base.progress import Interrupted
from landscape.base.provenance import provenance
from landscape.base.statistics import recorded_with
from landscape.objective.statistics import warn_if_foreign, whose
from landscape.objective.strategies.memory import free_bytes
from landscape.results.conditions import Conditions
from landscape.results.spectrum import Spectrum

if TYPE_CHECKING:
    from landscape.objective.objective import Objective
    from landscape.objective.second_order.hessian import Hessian

_SHARE = 0.25  # of the free memory that the Krylov vectors may take


def hessian_spectrum(
    objective: Objective,
    vector: np.ndarray | None = None,
    *,
    top: int = 5,
    bottom: int = 2,
    tolerance: float = 1e-3,
    zero: float | None = None,
    seed: int = 0,
    tensors: str | None = None,
    buffers: np.ndarray | None = None,
    samples: int | None = None,
    most: int = 1000,
    start: np.ndarray | None = None,
    ties: bool = True,
) -> Spectrum:
    """Measure the largest and smallest eigenvalues of the Hessian of the loss.

    One Krylov subspace serves both ends. It is kept orthogonal in double precision and grows until
    the residual of every wanted pair is small, and until further copies of the eigenvalues that
    were found (which one random start cannot see) are found too or unlikely.

    Args:
        objective: Whose loss; weight decay is not part of it (it adds its λ to every eigenvalue).
        vector: The point, shape (P,); default: the model's parameters.
        top: How many of the largest.
        bottom: How many of the smallest.
        tolerance: Residual that is accepted, as a share of the pair's own |λ|.
        zero: Residual that is accepted of any pair, as a share of the largest |λ|: a smaller λ is
            zero within it. Default: 1e-4, or the tolerance where that is smaller. The smallest
            eigenvalues lie at the edge of a dense bulk and take most of the products; 1e-3 takes
            about half as many, and knows a λmin of -1 % of λ1 to a tenth of itself.
        seed: Of the random vectors, and of the subset.
        tensors: A regular expression: the Hessian's block of the tensors whose names it finds.
        buffers: Recorded buffers to measure with; default: the model's own.
        samples: Measure on a random subset of the objective's samples, and the first pair once on
            all of them, for `Spectrum.lower_bound`.
        most: Products at most; pairs that did not converge by then say so.
        start: Where to begin, such as an eigenvector of a point nearby, shape (P,).
        ties: Look for further copies of the eigenvalues, which one random start cannot see; about
            a fifth of the products at most. Without it, as elsewhere, an eigenvalue that is there
            twice may be told once (`Spectrum.distinct_above` is infinite then).

    Returns:
        The pairs, with residuals and errors.

    Raises:
        ValueError: If nothing is asked for, or the loss has no Hessian (the message says why).
        Interrupted: On Ctrl-C; its `partial` holds the pairs with the residuals they had.

    Source: Lanczos 1950; Paige 1972; the products: Pearlmutter 1994.

    >>> import torch
    >>> from torch import nn
    >>> import landscape as ls
    >>> def loss(model, batch):  # ½ (w₁² + 3 w₂²)
    ...     w = model.weight[0]
    ...     return 0.5 * (w[0] ** 2 + 3 * w[1] ** 2) + 0 * batch.sum()
    >>> objective = ls.Objective(nn.Linear(2, 1, bias=False), loss, torch.zeros(3, 1))
    >>> hessian_spectrum(objective, top=1, bottom=1).value.round(6).tolist()
    [3.0, 1.0]
    """
    if top < 0 or bottom < 0 or top + bottom == 0:
        raise ValueError(f"top and bottom must not be negative, nor both 0; got {top}, {bottom}.")
    if not 0 < tolerance < 1:
        raise ValueError(f"tolerance must be between 0 and 1; got {tolerance}.")
    if zero is not None and not 0 < zero < 1:
        raise ValueError(f"zero must be between 0 and 1; got {zero}.")
    if most < 1:
        raise ValueError(f"most must be at least 1; got {most}.")
    if samples is not None and not samples > 0:
        raise ValueError(f"samples must be at least 1; got {samples}.")
    point = recorded_with(vector)
    warn_if_foreign(objective.problem, point, buffers)
    vector = objective.parameters() if vector is None else objective.matched(vector)
    part = objective
    if samples is not None and samples < objective.data.size:
        part = objective.subset(samples, seed=seed)
    settings = {
        **whose(objective.problem, point, buffers),
        **part.settings,
        "tolerance": tolerance,
        "zero": zero_of(tolerance, zero),
        "seed": seed,
        **({} if ties else {"ties": False}),
    }
    if tensors is not None:
        settings["tensors"] = tensors
    found: Spectrum | None = None
    try:
        with part.hessian(vector, buffers=buffers, tensors=tensors) as hessian:
            try:
                pairs = extremes_of(
                    hessian, top=top, bottom=bottom, tolerance=tolerance, zero=zero, seed=seed,
                    most=most, start=None if start is None else hessian.block(start), ties=ties,
                )  # fmt: skip
            except Stopped as stop:
                if stop.pairs is not None:
                    found = _result(hessian, vector, stop.pairs, top, settings)
                raise
            found = _result(hessian, vector, pairs, top, settings)
            found = replace(found, standard_error=_errors(hessian, pairs, part))
        if part is not objective and found.top:
            bound = _on_all(objective, vector, buffers, tensors, pairs.vector[0])
            found = replace(found, lower_bound=bound)
    except KeyboardInterrupt:
        raise Interrupted(found) from None
    return found


def extremes_of(
    hessian: Hessian,
    *,
    top: int,
    bottom: int,
    tolerance: float,
    zero: float | None = None,
    seed: int = 0,
    most: int = 1000,
    start: np.ndarray | None = None,
    ties: bool = True,
    product: Product | None = None,
) -> Pairs:
    """The pairs of a Hessian, or of a product made of it, in a quarter of the free memory."""
    size = hessian.shape[0]
    free = free_bytes(hessian.device)
    room = 400 if free is None else int(_SHARE * free / (8 * size))
    try:
        return extremes(
            product or hessian.matvec, size, top=top, bottom=bottom, tolerance=tolerance, zero=zero,
            seed=seed, start=start, gradient=hessian.gradient if product is None else None,
            most=most, room=room, ties=ties,
        )  # fmt: skip
    except FloatingPointError:
        raise ValueError(
            f"The Hessian is not finite at this point (its loss is {hessian.loss:.4g}); choose a "
            "point where loss and gradient are finite."
        ) from None


def known_pairs(
    objective: Objective, vector: np.ndarray, spectrum: Spectrum | None, tensors: str | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values, residuals and orthonormal vectors of a spectrum of this very point.

    Raises:
        ValueError: If it is of another point, block or data.
    """
    if spectrum is None:
        return np.zeros(0), np.zeros(0), np.zeros((0, vector.size))
    other = ""
    if spectrum.origin.shape != vector.shape or not np.array_equal(
        spectrum.origin, vector.astype(np.float32)
    ):
        other = "point"
    elif spectrum.settings.get("tensors") != tensors:
        other = f"block of tensors ({spectrum.settings.get('tensors')!r})"
    elif Conditions.of(spectrum.settings).data_hash != objective.problem.conditions.data_hash:
        other = "data"
    if other:
        raise ValueError(f"The spectrum is of another {other}; measure it here first.")
    return spectrum.value, spectrum.residual, orthonormal(spectrum.vector)


def _errors(hessian: Hessian, pairs: Pairs, objective: Objective) -> np.ndarray:
    """Standard errors of uᵀHu from the spread between batches; 0 on the whole data."""
    size, population = objective.data.size, objective.data.population
    if size >= population:
        return np.zeros(len(pairs.value))
    values, weights = hessian.quotients(pairs.vector)
    if len(weights) < 2:
        return np.full(len(values), np.nan)
    mean = (values @ weights) / weights.sum()
    spread = (((values - mean[:, None]) * weights) ** 2).sum(axis=1)
    count = len(weights)
    return np.sqrt(spread * count / (count - 1) * (1 - size / population)) / weights.sum()


def _on_all(
    objective: Objective,
    vector: np.ndarray,
    buffers: np.ndarray | None,
    tensors: str | None,
    direction: np.ndarray,
) -> float:
    with objective.hessian(vector, buffers=buffers, tensors=tensors) as hessian:
        return float(direction @ hessian.matvec(direction))


def _result(
    hessian: Hessian, vector: np.ndarray, pairs: Pairs, top: int, settings: dict[str, Any]
) -> Spectrum:
    gradient = hessian.gradient
    along = pairs.vector @ gradient
    largest = pairs.vector[np.arange(len(along)), np.abs(pairs.vector).argmax(axis=1)]
    flat = np.abs(along) <= 1e-6 * np.linalg.norm(gradient)
    sign = np.where(np.where(flat, largest, -along) < 0, -1.0, 1.0)
    squares = pairs.vector**2
    norm = float(np.linalg.norm(gradient))
    return Spectrum(
        origin=vector,
        value=pairs.value,
        vector=np.stack([hessian.embed(v) for v in sign[:, None] * pairs.vector]),
        residual=pairs.residual,
        converged=pairs.converged,
        standard_error=np.full(len(along), np.nan),
        gradient_share=(along / norm) ** 2 if norm > 0 else np.full(len(along), np.nan),
        tensors=tuple(entry.name for entry in hessian.entries),
        tensor_share=np.stack([squares[:, s].sum(axis=1) for s in hessian.slices], axis=1),
        top=min(top, len(along)),
        products=pairs.products,
        floor=pairs.floor,
        distinct_above=pairs.distinct_above,
        loss=hessian.loss,
        gradient_norm=norm,
        lower_bound=np.nan,
        settings=settings,
        provenance=provenance(),
    )
