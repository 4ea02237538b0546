"""Archived truths: files that older versions wrote open, and their numbers are measured again.

``first`` is of the first version that recorded anything; ``mlp``, ``convolution``, ``all`` and
``second`` of the last one in which results and what measures them were one; ``third`` holds what
has come since. See `workloads` for how the numbers are compared bit for bit.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import workloads

import landscape as ls
from landscape.plots.results import plot_results

RUNS = ("first", "mlp", "convolution", "all")
RESULTS = {"first": 7, "second": 14, "third": 10}
EXACT = ("alpha", "beta", "import/states", "step", "steps")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    return workloads.numbers(tmp_path_factory.mktemp("workloads"))


def test_numbers_are_those_of_the_old_code(found):
    """To a few roundings of single precision: other processors sum in another order."""
    with np.load(workloads.ARCHIVE / "numbers.npz") as archive:
        old = {name: archive[name] for name in archive.files}
    assert set(old) <= set(found)
    for name, values in old.items():
        assert values.dtype == found[name].dtype, name
        size = np.nanmax(np.abs(values), initial=0.0) if values.dtype.kind == "f" else 0.0
        np.testing.assert_allclose(found[name], values, rtol=0, atol=2e-6 * size, err_msg=name)


def test_what_involves_no_kernel_is_the_same_to_the_last_bit(found):
    with np.load(workloads.ARCHIVE / "numbers.npz") as archive:
        exact = [
            name
            for name in archive.files
            if archive[name].dtype.kind in "biu"
            or (name.endswith(EXACT) and not name.startswith("subset"))
        ]
        assert len(exact) > 20
        for name in exact:
            np.testing.assert_array_equal(found[name], archive[name], err_msg=name)


@pytest.mark.parametrize("name", RUNS)
def test_old_runs_open(name, tmp_path):
    run = ls.Trajectory(workloads.unpacked(f"{name}.h5", tmp_path))
    with np.load(workloads.ARCHIVE / "runs.npz") as archive:
        old = {k.removeprefix(f"{name}/"): archive[k] for k in archive.files if k.startswith(name)}
    for key in ("initial", "final", "steps"):
        np.testing.assert_array_equal(getattr(run, key), old.pop(key))
    assert set(old) == {f"scalar {key}" for key in run.scalars}
    for key, values in run.scalars.items():
        np.testing.assert_array_equal(values, old[f"scalar {key}"])
    assert run.complete
    assert ls.path_metrics(run).step[-1] == run.steps[-1]


@pytest.mark.parametrize(("name", "count"), RESULTS.items())
def test_old_results_open_and_go_on_a_page(name, count, tmp_path):
    path = workloads.unpacked(f"{name}.results.h5", tmp_path)
    results = ls.load_results(path)
    assert len(results) == count
    again = tmp_path / "again.results.h5"
    for key, result in results.items():
        result.save(again, key)  # whatever was optional then
    assert list(ls.load_results(again)) == list(results)
    if name == "first":
        assert len(plot_results(results, tmp_path / "figures", formats=["svg"])) > 3
    assert Path(ls.explore(again, tmp_path / "page.html")).stat().st_size > 1e5
