"""The ends of the Hessian's spectrum at a point."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

import numpy as np
from jaxtyping import Bool, Float32, Float64

from landscape.base.result import Result
from landscape.results.conditions import Conditions
from landscape.results.words import samples_of


@dataclass(frozen=True, kw_only=True, eq=False)
class Spectrum(Result):
    """Eigenpairs of the Hessian H of the mean loss: the largest and the smallest.

    What it is not: a property of the function the net computes. Scaling one layer up and the next
    down leaves a rectifier net's function as it is and changes every number here (Dinh et al.
    2017, arXiv:1703.04933): it compares points of one run, in one parametrisation.

    Attributes:
        origin: The point θ, shape (parameter,).
        value: Eigenvalues: `top` ones by decreasing value, then the smallest by increasing value.
        vector: Unit eigenvectors; zero outside the block, where one was asked for. Their signs are
            chosen so that the loss does not rise along them to first order. Vectors of eigenvalues
            that are nearer to each other than their residuals are any basis of what they span.
        residual: ‖H u - λ u‖, at least the floor: an eigenvalue lies within it of λ, and usually
            within its square over the gap to the next.
        converged: Whether the residual is below the setting `tolerance` times |λ|, or below the
            setting `zero` times the largest |λ| (zero within the residual).
        standard_error: Of uᵀHu over the choice of samples; 0 on the whole data set. On a subset the
            largest eigenvalues are also biased upward (the smallest downward), which it leaves out.
        gradient_share: ⟨u, g⟩² / ‖g‖² of the gradient g.
        tensors: Names of the tensors.
        tensor_share: ‖u‖² of each pair within each tensor.
        top: How many pairs are of the upper end.
        products: Products with the Hessian that it took.
        floor: Asymmetry of the products, the floor of the arithmetic.
        distinct_above: Larger eigenvalues that are not among the pairs (further copies of one that
            is) are excluded above this, at 99 %; infinity where that was not looked at.
        loss: The loss at the point.
        gradient_norm: ‖g‖.
        lower_bound: uᵀHu of the first pair on all data, where the pairs are of a subset: the
            largest eigenvalue on all data is not below it. NaN where it was not measured.
        settings: Tolerance, seed, block, data, batch-norm policy, precision.
        provenance: Software, command, time.

    >>> import landscape as ls
    >>> task = ls.load_task("function/quadratic")  # ½ Σ h_i x_i², h from 1 to 100, at x = 1
    >>> objective = ls.Objective(task.model, task.loss, task.train)
    >>> ls.hessian_spectrum(objective, top=2, bottom=1).value.round(2).tolist()
    [100.0, 59.95, 1.0]
    """

    schema: ClassVar[str] = "landscape/spectrum"

    origin: Float32[np.ndarray, " parameter"]
    value: Float64[np.ndarray, " pair"]
    vector: Float32[np.ndarray, "pair parameter"]
    residual: Float64[np.ndarray, " pair"]
    converged: Bool[np.ndarray, " pair"]
    standard_error: Float64[np.ndarray, " pair"]
    gradient_share: Float64[np.ndarray, " pair"]
    tensors: Annotated[tuple[str, ...], "tensor"]
    tensor_share: Float64[np.ndarray, "pair tensor"]
    top: int
    products: int
    floor: float
    distinct_above: float
    loss: float
    gradient_norm: float
    lower_bound: float
    settings: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)

    @property
    def sharpness(self) -> float:
        """λ₁, the largest eigenvalue.

        Raises:
            ValueError: If only the lower end was measured.
        """
        if not self.top:
            raise ValueError("No pair of the upper end was measured; ask for top=1.")
        return float(self.value[0])

    @property
    def labels(self) -> tuple[str, ...]:
        """What each pair is called: ``λ1``, ``λ2``, …, then ``λmin``, ``λmin+1``, …."""
        ends = (f"λmin+{i}" if i else "λmin" for i in range(len(self.value) - self.top))
        return (*(f"λ{i + 1}" for i in range(self.top)), *ends)

    @property
    def subset(self) -> bool:
        """Whether it is of some of the samples only."""
        conditions = Conditions.of(self.settings)
        return conditions.samples is not None and conditions.samples != conditions.population

    def sentences(self) -> list[str]:
        """What a reader must know, one sentence each."""
        told = []
        for name, value, residual, error, done, share in zip(
            self.labels, self.value, self.residual, self.standard_error, self.converged,
            self.gradient_share, strict=True,
        ):  # fmt: skip
            more = f", {error:.2g} by the choice of samples" if error > 0 else ""
            zero = ": zero within it" if abs(value) <= residual else ""
            late = "" if done else " (not converged)"
            told.append(
                f"{name} = {value:.6g} ± {residual:.1e}{zero}{more}{late}; {share:.1%} of the "
                "gradient"
            )
        if self.top and self.subset:
            bound = ""
            if np.isfinite(self.lower_bound):
                bound = f"; on all samples λ1 is at least {self.lower_bound:.6g}"
            told.append(
                f"measured on {samples_of(Conditions.of(self.settings))}, which biases λ1 "
                f"upward{bound}"
            )
        if self.top > 1:
            share = self.gradient_share[: self.top].sum()
            told.append(f"the top {self.top} hold {share:.1%} of the gradient")
        return told
