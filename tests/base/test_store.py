"""Results on disk: round trips, labels, refusals, and files that survive what goes wrong."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import h5py
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from jaxtyping import Bool, Float32, Float64, Int64

from landscape.base.files import SchemaError, groups, remove, replacing
from landscape.base.result import Result
from landscape.results.registry import load_results


@dataclass(frozen=True, kw_only=True, eq=False)
class Sample(Result):
    schema: ClassVar[str] = "test/sample"

    x: Float64[np.ndarray, " x"]
    kind: Annotated[tuple[str, ...], "kind"]
    values: Float64[np.ndarray, "kind y x"]
    mask: Bool[np.ndarray, "y x"]
    counts: Int64[np.ndarray, " y"] | None = None
    small: Float32[np.ndarray, " x"] | None = None
    title: str = ""
    number: float = 0.0
    settings: dict = field(default_factory=dict)


def sample(**changes) -> Sample:
    values = {
        "x": np.array([1.0, 2.0, 4.0]),
        "kind": ("loss", "error"),
        "values": np.arange(12.0).reshape(2, 2, 3),
        "mask": np.array([[True, False, True], [False, False, True]]),
    }
    return Sample(**{**values, **changes})


@limits(deadline=None)
@given(
    values=hnp.arrays(np.float64, (2, 2, 3), elements=st.floats(width=64)),
    title=st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0")),
    settings=st.dictionaries(st.text(), st.floats(allow_nan=False) | st.text() | st.booleans()),
)
def test_round_trip_is_exact(tmp_path_factory, values, title, settings):
    path = tmp_path_factory.mktemp("store") / "x.h5"
    try:
        json.dumps(settings).encode()
        title.encode()
    except UnicodeEncodeError:
        return
    saved = sample(values=values, title=title, settings=settings)
    saved.save(path, "a/b")
    loaded = Sample.load(path, "a/b")
    np.testing.assert_array_equal(loaded.values.view(np.uint64), saved.values.view(np.uint64))
    np.testing.assert_array_equal(loaded.mask, saved.mask)
    assert (loaded.title, loaded.settings, loaded.kind) == (title, settings, saved.kind)
    assert loaded.counts is None


def test_a_printed_result_says_shapes_not_numbers():
    assert repr(sample(title="a", settings={"b": 1})) == (
        "Sample(x=float64[3] 1 … 4, kind=('loss', 'error'), values=float64[2, 2, 3] 0 … 11, "
        "mask=bool[2, 3] 3 of 6 true, title='a', number=0)"
    )


def test_opens_in_xarray_with_labels(tmp_path):
    sample(counts=np.array([3, 4])).save(tmp_path / "x.h5", "group")
    with xr.open_dataset(tmp_path / "x.h5", group="group", engine="h5netcdf") as data:
        assert data["values"].dims == ("kind", "y", "x")
        assert data["values"].sel(kind="error", x=4.0).values.tolist() == [8.0, 11.0]
        assert data["mask"].dtype == bool
        assert data["mask"].sum() == 3


def test_arrays_are_read_only_and_copied():
    given = np.array([1.0, 2.0, 4.0])
    result = sample(x=given)
    given[0] = 9
    assert result.x[0] == 1.0
    with pytest.raises(ValueError, match="read-only"):
        result.x[0] = 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x": np.zeros(4)}, "along 'x'"),
        ({"values": np.zeros((2, 3))}, "expected dimensions"),
        ({"kind": ("loss",)}, "along 'kind'"),
        ({"x": None}, "not optional"),
    ],
)
def test_wrong_shapes_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        sample(**changes)


def test_saving_replaces_one_group_and_keeps_the_others(tmp_path):
    path = tmp_path / "x.h5"
    sample(title="a").save(path, "a")
    sample(title="b").save(path, "b")
    sample(title="c").save(path, "a")
    assert Sample.load(path, "a").title == "c"
    assert Sample.load(path, "b").title == "b"
    assert [p.name for p in tmp_path.iterdir()] == ["x.h5"]


def test_results_inside_a_groups_own_stay_when_it_is_saved_again(tmp_path):
    path, sizes = tmp_path / "x.h5", []
    sample(title="inner").save(path, "surface/pca/30x30")
    for number in range(4):
        sample(title=f"outer {number}").save(path, "surface/pca")
        sizes.append(path.stat().st_size)
        assert Sample.load(path, "surface/pca").title == f"outer {number}"
        assert Sample.load(path, "surface/pca/30x30").title == "inner"
    assert len(set(sizes)) == 1
    sample(title="new").save(path, "surface/pca/30x30")
    assert Sample.load(path, "surface/pca").title == "outer 3"


@pytest.mark.parametrize("name", ["", "/", ".", "..", "surface/pca\0/30x30"])
def test_what_is_no_name_of_a_group_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match="A result cannot be called"):
        sample().save(tmp_path / "x.h5", name)
    assert not (tmp_path / "x.h5").exists()


def test_failure_while_saving_leaves_the_old_file(tmp_path):
    path = tmp_path / "x.h5"
    sample(title="old").save(path, "a")
    before = path.read_bytes()

    def fail():
        with replacing(path) as file:
            del file["a"]
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        fail()
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["x.h5"]


def test_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "x.h5"
    sample(title="old").save(path, "a")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        sample(title="new").save(path, "a")
    assert Sample.load(path, "a").title == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["x.h5"]


def test_two_processes_saving_at_once_lose_nothing(tmp_path):
    code = (
        "import sys, numpy as np; from landscape.analysis.planes.through import line_between\n"
        "line = line_between(np.zeros(3), np.ones(3))\n"
        "for i in range(8): line.save(sys.argv[1], f'{sys.argv[2]}/{i}')\n"
    )
    path = str(tmp_path / "x.h5")
    both = [subprocess.Popen([sys.executable, "-c", code, path, name]) for name in "ab"]
    assert [process.wait() for process in both] == [0, 0]
    assert len(load_results(path)) == 16


class TestRefusals:
    """Every file that is not what it should be says what it is, in one sentence."""

    def test_missing(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="no such file"):
            Sample.load(tmp_path / "x.h5", "a")

    def test_folder(self, tmp_path):
        with pytest.raises(SchemaError, match="is a folder"):
            Sample.load(tmp_path, "a")

    def test_not_hdf5(self, tmp_path):
        (tmp_path / "x.h5").write_text("hello")
        with pytest.raises(SchemaError, match="not an HDF5 file"):
            Sample.load(tmp_path / "x.h5", "a")

    def test_truncated(self, tmp_path):
        path = tmp_path / "x.h5"
        sample().save(path, "a")
        path.write_bytes(path.read_bytes()[:2000])
        with pytest.raises(SchemaError, match="damaged or cut short"):
            Sample.load(path, "a")

    def test_missing_group_lists_what_is_there(self, tmp_path):
        sample().save(tmp_path / "x.h5", "a")
        with pytest.raises(SchemaError, match=r"no group 'b'; it holds \['a'\]"):
            Sample.load(tmp_path / "x.h5", "b")

    def test_newer_version(self, tmp_path):
        sample().save(tmp_path / "x.h5", "a")
        with h5py.File(tmp_path / "x.h5", "r+") as file:
            file["a"].attrs["version"] = 99
        with pytest.raises(SchemaError, match="Upgrade"):
            Sample.load(tmp_path / "x.h5", "a")

    def test_missing_field(self, tmp_path):
        sample().save(tmp_path / "x.h5", "a")
        with h5py.File(tmp_path / "x.h5", "r+") as file:
            del file["a/values"]
        with pytest.raises(SchemaError, match="no 'values'"):
            Sample.load(tmp_path / "x.h5", "a")

    def test_fields_that_disagree(self, tmp_path):
        sample().save(tmp_path / "x.h5", "a")
        with h5py.File(tmp_path / "x.h5", "r+") as file:
            del file["a/mask"]
            file["a"].create_dataset("mask", data=np.zeros((2, 2), np.int8))
        with pytest.raises(SchemaError, match="does not fit its schema"):
            Sample.load(tmp_path / "x.h5", "a")

    def test_foreign_hdf5(self, tmp_path):
        with h5py.File(tmp_path / "x.h5", "w") as file:
            file["numbers"] = np.arange(3)
        with pytest.raises(SchemaError, match="holds no results"):
            load_results(tmp_path / "x.h5")

    def test_unknown_schema(self, tmp_path):
        sample().save(tmp_path / "x.h5", "a")
        with pytest.raises(SchemaError, match="test/sample"):
            load_results(tmp_path / "x.h5")

    def test_links_to_other_files_are_not_followed(self, tmp_path):
        sample(title="secret").save(tmp_path / "secret.h5", "a")
        sample().save(tmp_path / "x.h5", "a")
        with h5py.File(tmp_path / "x.h5", "r+") as file:
            del file["a/values"]
            file["a/values"] = h5py.ExternalLink(str(tmp_path / "secret.h5"), "a/values")
        with pytest.raises(SchemaError, match="no 'values'"):
            Sample.load(tmp_path / "x.h5", "a")


def test_a_recorded_run_takes_no_results(tmp_path):
    path = tmp_path / "run.h5"
    with h5py.File(path, "w") as file:
        file.attrs["schema"] = "landscape/trajectory"
    before = path.read_bytes()
    with pytest.raises(SchemaError, match="recorded run, which is never changed"):
        sample().save(path, "layers/sgd")
    assert path.read_bytes() == before
    assert not (tmp_path / "run.h5.partial").exists()


def test_neither_raw_files_nor_groups_of_other_files_are_read(tmp_path):
    sample().save(tmp_path / "a.h5", "group/sample")
    raw = tmp_path / "raw.bin"
    raw.write_bytes(np.zeros(12).tobytes())
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["group"] = h5py.ExternalLink(str(tmp_path / "a.h5"), "/group")
    with pytest.raises(SchemaError, match="no group"):
        Sample.load(tmp_path / "b.h5", "group/sample")
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        del file["group/sample/values"]
        file.create_dataset("group/sample/values", (2, 2, 3), "<f8", external=[(str(raw), 0, 96)])
    with pytest.raises(SchemaError, match="no 'values'"):
        Sample.load(tmp_path / "a.h5", "group/sample")


def test_saving_again_and_again_makes_no_file_larger(tmp_path):
    path = tmp_path / "x.h5"
    large, small = sample(), sample(counts=np.arange(2), small=np.arange(3, dtype=np.float32))
    sizes = []
    for _ in range(8):
        large.save(path, "a/b")
        small.save(path, "a/c")
        small.save(path, "unfinished/x")
        remove(path, "unfinished/x")
        sizes.append(path.stat().st_size)
    assert max(sizes) - min(sizes) < 500
    assert set(groups_of(path)) == {"a/b", "a/c"}
    with xr.open_dataset(path, group="a/c", engine="h5netcdf") as opened:
        assert list(opened["values"].dims) == ["kind", "y", "x"]
        assert list(opened["kind"].values) == ["loss", "error"]


def test_a_file_that_grew_before_shrinks(tmp_path):
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        file["waste"] = np.zeros(10**5)
        file["after"] = 1
    with h5py.File(path, "r+") as file:
        del file["waste"]
    before = path.stat().st_size
    for _ in range(2):
        sample().save(path, "a")
    assert path.stat().st_size < before / 10


@pytest.mark.parametrize("version", ["earliest", "v108", "latest"])
def test_everything_else_in_a_file_stays_as_it_was(tmp_path, version):
    path = tmp_path / "x.h5"
    with h5py.File(path, "w", libver=version, track_order=True) as file:
        file.attrs["note"] = "ü"
        group = file.create_group("theirs", track_order=True)
        for name in ("z", "a", "m"):
            group[name] = np.arange(3)
        group.create_dataset("packed", data=np.ones((40, 40)), chunks=(8, 8), compression="gzip")
        group["text"], group["scale"] = ["a", "bc"], np.arange(3.0)
        group["scale"].make_scale("metres")
        group["m"].dims[0].attach_scale(group["scale"])
        group["again"] = group["m"]
        group["soft"], group["away"] = h5py.SoftLink("m"), h5py.ExternalLink("no.h5", "/x")
        group.attrs["best"], group.attrs["empty"] = group["a"].ref, h5py.Empty("f8")
        group.attrs.create("words", ["x", "yz"], dtype=h5py.string_dtype())
        group.attrs["pairs"] = np.array([(1, 2.5)], dtype=[("n", "i4"), ("v", "f8")])
    for _ in range(3):
        sample().save(path, "ours")
    with h5py.File(path) as file:
        group = file["theirs"]
        assert file.attrs["note"] == "ü"
        assert list(group)[:3] == ["z", "a", "m"]
        assert (group["packed"].chunks, group["packed"].compression) == ((8, 8), "gzip")
        assert group["packed"][()].sum() == 1600
        assert list(group["text"].asstr()) == ["a", "bc"]
        assert group["m"].dims[0][0].name.endswith("scale")
        assert group["again"] == group["m"]
        assert group.get("soft", getlink=True).path == "m"
        assert group.get("away", getlink=True).filename == "no.h5"
        assert file[group.attrs["best"]] == group["a"]
        assert isinstance(group.attrs["empty"], h5py.Empty)
        assert list(group.attrs["words"]) == ["x", "yz"]
        assert group.attrs["pairs"][0]["v"] == 2.5


def test_what_cannot_be_carried_over_is_kept_all_the_same(tmp_path):
    path = tmp_path / "x.h5"
    sample().save(path, "a")
    with h5py.File(path, "r+") as file:
        file["table"] = np.arange(9)
        file["regions"] = file["table"].regionref[2:5]
        file.attrs["region"] = file["table"].regionref[1:3]
    for _ in range(2):
        sample(title="new").save(path, "a")
    assert Sample.load(path, "a").title == "new"
    with h5py.File(path) as file:
        assert list(file["table"][file.attrs["region"]]) == [1, 2]
        assert list(file["table"][file["regions"][()]]) == [2, 3, 4]


def test_links_and_permissions_stay_and_read_only_files_are_left_alone(tmp_path):
    path, link = tmp_path / "real.h5", tmp_path / "link.h5"
    sample().save(path, "a")
    link.symlink_to(path.name)
    path.chmod(0o600)
    sample().save(link, "b")
    sample().save(link, "a")
    assert link.is_symlink()
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o444)
    before = path.read_bytes()
    for change in (lambda: sample().save(link, "c"), lambda: remove(path, "a")):
        with pytest.raises(PermissionError, match="read-only"):
            change()
    assert path.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["link.h5", "real.h5"]


def groups_of(path):
    with h5py.File(path) as file:
        return groups(file)


def test_a_pipe_and_a_folder_are_no_files(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(SchemaError, match="give one HDF5 file"):
            Sample.load(path, "a")


def test_complex_numbers_are_refused_not_halved(tmp_path):
    with pytest.raises(ValueError, match="is complex"):
        sample(x=np.array([1.0, 2.0, 4.0j]))
    sample().save(tmp_path / "x.h5", "a")
    with h5py.File(tmp_path / "x.h5", "r+") as file:
        file["a"].attrs["number"] = 1 + 2j
    with pytest.raises(SchemaError, match="it is complex"):
        Sample.load(tmp_path / "x.h5", "a")
