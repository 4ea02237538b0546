"""What stands out in a run: numbers beside thresholds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

import numpy as np
from jaxtyping import Bool, Float64

from landscape.base.result import Result


@dataclass(frozen=True, kw_only=True, eq=False)
class Diagnosis(Result):
    """Checks of one run, each a number beside a threshold.

    What it is not: a proof. A threshold is a convention, whose source stands beside it; a number
    that could not be measured is NaN and stands out nowhere.

    Attributes:
        name: The run.
        optimizer: Its optimizer; may be empty.
        check: What was looked at.
        value: The number, shape (check,).
        error: Its standard error; zero where it is exact, NaN where it is unknown.
        threshold: Beyond which it stands out.
        found: Whether it does.
        told: For every check what was measured (``sentence``), what to try (``remedy``), where the
            threshold comes from (``source``), and what to draw (``plot``).
        settings: Which run.
        provenance: Software, command, time.

    >>> import landscape as ls
    >>> file = ls.record_run(ls.Run("function/quadratic", "gd", lr=0.03, steps=30), "gd.h5")
    >>> ls.diagnose(ls.Trajectory(file)).standing_out  # its rate is above 2 / 100
    ('divergence', 'high floor', 'rate too high', 'growing weights')
    """

    schema: ClassVar[str] = "landscape/diagnosis"

    name: str
    optimizer: str
    check: Annotated[tuple[str, ...], "check"]
    value: Float64[np.ndarray, " check"]
    error: Float64[np.ndarray, " check"]
    threshold: Float64[np.ndarray, " check"]
    found: Bool[np.ndarray, " check"]
    told: dict[str, Any]
    settings: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)

    @property
    def standing_out(self) -> tuple[str, ...]:
        """Names of the checks that stand out."""
        return tuple(name for name, found in zip(self.check, self.found, strict=True) if found)

    def sentences(self) -> list[str]:
        """One line for each finding, or one that says that nothing stands out."""
        lines = []
        for name, value, error, threshold, found in zip(
            self.check, self.value, self.error, self.threshold, self.found, strict=True
        ):
            if found:
                told = self.told[name]
                unsure = f" ± {error:.1g}" if error > 0 else ""
                lines.append(
                    f"{name}: {told['sentence']} ({value:.3g}{unsure}; threshold {threshold:g}, "
                    f"{told['source']}). Try: {told['remedy']}. Look: {told['plot']}"
                )
        known = int(np.isfinite(self.value).sum())
        return lines or [f"nothing stands out among {known} checks of {len(self.check)}"]

    def as_dict(self) -> dict[str, dict[str, Any]]:
        """By check, in what JSON knows: numbers (None: unknown), whether it stands out, words."""
        numbers = zip(self.check, self.value, self.error, self.threshold, self.found, strict=True)
        return {
            name: {
                "value": float(value) if np.isfinite(value) else None,
                "error": float(error) if np.isfinite(error) else None,
                "threshold": float(threshold),
                "found": bool(found),
                **self.told[name],
            }
            for name, value, error, threshold, found in numbers
        }

    def __str__(self) -> str:
        """What `print` shows: the run and its sentences."""
        return "\n  ".join([f"{self.name}:", *self.sentences()])
