"""After every single write to the disk the file opens and holds every acknowledged row.

A kill ends a process between two writes (or before the first of them). So the writes of a
recording are listed and replayed one by one; the file is read after each.
"""

from __future__ import annotations

import numpy as np
import pytest

import landscape as ls
from landscape.base.layout import Entry
from landscape.base.runs import crashproof, writer
from landscape.base.runs.crashproof import CrashproofFile
from landscape.base.runs.trajectory import NoStateError


@pytest.fixture
def writes(monkeypatch):
    """Everything that reaches the disk: (place, bytes), (length, None), and commits (None, row)."""
    log = []

    class Listed(CrashproofFile):
        def _put(self, place, view):
            log.append((place, bytes(view)))
            super()._put(place, view)

        def _resize(self, size):
            log.append((size, None))
            super()._resize(size)

    monkeypatch.setattr(writer, "CrashproofFile", Listed)
    return log


def record(target, writes, first, last, sign):
    for s in range(first, last):
        target.append_state(s, np.full(target.size, sign * s, np.float32))
        if s:
            late = {"late": s} if s > 40 else {}
            target.append_update({"loss": sign * s, **late}, {"norm": np.full(1, s)})
        if s % 4 == 3:
            target.commit()
            writes.append((None, s))


def replay(image, writes, check):
    """Apply the writes to `image`; `check` after each, with the last acknowledged row."""
    acknowledged = -1
    for place, data in writes:
        if place is None:
            acknowledged = data
            continue
        if data is None:
            del image[place:]
        end = place if data is None else place + len(data)
        image.extend(bytes(max(0, end - len(image))))
        if data is not None:
            image[place:end] = data
        check(image, acknowledged)


def recorded(path, writes, size, rows):
    layout = ls.Layout((Entry("w", (size,), 0, "bias"),))
    target = ls.TrajectoryWriter(path, layout, layers=("norm",))
    target.size = size
    created = bytearray(path.read_bytes())
    record(target, writes, 0, rows, 1)
    target.close()
    writes.append((None, rows - 1))
    return created


def reader(path, sign=lambda s: 1):
    def check(image, acknowledged):
        path.write_bytes(image)
        try:
            run = ls.Trajectory(path)
        except NoStateError:
            assert acknowledged < 0
            return
        with run:
            assert run.steps[-1] >= acknowledged
            states = run.columns(np.arange(len(run)), slice(None))
            signs = np.array([sign(s) for s in range(len(run))])
            assert (states == (signs * np.arange(len(run)))[:, None]).all()
            np.testing.assert_array_equal(run.scalars.get("loss", []), (signs * run.steps)[1:])
            assert (run.layers("norm")[:, 0] == run.steps[1:]).all()

    return check


@pytest.mark.parametrize(("size", "rows"), [(3, 140), (70_000, 70)])
def test_every_moment_of_a_recording(tmp_path, writes, size, rows):
    """140 rows make an index node split; rows of 70,000 are in two pieces."""
    image = recorded(tmp_path / "run.h5", writes, size, rows)
    assert len(writes) > 2 * rows
    replay(image, writes, reader(tmp_path / "moment.h5"))
    assert len(ls.Trajectory(tmp_path / "moment.h5")) == rows


def test_every_moment_of_a_resumed_recording(tmp_path, writes):
    path = tmp_path / "run.h5"
    recorded(path, writes, 3, 70)
    image = bytearray(path.read_bytes())
    writes.clear()
    target = ls.TrajectoryWriter.reopened(path)
    target.size = 3
    kept = 50
    target.truncate(states=kept, updates=kept - 1)
    truncated = len(writes)
    record(target, writes, kept, 110, -1)
    target.close()

    def opens(image, _):
        path.write_bytes(image)
        assert len(ls.Trajectory(path)) in (70, kept)

    replay(image, writes[:truncated], opens)
    replay(image, writes[truncated:], reader(tmp_path / "x.h5", lambda s: 1 if s < kept else -1))


def test_the_order_matters(tmp_path, writes, monkeypatch):
    """The same recording with the changes written in the opposite order is caught."""
    order = crashproof._order
    monkeypatch.setattr(crashproof, "_order", lambda held: tuple(-n for n in order(held)))
    image = recorded(tmp_path / "run.h5", writes, 3, 140)
    with pytest.raises((AssertionError, OSError, RuntimeError, ls.SchemaError)):
        replay(image, writes, reader(tmp_path / "moment.h5"))


def test_what_is_held_is_read_back(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(bytes(range(10)))
    with CrashproofFile(path) as file:
        file.seek(4)
        file.write(b"abc")
        file.seek(20)
        file.write(b"new")
        buffer = bytearray(24)
        file.seek(0)
        file.readinto(buffer)
        assert (
            buffer == bytes([0, 1, 2, 3]) + b"abc" + bytes([7, 8, 9]) + bytes(10) + b"new" + b"\0"
        )
        assert path.read_bytes()[:10] == bytes(range(10))
        file.settle()
    assert path.read_bytes() == bytes([0, 1, 2, 3]) + b"abc" + bytes([7, 8, 9]) + bytes(10) + b"new"
