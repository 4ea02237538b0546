"""Trajectory files: what is written is read; what is not a trajectory is refused in one line."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import landscape as ls
from landscape.base.layout import Entry

LAYOUT = ls.Layout(
    (Entry("a.weight", (3, 2), 0, "weight"), Entry("a.bias", (3,), 6, "bias")),
)
BUFFERS = ls.Layout((Entry("norm.mean", (2,), 0, "norm"),))


def written(path, states=4, *, every=1, **options):
    rows = np.random.default_rng(0).standard_normal((states, 9)).astype(np.float32)
    with ls.TrajectoryWriter(path, LAYOUT, **options) as writer:
        for s, row in enumerate(rows):
            if s:
                for u in range(every):
                    writer.append_update({"loss": float(s), "lr": 0.1 * u})
            writer.append_state(s * every, row)
            writer.commit()
    return rows


def one_line(error) -> str:
    text = str(error.value)
    assert text
    assert "\n" not in text.strip()
    return text


def test_reads_what_was_written(tmp_path):
    rows = written(tmp_path / "run.h5", 5, every=3, run={"name": "mine", "seed": 7})
    with ls.Trajectory(tmp_path / "run.h5") as run:
        assert (len(run), run.name, run.complete) == (5, "mine", True)
        np.testing.assert_array_equal(run.steps, [0, 3, 6, 9, 12])
        for s in range(-5, 5):
            np.testing.assert_array_equal(run.state(s), rows[s])
        np.testing.assert_array_equal(run.initial, rows[0])
        np.testing.assert_array_equal(run.final, rows[-1])
        np.testing.assert_array_equal(run.columns(np.array([1, 4]), slice(2, 7)), rows[[1, 4], 2:7])
        np.testing.assert_array_equal(run.scalars["loss"], np.repeat([1.0, 2, 3, 4], 3))
        assert not run.layout.differences(LAYOUT)
        assert run.buffers(0) is None
        assert [run.nearest(step) for step in (-1, 0, 1, 2, 7, 99)] == [0, 0, 0, 1, 2, 4]
        for outside in (5, -6):
            with pytest.raises(IndexError):
                run.state(outside)


def test_a_scalar_that_appears_late_is_nan_before_and_after(tmp_path):
    with ls.TrajectoryWriter(tmp_path / "run.h5", LAYOUT) as writer:
        writer.append_state(0, np.zeros(9, np.float32))
        for scalars in ({"a": 1.0}, {"a": 2.0, "b": np.inf}, {"b": np.nan}, {"a": 4.0}):
            writer.append_update(scalars)
    scalars = ls.Trajectory(tmp_path / "run.h5").scalars
    np.testing.assert_array_equal(scalars["a"], [1, 2, np.nan, 4])
    np.testing.assert_array_equal(scalars["b"], [np.nan, np.inf, np.nan, np.nan])


@pytest.mark.parametrize("name", ["", ".", "a/b", "a\0b"])
def test_scalar_names_that_hdf5_would_misread_are_refused(tmp_path, name):
    with ls.TrajectoryWriter(tmp_path / "run.h5", LAYOUT) as writer:
        writer.append_state(0, np.zeros(9, np.float32))
        with pytest.raises(ValueError, match="cannot be called"):
            writer.append_update({name: 1.0})


@settings(max_examples=25, deadline=None)
@given(
    commits=st.lists(st.integers(0, 4), min_size=1, max_size=6),
    uncommitted=st.integers(0, 5),
    size=st.sampled_from([1, 9, 65536, 65537]),
)
def test_only_committed_rows_exist(tmp_path_factory, commits, uncommitted, size):
    path = tmp_path_factory.mktemp("commit") / "run.h5"
    layout = ls.Layout((Entry("w", (size,), 0, "bias"),))
    writer = ls.TrajectoryWriter(path, layout, buffers_layout=BUFFERS)
    committed = step = 0

    def append():
        nonlocal step
        writer.append_state(step, np.full(size, step, np.float32), np.full(2, -step, np.float32))
        writer.append_update({"loss": step})
        step += 1

    for count in commits:
        for _ in range(count):
            append()
        writer.commit()
        committed = step
    for _ in range(uncommitted):
        append()
    writer._file.flush()  # the rows reach the disk; the counter does not
    writer._disk.settle()
    writer.discard()
    if not committed:
        with pytest.raises(ls.SchemaError, match="no state yet"):
            ls.Trajectory(path)
        return
    run = ls.Trajectory(path)
    assert not run.complete
    assert len(run) == committed
    assert len(run.scalars["loss"]) == committed
    for s in range(committed):
        assert (run.state(s) == s).all()
        stored = run.buffers(s)
        assert stored is not None
        assert (stored == -s).all()
    with pytest.raises(IndexError):
        run.state(committed)


def test_an_existing_file_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "run.h5"
    written(path)
    before = path.read_bytes()
    with pytest.raises(FileExistsError, match="overwrite=True") as error:
        ls.TrajectoryWriter(path, LAYOUT)
    one_line(error)
    assert path.read_bytes() == before
    rows = written(path, 2, overwrite=True)
    np.testing.assert_array_equal(ls.Trajectory(path).final, rows[-1])


def test_a_missing_file_and_a_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file"):
        ls.Trajectory(tmp_path / "nothing.h5")
    with pytest.raises(ls.SchemaError, match="is a folder"):
        ls.Trajectory(tmp_path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"loss,step\n1,2\n" * 100])
def test_what_is_not_hdf5_is_refused(tmp_path, content):
    path = tmp_path / "run.h5"
    path.write_bytes(content)
    with pytest.raises(ls.SchemaError, match="not an HDF5 file") as error:
        ls.Trajectory(path)
    one_line(error)


@pytest.mark.parametrize("kept", [0.02, 0.5, 0.97])
def test_a_truncated_file_is_refused(tmp_path, kept):
    path = tmp_path / "run.h5"
    written(path, 50)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(ls.SchemaError, match="damaged or cut short") as error:
        ls.Trajectory(path)
    one_line(error)


def test_another_hdf5_file_is_refused(tmp_path):
    path = tmp_path / "foreign.h5"
    with h5py.File(path, "w") as file:
        file["train_loss"] = np.zeros((3, 3))
    with pytest.raises(ls.SchemaError, match="not a recorded run") as error:
        ls.Trajectory(path)
    one_line(error)


def test_a_results_file_is_refused_by_name(tmp_path, runs):
    path = tmp_path / "run.results.h5"
    ls.path_metrics(ls.Trajectory(runs["sgd"])).save(path, "path")
    with pytest.raises(ls.SchemaError, match="is a results file, not a recorded run") as error:
        ls.Trajectory(path)
    one_line(error)


def test_a_newer_version_is_refused_with_upgrade(tmp_path):
    written(tmp_path / "run.h5")
    with h5py.File(tmp_path / "run.h5", "r+") as file:
        file.attrs["version"] = 99
    with pytest.raises(ls.SchemaError, match=r"version 99.*Upgrade") as error:
        ls.Trajectory(tmp_path / "run.h5")
    one_line(error)


DAMAGES = {
    "no counter": lambda file: file.pop("n_committed"),
    "no parameters": lambda file: file.pop("parameters"),
    "no layout": lambda file: file.pop("layout"),
    "counter too high": lambda file: file["n_committed"].write_direct(np.array([9999, 9999])),
    "counter negative": lambda file: file["n_committed"].write_direct(np.array([-3, 0])),
    "counter of another shape": lambda file: replace(file, "n_committed", np.zeros(3, np.int64)),
    "layout not JSON": lambda file: replace(file, "layout", "{"),
    "layout with a gap": lambda file: replace(
        file, "layout", LAYOUT.to_json().replace('"offset": 6', '"offset": 7')
    ),
    "layout of another size": lambda file: replace(file, "layout", BUFFERS.to_json()),
    "run not JSON": lambda file: replace(file, "run", "{"),
    "run not a table": lambda file: replace(file, "run", "[1]"),
    "version not a number": lambda file: file.attrs.__setitem__("version", "one"),
    "steps fall": lambda file: file["step"].__setitem__(2, 0),
    "parameters of another type": lambda file: replace(file, "parameters", np.zeros((50, 9), "i4")),
    "a group for data": lambda file: (file.pop("step"), file.create_group("step")),
}


def replace(file, name, value):
    del file[name]
    file[name] = value


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_one_clear_line(tmp_path, damage):
    path = tmp_path / "run.h5"
    written(path)
    with h5py.File(path, "r+") as file:
        DAMAGES[damage](file)
    with pytest.raises(ls.SchemaError, match=r"run\.h5") as error:
        ls.Trajectory(path)
    one_line(error)


def test_links_to_other_files_are_not_followed(tmp_path):
    written(tmp_path / "run.h5")
    written(tmp_path / "secret.h5")
    with h5py.File(tmp_path / "run.h5", "r+") as file:
        del file["parameters"]
        file["parameters"] = h5py.ExternalLink(str(tmp_path / "secret.h5"), "parameters")
    with pytest.raises(ls.SchemaError, match="no data 'parameters'"):
        ls.Trajectory(tmp_path / "run.h5")


def test_a_file_deleted_while_it_is_read_lazily(tmp_path):
    written(tmp_path / "run.h5")
    run = ls.Trajectory(tmp_path / "run.h5")
    (tmp_path / "run.h5").unlink()
    with pytest.raises(FileNotFoundError, match=r"(?i)no such file"):
        run.state(0)
