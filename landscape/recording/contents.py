"""Contents: what a recording holds of every state and step, and how such a file begins."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from landscape.base.layout import Layout
from landscape.base.runs.format import HISTOGRAM_BINS
from landscape.base.runs.trajectory import NoStateError
from landscape.base.runs.writer import RowType, TrajectoryWriter
from landscape.recording.numbers.motion import NAMES
from landscape.recording.numbers.random_state import random_state
from landscape.recording.resume import Resumable, resumable
from landscape.recording.size import Size
from landscape.recording.snapshot import Snapshot


@dataclass(frozen=True)
class Contents:
    """What is recorded.

    Attributes:
        snapshot: What is copied of a state.
        frozen: The parameters that are not trained.
        dtype: Precision of the rows; None: that of the model.
        motion: Whether norms, cosines and distances are.
        random_state: Whether random generators are.
        sketch: Size and seed of the random projection; None: there is none.
        gradient_histogram: Whether the sizes of the gradient's entries are.
    """

    snapshot: Snapshot
    frozen: Layout
    dtype: RowType | None
    motion: bool
    random_state: bool
    sketch: tuple[int, int] | None
    gradient_histogram: bool

    @property
    def _double(self) -> set[str]:
        staged = self.snapshot.staged.items()
        double = {name for name, part in staged if part.dtype == torch.float64}
        if self.snapshot.width(self.frozen) == torch.float64:
            double.add("frozen")
        return double

    @property
    def _rows(self) -> RowType:
        return self.dtype or ("float64" if "parameters" in self._double else "float32")

    def _layout(self, name: str) -> Layout:
        staged = self.snapshot.staged
        return staged[name].layout if name in staged else Layout(())

    def size(self, *, every: int | None, steps: int | None) -> Size:
        """How large the file becomes."""
        layout = self._layout("parameters")
        staged = self.snapshot.staged.items()
        state = sum(part.bytes for name, part in staged if name != "gradient")
        state -= 2 * layout.size * (self.dtype == "float16-delta")
        numbers = 8 * (12 + 5 * len(layout) * self.motion)
        numbers += 4 * (self.sketch[0] if self.sketch else 0)
        numbers += 4 * HISTOGRAM_BINS * self.gradient_histogram
        fixed = self.snapshot.width(self.frozen).itemsize * self.frozen.size
        return Size(state, numbers, every=every, steps=steps, fixed=fixed)

    def resumable(self, path: Path, live: np.ndarray, at: int | None) -> Resumable | None:
        """Where a file that is there goes on; None when nothing was recorded in it.

        Raises:
            ValueError: If model or settings do not fit the file.
        """
        holds = {
            "dtype": self._rows,
            "evaluation": "evaluation" in self.snapshot.staged,
            "second_moment": "second_moment" in self.snapshot.staged,
            "random_state": self.random_state,
            "sketch": self.sketch,
            "gradient_histogram": self.gradient_histogram,
        }
        layouts = {name: self._layout(name) for name in ("parameters", "buffers", "beside")}
        try:
            return resumable(path, layouts, live, step=at, holds=holds)
        except NoStateError:
            return None

    def create(
        self, path: str | os.PathLike[str], *, run: Mapping[str, Any], overwrite: bool
    ) -> TrajectoryWriter:
        """Make the file.

        Raises:
            FileExistsError: If it exists and `overwrite` is False.
            OSError: If it cannot be created.
        """
        cuda = self.snapshot.device.type == "cuda"
        return TrajectoryWriter(
            path,
            self._layout("parameters"),
            buffers_layout=self._layout("buffers"),
            beside_layout=self._layout("beside"),
            frozen=(self.frozen, self.snapshot.values(self.frozen)),
            run=run,
            overwrite=overwrite,
            dtype=self._rows,
            double=self._double,
            layers=NAMES if self.motion else (),
            evaluation="evaluation" in self.snapshot.staged,
            second_moment="second_moment" in self.snapshot.staged,
            random_state=random_state(cuda=cuda).size if self.random_state else 0,
            sketch=self.sketch,
            gradient_histogram=self.gradient_histogram,
        )
