"""Trajectories: the parameters an optimizer visited, one HDF5 file per run; see `format`."""

from __future__ import annotations

import os
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import h5py
import numpy as np

from landscape.base.files import SchemaError, damage_told, expanded, opened
from landscape.base.layout import Layout
from landscape.base.runs.checked import checked_counts, dataset
from landscape.base.runs.head import Head, equal, identity_of, read_head
from landscape.base.runs.reading import read
from landscape.base.shown import brief, picture_of, table
from landscape.base.statistics import digest_of
from landscape.base.vector import Vector

if TYPE_CHECKING:
    import pandas


class NoStateError(SchemaError):
    """A trajectory file in which nothing was recorded yet."""


class Trajectory(Head):
    """The states of one recorded run, read lazily.

    Args:
        path: A file written by a `Recorder` (or a `TrajectoryWriter`).

    Attributes:
        path: The file.
        layout: Names, shapes and kinds of the parameters.
        buffers_layout: The same for the stored buffers; empty when there are none.
        beside_layout: The same for what moves beside the parameters; empty when there is nothing.
        frozen_layout: The same for parameters that were not trained; empty when there are none.
        steps: Optimizer step of every state, int64, shape (states,).
        updates: Number of recorded updates (optimizer steps).
        scalars: Name to float64 array of shape (updates,); see the format above.
        layer_scalars: Names of the numbers recorded for every tensor; read with `layers`.
        run: How the run was made; ``{}`` when not recorded.
        provenance: Software, command and time of the recording.
        complete: Whether the recording was closed properly.
        live: Whether it was still being recorded when it was opened; what has come since is found
            by opening it again.
        holds: What is stored: ``dtype`` of the rows; whether there are ``buffers``,
            ``evaluation`` parameters, ``random_state``, something ``beside``, ``second_moment``;
            ``sketch``: its (size, seed) or None; whether there are ``gradient_histogram`` rows.

    Raises:
        SchemaError: If the file is not a trajectory, is damaged, or is from a newer version.

    >>> import landscape as ls
    >>> recorded = ls.Run("function/quadratic", "gd", lr=0.01, steps=8)  # ½ Σ h_i x_i²
    >>> run = ls.Trajectory(ls.record_run(recorded, "gd.h5"))
    >>> len(run), run.initial.shape, run.final.shape
    (9, (10,), (10,))
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(**vars(read_head(expanded(path))))
        self._place = self.path.absolute()  # also when the program goes to another folder
        self._open = ExitStack()
        self._file: h5py.File | None = None
        if not len(self):
            raise NoStateError(f"{path} holds no state yet; record at least one step.")
        if (np.diff(self.steps) <= 0).any():
            raise SchemaError(f"{path}: the recorded steps do not increase; the file is damaged.")

    def __repr__(self) -> str:
        held = f"{len(self)} states of {self.layout.size:,} parameters"
        path = str(self.path)
        return f"Trajectory({path if len(path) < 120 else '…' + path[-119:]!r}: {held})"

    def _repr_html_(self) -> str:
        """For notebooks: what was recorded, and a picture where matplotlib is loaded."""
        steps = f"{len(self)}, steps {self.steps[0]} to {self.steps[-1]}"
        ended = (
            "still being recorded" if self.live else "complete" if self.complete else "cut short"
        )
        rows = [
            ("file", f"{self.path.name}, {ended}"),
            ("states", steps),
            ("parameters", f"{self.layout.size:,} in {len(self.layout)} tensors"),
            *((name, brief(column, 100)) for name, column in list(self.scalars.items())[:6]),
        ]
        return table(f"Trajectory: {self.name}", rows, picture_of(self))

    def to_frame(self) -> pandas.DataFrame:
        """The numbers recorded at every update, a row each, by optimizer step (`pandas`)."""
        import pandas

        first = int(self.steps[0]) + 1
        index = pandas.RangeIndex(first, first + self.updates, name="step")
        return pandas.DataFrame(self.scalars, index=index)

    @property
    def name(self) -> str:
        """A name for legends: the run's own name or optimizer, else the file's stem."""
        return str(self.run.get("name") or self.run.get("optimizer") or self.path.stem)

    @property
    def initial(self) -> np.ndarray:
        """The first state."""
        return self.state(0)

    @property
    def final(self) -> np.ndarray:
        """The last state."""
        return self.state(-1)

    def state(self, index: int) -> np.ndarray:
        """The parameters of state `index` (may be negative), shape (P,), of type `dtype`."""
        row = self._rebuilt(self._data("parameters", range(len(self))[index]), slice(None))
        found = Vector(row, self.layout)
        if len(self.buffers_layout):
            found.recorded = partial(self.statistics, index)
        return found

    def columns(self, rows: np.ndarray | slice, columns: slice) -> np.ndarray:
        """A block of states `rows` (increasing) by parameters `columns`, like `state`."""
        if isinstance(rows, np.ndarray) and len(rows):  # h5py would make a mask of all states
            gaps = np.diff(rows)
            if len(gaps) and (gaps != gaps[0]).any():
                return np.stack([self.columns(slice(row, row + 1), columns)[0] for row in rows])
            rows = slice(int(rows[0]), int(rows[-1]) + 1, int(gaps[0]) if len(gaps) else 1)
        return self._rebuilt(self._data("parameters", (rows, columns)), columns)

    def buffers(self, index: int) -> np.ndarray | None:
        """The flat buffers of state `index`, shape (B,); None when none were stored."""
        return self._optional("buffers", index, self.buffers_layout)

    def statistics(self, index: int) -> dict[str, str] | None:
        """By what the batch-norm statistics of state `index` are known again.

        Returns:
            ``of``, the run and its step, and ``hash``; None when none were stored.
        """
        held = self.buffers(index)
        found = None if held is None else digest_of(self.buffers_layout, held)
        if found is None:
            return None
        return {"of": f"{self.name}, step {self.steps[index]}", "hash": found}

    def beside(self, index: int) -> np.ndarray | None:
        """The tensors of `beside_layout` at state `index`, shape (A,); None: none are."""
        return self._optional("beside", index, self.beside_layout)

    @property
    def frozen(self) -> np.ndarray | None:
        """The parameters that were not trained, shape (F,); None when none are stored."""
        if not self._holds("frozen"):
            return None
        return Vector(self._data("frozen", slice(self.frozen_layout.size)), self.frozen_layout)

    def evaluation(self, index: int) -> np.ndarray | None:
        """The parameters to evaluate at state `index` where they differ from the stepped ones.

        Returns:
            For example the running average, shape (P,); None when not recorded.
        """
        return self._optional("evaluation", index, self.layout)

    def second_moment(self, index: int) -> np.ndarray | None:
        """The optimizer's running mean of squared gradients at state `index`, shape (P,).

        Returns:
            Raw, without bias correction; None when not recorded or not held at that state.
        """
        found = self._optional("second_moment", index, self.layout)
        return None if found is None or np.isnan(found).any() else found

    def random_state(self, index: int) -> np.ndarray | None:
        """The random generators at state `index`, uint8; None when not recorded."""
        found = self._optional("random_state", index)
        return found if found is not None and found.any() else None

    def layers(self, name: str) -> np.ndarray:
        """The number `name` for every update and tensor, float64, shape (updates, tensors).

        Raises:
            ValueError: If it was not recorded; the message lists what was.
        """
        if name not in self.layer_scalars:
            raise ValueError(
                f"{self.path} holds {', '.join(self.layer_scalars) or 'nothing'} for each tensor; "
                f"not {name!r}."
            )
        return self._data(f"layers/{name}", slice(self.updates))

    @property
    def sketch(self) -> np.ndarray | None:
        """The random projections of θ_1 - θ_0, θ_2 - θ_0, …, float32, shape (updates, k).

        Read with `recording.sketch.SketchedPath`; None when not recorded.
        """
        return self._data("sketch", slice(self.updates)) if self._holds("sketch") else None

    @property
    def gradient_histogram(self) -> np.ndarray | None:
        """How many entries of each update's gradient have which size, float32, (updates, 64).

        Read with `analysis.gradients.gradient_histogram`; None when not recorded.
        """
        rows = slice(self.updates)
        return self._data("gradient_histogram", rows) if self._holds("gradient_histogram") else None

    def nearest(self, step: int) -> int:
        """Index of the state whose step is nearest to `step`."""
        return int(np.argmin(np.abs(self.steps - step)))

    def close(self) -> None:
        """Close the file; it is opened again when needed."""
        self._file = None
        self._open.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def rounded(self, vector: np.ndarray, columns: slice = slice(None)) -> np.ndarray:
        """What `columns` would return for a state equal to `vector`, in this file's precision."""
        part = np.asarray(vector[columns], self.dtype)
        if self.holds["dtype"] != "float16-delta":
            return part
        with np.errstate(over="ignore"):
            delta = (part - self._data("origin", columns)).astype(np.float16)
        return self._rebuilt(delta, columns)

    @property
    def dtype(self) -> np.dtype:
        """The precision of the states."""
        return np.dtype(np.float64 if self.holds["dtype"] == "float64" else np.float32)

    def _data(self, name: str, key: Any) -> np.ndarray:
        if (self.live or self._file is None) and identity_of(self._place) != self.identity:
            raise SchemaError(f"{self.path} was replaced after it was opened; open it again.")
        if self.live:  # what HDF5 keeps of an open file grows old
            return read(
                self._place,
                lambda file: (checked_counts(file), dataset(file, name)[key]),
                lambda one, other: other[0] > one[0] and equal(one[1], other[1]),
            )[1]
        if self._file is None:
            # Without HDF5's cache only the asked part of a piece is read, not all of it.
            self._file = self._open.enter_context(opened(self._place, rdcc_nbytes=0))
        with damage_told(self.path):
            return dataset(self._file, name)[key]

    def _optional(self, name: str, index: int, layout: Layout | None = None) -> np.ndarray | None:
        row = range(len(self))[index]
        if not self._holds(name):
            return None
        found = self._data(name, row)
        return found if layout is None else Vector(found, layout)

    def _holds(self, name: str) -> bool:
        return bool(self.frozen_layout.size if name == "frozen" else self.holds[name])

    def _rebuilt(self, stored: np.ndarray, columns: slice) -> np.ndarray:
        if stored.dtype != np.float16:
            return stored
        return self._data("origin", columns) + stored.astype(np.float32)
