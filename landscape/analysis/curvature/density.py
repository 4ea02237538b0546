"""The density of the Hessian's eigenvalues, by quadrature beside the pairs that are known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from landscape.analysis.curvature.quadrature import gauss
from landscape.analysis.curvature.spectrum import known_pairs
from landscape.base.progress import Interrupted, Progress
from landscape.base.provenance import provenance
from landscape.base.statistics import recorded_with
from landscape.objective.statistics import warn_if_foreign, whose
from landscape.results.spectral_density import SpectralDensity
from landscape.results.spectrum import Spectrum

if TYPE_CHECKING:
    from landscape.objective.objective import Objective


def spectral_density(
    objective: Objective,
    vector: np.ndarray | None = None,
    *,
    spectrum: Spectrum | None = None,
    runs: int = 5,
    steps: int = 40,
    seed: int = 0,
    tensors: str | None = None,
    buffers: np.ndarray | None = None,
) -> SpectralDensity:
    """Measure how the Hessian's eigenvalues are distributed (stochastic Lanczos quadrature).

    Args:
        objective: Whose loss.
        vector: The point, shape (P,); default: the model's parameters.
        spectrum: Pairs known at this point; they are taken out, and come back as themselves.
        runs: Random start vectors; more runs help more than more steps.
        steps: Products of each run.
        seed: Of the random vectors.
        tensors: The block, as for `hessian_spectrum`.
        buffers: Recorded buffers to measure with.

    Returns:
        Nodes and weights of every run, and the known eigenvalues.

    Raises:
        ValueError: If the spectrum is of another point, or runs or steps are below 1.
        Interrupted: On Ctrl-C; its `partial` has the finished runs (None: there is none).

    Source: Ghorbani, Krishnan & Xiao 2019, arXiv:1901.10159.

    >>> import landscape as ls
    >>> task = ls.load_task("function/quadratic")  # ½ Σ h_i x_i², h from 1 to 100, at x = 1
    >>> objective = ls.Objective(task.model, task.loss, task.train)
    >>> density = ls.spectral_density(objective, runs=2, steps=10)
    >>> density.weight.sum(axis=1).round(6).tolist(), density.size
    ([1.0, 1.0], 10)
    """
    if runs < 1 or steps < 1:
        raise ValueError(f"runs and steps must be at least 1; got {runs} and {steps}.")
    point = recorded_with(vector)
    warn_if_foreign(objective.problem, point, buffers)
    vector = objective.parameters() if vector is None else objective.matched(vector)
    value, residual, whole = known_pairs(objective, vector, spectrum, tensors)
    settings = {**whose(objective.problem, point, buffers), **objective.settings, "seed": seed}
    if tensors is not None:
        settings["tensors"] = tensors
    found: list[tuple[np.ndarray, np.ndarray]] = []
    size = 0

    def result() -> SpectralDensity:
        nodes, weights = (np.stack(part) for part in zip(*found, strict=True))
        return SpectralDensity(
            node=nodes,
            weight=weights * (size - len(value)) / size,
            known=value,
            known_residual=residual,
            size=size,
            settings=settings,
            provenance=provenance(),
        )

    try:
        with (
            objective.hessian(vector, buffers=buffers, tensors=tensors) as hessian,
            Progress("density", runs, unit="run") as progress,
        ):
            size = hessian.shape[0]
            rows = np.array([hessian.block(v) for v in whole]).reshape(-1, size)
            for run in range(runs):
                found.append(gauss(hessian.matvec, size, rows, steps=steps, seed=seed + run))
                progress.advance()
    except KeyboardInterrupt:
        raise Interrupted(result() if found else None) from None
    return result()
