"""Damaged heaps of texts are refused wherever they lie in a file, and also when it has grown."""

from __future__ import annotations

import struct

import h5py
import numpy as np
import pytest

from landscape.base.files import SchemaError, opened


def large(path, megabytes=40):
    """A file with texts in the middle of its numbers; returns where their heap is."""
    with h5py.File(path, "w") as file:
        file["first"] = np.ones(megabytes << 16)
        file.create_dataset("text", data="some words " * 20, dtype=h5py.string_dtype())
        file.flush()
        file["second"] = np.ones(megabytes << 16)
    where = path.read_bytes().index(b"GCOL\x01")
    assert megabytes << 18 < where < path.stat().st_size - (megabytes << 18)
    return where


def write(path, place, data):
    with open(path, "r+b") as file:
        file.seek(place)
        file.write(data)


def test_a_heap_amid_a_large_file_is_checked(tmp_path):
    where = large(tmp_path / "a.h5")
    with opened(tmp_path / "a.h5") as file:
        assert file["text"].asstr()[()].startswith("some words")
    write(tmp_path / "a.h5", where + 24, struct.pack("<Q", 1 << 40))
    (tmp_path / "a.h5").rename(tmp_path / "b.h5")
    with pytest.raises(SchemaError, match="holds an object"), opened(tmp_path / "b.h5"):
        pass


def test_a_reference_that_overruns_its_object_is_refused(tmp_path):
    where = large(tmp_path / "a.h5")
    content = (tmp_path / "a.h5").read_bytes()
    place = content.index(struct.pack("<IQI", 220, where, 1))
    write(tmp_path / "a.h5", place, struct.pack("<I", 7))
    with pytest.raises(SchemaError, match="is asked for 7 of 220 bytes"), opened(tmp_path / "a.h5"):
        pass


def test_what_a_large_file_has_grown_by_is_checked(tmp_path):
    path = tmp_path / "a.h5"
    large(path)
    with opened(path):
        pass
    size = path.stat().st_size
    with h5py.File(path, "a") as file:
        file.create_dataset("more", data="other words " * 20, dtype=h5py.string_dtype())
    with opened(path) as file:
        assert file["more"].asstr()[()].startswith("other")
    where = path.read_bytes().index(b"GCOL\x01", size - 5000)
    write(path, where + 24, struct.pack("<Q", 1 << 40))
    with pytest.raises(SchemaError, match="holds an object"), opened(path):
        pass
