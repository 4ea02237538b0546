"""TrajectoryWriter: append states and updates to a trajectory file; a commit survives a kill."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, get_args

import h5py
import numpy as np

from landscape.base.files import SchemaError, expanded
from landscape.base.layout import Layout
from landscape.base.provenance import provenance
from landscape.base.runs.crashproof import CrashproofFile
from landscape.base.runs.format import HISTOGRAM_BINS, SCHEMA
from landscape.base.runs.tables import (
    Table,
    check_scalar_name,
    make_file,
    opened_to_grow,
    refuse_existing,
    refuse_written,
)
from landscape.base.runs.trajectory import Trajectory

RowType = Literal["float32", "float64", "float16-delta"]
ROW_TYPES = get_args(RowType)
_UNKNOWN = {"random_state": 0, "second_moment": math.nan}  # of states that come without


class TrajectoryWriter:
    """Append states and scalars to a new trajectory file; every commit survives a killed process.

    It need not survive a loss of power: the operating system writes back when it likes (no fsync).

    Args:
        path: The file to create.
        layout: Layout of the rows.
        buffers_layout: Layout of the stored buffers; None stores none.
        beside_layout: Layout of what states will come with beside the parameters; None: nothing.
        frozen: Layout and values, shape (F,), of the parameters that are not trained.
        run: How the run is made; JSON-serialisable.
        overwrite: Replace an existing file instead of refusing.
        dtype: ``float32`` or ``float64`` stores what it is given; ``float16-delta`` stores the
            difference from the first state in half precision: half the size, and an error of up
            to 2⁻¹¹ (0.05 %) of each parameter's distance from its start, which is 1 to 3 % of a
            single small step.
        double: Which of ``buffers``, ``beside`` and ``frozen`` are stored in double precision.
        layers: Names of the numbers that updates will come with for each tensor.
        evaluation: Whether states will come with evaluation parameters.
        second_moment: Whether states will come with second moments of the optimizer.
        random_state: Length of the random states that states will come with; 0: none.
        sketch: Size and seed of the random projection that updates will come with.
        gradient_histogram: Whether updates will come with histograms of their gradients.

    Raises:
        FileExistsError: If the file exists and `overwrite` is False.
        OSError: If it cannot be created.

    >>> import numpy as np
    >>> import torch
    >>> from landscape.base.layout import Layout
    >>> layout = Layout.of(torch.nn.Linear(2, 1))
    >>> with TrajectoryWriter("mine.h5", layout) as writer:
    ...     for step in range(3):
    ...         writer.append_state(step, np.full(3, step, "float32"))
    >>> len(Trajectory("mine.h5"))
    3
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        layout: Layout,
        *,
        buffers_layout: Layout | None = None,
        beside_layout: Layout | None = None,
        frozen: tuple[Layout, np.ndarray] | None = None,
        run: Mapping[str, Any] | None = None,
        overwrite: bool = False,
        dtype: RowType = "float32",
        double: Iterable[str] = (),
        layers: Sequence[str] = (),
        evaluation: bool = False,
        second_moment: bool = False,
        random_state: int = 0,
        sketch: tuple[int, int] | None = None,
        gradient_histogram: bool = False,
    ) -> None:
        if dtype not in ROW_TYPES:
            raise ValueError(f"dtype must be one of {', '.join(ROW_TYPES)}; not {dtype!r}.")
        self.path: Path = expanded(path)
        if not overwrite:
            refuse_existing(self.path)
        refuse_written(self.path)
        half, row = dtype == "float16-delta", "<f8" if dtype == "float64" else "<f4"
        double = {name for name in double if name in ("buffers", "beside", "frozen")}
        version = 2 if double or dtype == "float64" else 1
        attributes: dict[str, Any] = {"schema": SCHEMA, "version": version, "complete": 0}
        texts = {"layout": layout.to_json(), "run": json.dumps(dict(run or {}))}
        texts["provenance"] = json.dumps(provenance())
        values: dict[str, np.ndarray] = {"n_committed": np.zeros(2, np.int64)}
        tables = {"parameters": (layout.size, "<f2" if half else row)}
        tables |= {f"layers/{name}": (len(layout), "<f8") for name in layers}
        if half:
            values["origin"] = np.zeros(layout.size, np.float32)
        for name, held in (("buffers", buffers_layout), ("beside", beside_layout)):
            if held is not None and held.size:
                texts[f"{name}_layout"] = held.to_json()
                tables[name] = (held.size, "<f8" if name in double else "<f4")
        if frozen is not None and frozen[0].size:
            texts["frozen_layout"] = frozen[0].to_json()
            values["frozen"] = np.asarray(frozen[1], np.float64 if "frozen" in double else "f4")
        if evaluation:
            tables["evaluation"] = (layout.size, row)
        if second_moment:
            tables["second_moment"] = (layout.size, row)
        if random_state:
            tables["random_state"] = (random_state, "|u1")
        if sketch is not None:
            attributes["sketch"] = sketch
            tables["sketch"] = (sketch[0], "<f4")
        if gradient_histogram:
            tables["gradient_histogram"] = (HISTOGRAM_BINS, "<f4")
        try:
            make_file(self.path, attributes, texts, values, tables)
        except OSError as error:
            raise _named(error, self.path, "created") from error
        self._open()

    @classmethod
    def reopened(cls, path: str | os.PathLike[str]) -> Self:
        """Open an existing trajectory to append to it, after its last committed row.

        Raises:
            SchemaError: If it is not a trajectory, or is damaged.
        """
        Trajectory(path)  # refuses what is not one
        writer = cls.__new__(cls)
        writer.path = expanded(path)
        writer._open()
        writer._file.attrs["complete"] = 0
        return writer

    def _open(self) -> None:
        try:
            self._disk = CrashproofFile(self.path)
        except BlockingIOError:
            raise SchemaError(
                f"{self.path} is being written by another process; try again when it has finished."
            ) from None
        except OSError as error:
            raise _named(error, self.path, "opened for writing") from error
        self._file = opened_to_grow(self._disk)
        self._tables: dict[str, Table] = {}
        layers = self._file.get("layers")
        held = [f"layers/{name}" for name in layers] if isinstance(layers, h5py.Group) else []
        self._layers = [*held, *({"sketch", "gradient_histogram"} & set(self._file))]
        self._held = set(self._file)
        self._committed = self._data("n_committed")
        self._states, self._updates = (int(n) for n in self._committed[()])
        half = "origin" in self._file and self._states > 0
        self._origin = self._data("origin")[()] if half else None
        self._names = [n.decode() for n in self._data("scalar_names")[()] if n]
        self._steps: list[int] = []
        self._rows: list[tuple[Mapping[str, float], Mapping[str, np.ndarray]]] = []

    @property
    def states(self) -> int:
        """Number of states appended so far."""
        return self._states

    @property
    def updates(self) -> int:
        """Number of updates appended so far."""
        return self._updates

    def truncate(self, *, states: int, updates: int) -> None:
        """Forget every state and update beyond the given numbers."""
        self._states, self._updates = min(states, self._states), min(updates, self._updates)
        self.commit()

    def append_state(
        self,
        step: int,
        parameters: np.ndarray,
        buffers: np.ndarray | None = None,
        *,
        beside: np.ndarray | None = None,
        evaluation: np.ndarray | None = None,
        second_moment: np.ndarray | None = None,
        random_state: np.ndarray | None = None,
    ) -> None:
        """Append one state; it counts once `commit` was called."""
        row = self._states
        table = self._table("parameters")
        if table.dtype == np.float16:
            if self._origin is None:
                self._origin = np.array(parameters, np.float32)
                self._data("origin")[()] = self._origin
            with np.errstate(over="ignore"):  # beyond 65504 it is stored as infinite
                parameters = (parameters - self._origin).astype(np.float16)
        table.write_row(row, parameters)
        for name, values in (
            ("buffers", buffers),
            ("beside", beside),
            ("evaluation", evaluation),
            ("second_moment", second_moment),
            ("random_state", random_state),
        ):
            if values is None and name in _UNKNOWN and name in self._held:
                values = np.full(self._table(name).shape[1], _UNKNOWN[name])
            if values is not None:
                self._table(name).write_row(row, values)
        self._disk.check()
        self._steps.append(step)
        self._states += 1

    def append_update(
        self, scalars: Mapping[str, float], layers: Mapping[str, np.ndarray] | None = None
    ) -> None:
        """Append one row of scalars; names may appear late, earlier rows are then NaN.

        Args:
            scalars: Numbers about the update.
            layers: Numbers about each tensor, shape (tensors,), by their announced names; and the
                random projection as ``sketch``, the histogram as ``gradient_histogram``.
        """
        for name in scalars:
            if name not in self._names:
                check_scalar_name(name)
                self._table("scalar_names").write_block(len(self._names), np.array([name.encode()]))
                self._names.append(name)
        self._rows.append((dict(scalars), dict(layers or {})))
        self._updates += 1

    def commit(self) -> None:
        """Make everything appended so far count, in an order that a kill cannot tear."""
        self._write_columns()
        self._file.flush()
        self._disk.settle()
        self._committed[...] = (self._states, self._updates)
        self._file.flush()
        self._disk.settle()

    def close(self) -> None:
        """Commit, mark the file complete and close it."""
        if self._file:
            self.commit()
            for name, count in (("step", self._states), ("parameters", self._states)):
                self._table(name).cut(count)
            self._file.attrs["complete"] = 1
            self._finish()

    def abort(self) -> None:
        """Commit and close without marking the file complete."""
        if self._file:
            self.commit()
            self._finish()

    def _finish(self) -> None:
        try:
            self._file.close()
            self._disk.settle()
        finally:
            self._disk.close()

    def discard(self) -> None:
        """Close without committing what was appended since."""
        if self._file:
            self._file.close()
            self._disk.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        (self.close if kind is None else self.abort)()

    def _write_columns(self) -> None:
        if self._steps:
            first = self._states - len(self._steps)
            self._table("step").write_block(first, np.array(self._steps, np.int64))
        if self._rows:
            first = self._updates - len(self._rows)
            block = [[row.get(name, math.nan) for name in self._names] for row, _ in self._rows]
            self._table("scalars").write_block(first, np.array(block, np.float64))
            for path in self._layers:
                name, table = path.rpartition("/")[2], self._table(path)
                empty = np.full(table.shape[1], math.nan)
                rows = [numbers.get(name, empty) for _, numbers in self._rows]
                table.write_block(first, np.array(rows))
        self._steps, self._rows = [], []

    def _table(self, name: str) -> Table:
        if name not in self._tables:
            self._tables[name] = Table(self._data(name))
        return self._tables[name]

    def _data(self, name: str) -> h5py.Dataset:
        found = self._file[name]
        if not isinstance(found, h5py.Dataset):
            raise SchemaError(f"{self.path}: {name!r} is not a data set; the file is damaged.")
        return found


def _named(error: OSError, path: Path, what: str) -> OSError:
    reason = os.strerror(error.errno) if error.errno else str(error)
    return type(error)(f"{path} cannot be {what} ({reason}); choose another place.")
