"""The trace of the Hessian, by random probes beside the eigenpairs that are known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from landscape.analysis.curvature.quadrature import probed
from landscape.analysis.curvature.spectrum import hessian_spectrum, known_pairs
from landscape.base.progress import Interrupted, Progress
from landscape.base.provenance import provenance
from landscape.base.statistics import recorded_with
from landscape.objective.statistics import warn_if_foreign, whose
from landscape.results.hessian_trace import HessianTrace
from landscape.results.spectrum import Spectrum

if TYPE_CHECKING:
    from landscape.objective.objective import Objective

PAIRS = 12


def hessian_trace(
    objective: Objective,
    vector: np.ndarray | None = None,
    *,
    spectrum: Spectrum | None = None,
    probes: int = 30,
    seed: int = 0,
    tensors: str | None = None,
    buffers: np.ndarray | None = None,
) -> HessianTrace:
    """Measure tr H, the sum of all eigenvalues, and that of every tensor's diagonal block.

    tr H = Σ λ_i over the known pairs + E[zᵀPHPz], with P the projection off their vectors and z of
    random signs. The pairs hold most of the variance, so few probes do.

    Args:
        objective: Whose loss; weight decay would add its λ times the number of parameters.
        vector: The point, shape (P,); default: the model's parameters.
        spectrum: What is known of this point; default: its top 12 are measured first.
        probes: Random vectors, at least 2; one product each.
        seed: Of the random vectors.
        tensors: The block, as for `hessian_spectrum`.
        buffers: Recorded buffers to measure with.

    Returns:
        The trace with its standard error.

    Raises:
        ValueError: If the spectrum is of another point, or there are too few probes.
        Interrupted: On Ctrl-C.

    >>> import landscape as ls
    >>> task = ls.load_task("function/quadratic")  # ½ Σ h_i x_i², h from 1 to 100, at x = 1
    >>> objective = ls.Objective(task.model, task.loss, task.train)
    >>> trace = ls.hessian_trace(objective, probes=4)
    >>> round(trace.value, 2)  # Σ h_i; exact, the Hessian being diagonal
    248.18
    """
    if probes < 2:
        raise ValueError(f"probes must be at least 2, for an error; got {probes}.")
    point = recorded_with(vector)
    warn_if_foreign(objective.problem, point, buffers)
    vector = objective.parameters() if vector is None else objective.matched(vector)
    if spectrum is None:
        spectrum = hessian_spectrum(
            objective, vector, top=PAIRS, bottom=0, tolerance=1e-2, seed=seed, tensors=tensors,
            buffers=buffers,
        )  # fmt: skip
    value, _, whole = known_pairs(objective, vector, spectrum, tensors)
    try:
        with (
            objective.hessian(vector, buffers=buffers, tensors=tensors) as hessian,
            Progress("trace", probes, unit="product") as progress,
        ):
            rows = np.stack([hessian.block(v) for v in whole])

            def product(v: np.ndarray) -> np.ndarray:
                progress.advance()
                return hessian.matvec(v)

            found = probed(
                product, hessian.shape[0], rows, hessian.slices, probes=probes, seed=seed
            )
    except KeyboardInterrupt:
        raise Interrupted from None
    known = np.stack([(value[:, None] * rows[:, s] ** 2).sum() for s in hessian.slices])
    error = found.std(axis=0, ddof=1) / np.sqrt(probes)
    total = found.sum(axis=1)
    settings = {**whose(objective.problem, point, buffers), **objective.settings, "seed": seed}
    if tensors is not None:
        settings["tensors"] = tensors
    return HessianTrace(
        value=float(value.sum() + total.mean()),
        standard_error=float(total.std(ddof=1) / np.sqrt(probes)),
        tensors=tuple(entry.name for entry in hessian.entries),
        tensor_value=known + found.mean(axis=0),
        tensor_error=error,
        known=len(value),
        probes=probes,
        settings=settings,
        provenance=provenance(),
    )
