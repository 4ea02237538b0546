"""Files of the 2018 tool: memory order, what counts as measured, broken files, round trips."""

from __future__ import annotations

import sys
import tempfile
from dataclasses import replace

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import nn

import landscape as ls
from landscape.cli import main
from landscape.exchange.li2018 import folder as li2018_folder
from landscape.exchange.li2018 import reader as li2018
from landscape.exchange.li2018 import writer as li2018_export
from landscape.results.affine import Line, Plane
from landscape.results.profile import Profile
from landscape.results.surface import Surface

X, Y = np.array([-1.0, 0.0, 1.0, 3.0]), np.array([-7.0, 6.0])


def as_the_tool_writes(path, values, *, x=X, y=Y, accuracy=None):
    """Arrays shaped (len(x), len(y)) but filled along a mesh of (y, x), as its workers do."""
    mesh = [axis.ravel() for axis in np.meshgrid(x, y)]
    loss = -np.ones((len(x), len(y)))
    loss.ravel()[:] = values(*mesh)
    with h5py.File(path, "w") as file:
        file["dir_file"] = "nets/a_weights_xignore=biasbn_xnorm=filter.h5"
        file["xcoordinates"], file["ycoordinates"] = x, y
        file["train_loss"] = loss
        if accuracy is not None:
            percent = -np.ones_like(loss)
            percent.ravel()[:] = accuracy(*mesh)
            file["train_acc"] = percent
    return path


def test_each_loss_belongs_to_its_own_coordinates(tmp_path):
    path = as_the_tool_writes(tmp_path / "a.h5", lambda x, y: x + 100 * y)
    surface = li2018.read_measured(path)
    assert isinstance(surface, Surface)
    assert surface.loss.shape == (2, 4)
    np.testing.assert_array_equal(surface.loss, X[None] + 100 * Y[:, None])
    assert surface.settings["normalization"] == "filter"
    assert surface.settings["ignored"] == ["bias", "norm"]
    assert surface.labels == ("direction 1", "direction 2")


def test_axes_that_run_backwards_are_turned_round(tmp_path):
    path = as_the_tool_writes(tmp_path / "a.h5", lambda x, y: x + 100 * y, x=X[::-1], y=Y[::-1])
    surface = li2018.read_measured(path)
    np.testing.assert_array_equal(surface.alpha, X)
    np.testing.assert_array_equal(surface.loss, X[None] + 100 * Y[:, None])


def test_only_minus_one_in_loss_and_accuracy_means_not_measured(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["xcoordinates"] = np.arange(6.0)
        file["train_loss"] = [-1.0, -1.0, -3.5, 0.0, 2.0, 8e35]
        file["train_acc"] = [-1.0, 40.0, 90.0, 100.0, -1.0, 10.0]
    line = li2018.read_measured(tmp_path / "a.h5")
    np.testing.assert_array_equal(line.loss[0], [np.nan, -1.0, -3.5, 0.0, 2.0, 8e35])
    # 1 - 0.9 and the like round once.
    np.testing.assert_allclose(line.values[0, 1], [np.nan, 0.6, 0.1, 0, np.nan, 0.9], rtol=1e-15)
    assert line.metrics == ("loss", "error")


def test_without_accuracies_minus_one_alone_means_not_measured(tmp_path):
    path = as_the_tool_writes(tmp_path / "a.h5", lambda x, y: np.where(x < 0, -1, x - 2.5))
    surface = li2018.read_measured(path)
    assert isinstance(surface, Surface)
    assert surface.metrics == ("loss",)
    np.testing.assert_array_equal(surface.computed, [[False, True, True, True]] * 2)
    np.testing.assert_array_equal(surface.loss[0], [np.nan, -2.5, -1.5, 0.5])


def test_more_metrics_keep_their_names(tmp_path):
    path = as_the_tool_writes(tmp_path / "a.h5", lambda x, y: x**2, accuracy=lambda x, y: 50 + x)
    with h5py.File(path, "r+") as file:
        file["max_eig"] = file["train_loss"][()] + 1
        file["test_acc"] = file["train_acc"][()] - 10
        file["times"] = np.arange(3.0)
    surface = li2018.read_measured(path)
    assert surface.metrics == ("loss", "max_eig", "test_error", "error")
    np.testing.assert_allclose(surface.values[2] - surface.values[3], 0.1, rtol=1e-12)


@pytest.fixture
def surface():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(2, 3, 5))
    values[0, 0, :3] = [np.nan, np.inf, -1.0]
    computed = np.ones((3, 5), bool)
    computed[2, 4] = False
    values[:, 2, 4] = np.nan
    return Surface(
        alpha=np.linspace(-1, 25, 5),
        beta=np.linspace(-7, 6, 3),
        metrics=("loss", "error"),
        values=values,
        standard_error=np.zeros_like(values),
        computed=computed,
        gram=np.eye(2),
        labels=("x", "y"),
    )


def test_a_surface_survives_export_and_import(surface, tmp_path):
    li2018_export.write(surface, tmp_path / "a.h5")
    back = li2018.read_measured(tmp_path / "a.h5")
    assert isinstance(back, Surface)
    for name in ("alpha", "beta", "computed", "loss"):
        np.testing.assert_array_equal(getattr(back, name), getattr(surface, name))
    # Per cent and back: three roundings of numbers of order 1 and 100.
    np.testing.assert_allclose(back.values[1], surface.values[1], rtol=0, atol=1e-13)
    with h5py.File(tmp_path / "a.h5") as file:
        # What its two-dimensional plots draw: contour(X, Y, Z) wants equal shapes.
        mesh = np.meshgrid(file["xcoordinates"][:], file["ycoordinates"][:])
        assert file["train_loss"].shape == mesh[0].shape
        # What its scheduler computes next: everything that is -1 (and, its mistake, below 0).
        assert file["train_loss"][2, 4] == -1
        assert file["train_acc"][2, 4] == -1


LOSSES = st.one_of(st.floats(), st.sampled_from([-1.0, 0.0, 8e35]))


@settings(max_examples=25, deadline=None)
@given(st.data(), st.integers(1, 4), st.integers(1, 4))
def test_whatever_was_measured_survives(data, across, up):
    shape = (1, up, across)
    values = data.draw(arrays(np.float64, shape, elements=LOSSES))
    computed = data.draw(arrays(np.bool_, shape[1:]).filter(lambda a: bool(a.any())))
    surface = Surface(
        alpha=np.arange(across),
        beta=np.arange(up) - 7,
        metrics=("loss",),
        values=np.where(computed, values, np.nan),
        standard_error=np.zeros(shape),
        computed=computed,
        gram=np.eye(2),
        labels=("x", "y"),
    )
    with tempfile.TemporaryDirectory() as folder:
        li2018_export.write(surface, f"{folder}/a.h5")
        back = li2018.read_measured(f"{folder}/a.h5")
    assert isinstance(back, Surface)
    # A loss of exactly -1 comes back too: without an error its exported accuracy is NaN, not -1.
    np.testing.assert_array_equal(back.loss, surface.loss)
    np.testing.assert_array_equal(back.computed, surface.computed)


def test_a_line_and_a_path_survive_export_and_import(tmp_path):
    line = ls.Profile(
        alpha=np.linspace(-1, 1, 4),
        metrics=("loss",),
        values=np.array([[[4.0, 1.0, np.nan, 2.0]]]),
        standard_error=np.zeros((1, 1, 4)),
        names=("net",),
        label="x",
    )
    li2018_export.write(line, tmp_path / "line.h5")
    back = li2018.read_measured(tmp_path / "line.h5")
    np.testing.assert_array_equal(back.values, line.values)
    with h5py.File(tmp_path / "line.h5") as file:  # its line plot reads accuracies always
        assert file["train_acc"].shape == (4,)
    path = ls.Projection(
        name="net",
        optimizer="",
        step=np.arange(3),
        coordinates=np.array([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]),
        residual=np.zeros(3),
        shown=1.0,
    )
    li2018_export.write(path, tmp_path / "directions.h5_proj_cos.h5")
    again = li2018.read_projection(tmp_path / "directions.h5_proj_cos.h5")
    np.testing.assert_array_equal(again.coordinates, path.coordinates)
    assert np.isnan(again.residual).all()


def test_what_cannot_be_exported(surface, tmp_path):
    li2018_export.write(surface, tmp_path / "a.h5")
    with pytest.raises(FileExistsError):
        li2018_export.write(surface, tmp_path / "a.h5")
    two = ls.Profile(
        alpha=np.zeros(1),
        metrics=("loss",),
        values=np.zeros((2, 1, 1)),
        standard_error=np.zeros((2, 1, 1)),
        names=("a", "b"),
        label="x",
    )
    with pytest.raises(ValueError, match="2 lines"):
        li2018_export.write(two, tmp_path / "b.h5")
    assert not (tmp_path / "b.h5").exists()


def test_broken_files_say_what_is_wrong(surface, tmp_path):
    path = tmp_path / "a.h5"
    h5py.File(path, "w").close()
    with pytest.raises(ls.SchemaError, match="holds nothing"):
        li2018.read_measured(path)
    with h5py.File(path, "w") as file:
        file["xcoordinates"], file["ycoordinates"] = X, Y
    with pytest.raises(ls.SchemaError, match=r"4 x 2.*no losses"):
        li2018.read_measured(path)
    with h5py.File(path, "r+") as file:
        file["train_loss"] = np.zeros((3, 2))
    with pytest.raises(ls.SchemaError, match="6 values"):
        li2018.read_measured(path)
    as_the_tool_writes(path, lambda x, y: 0 * x - 1, accuracy=lambda x, y: 0 * x - 1)
    with pytest.raises(ls.SchemaError, match="none of its 8 points"):
        li2018.read_measured(path)
    with h5py.File(path, "r+") as file:
        del file["train_loss"]
    with pytest.raises(ls.SchemaError, match="none of its 8 points"):
        li2018.read_measured(path)
    as_the_tool_writes(path, lambda x, y: x, x=np.array([0.0, 0.0]))
    with pytest.raises(ls.SchemaError, match="distinct"):
        li2018.read_measured(path)
    with h5py.File(path, "w") as file:
        file["weights"] = X
    with pytest.raises(ls.SchemaError, match=r"no xcoordinates.*weights"):
        li2018.read_measured(path)
    with pytest.raises(ls.SchemaError, match="holds measured, not projection"):
        li2018.read_projection(path)
    surface.save(tmp_path / "ours.h5", "surface/a")
    with pytest.raises(ls.SchemaError, match="needs no import"):
        li2018.read_measured(tmp_path / "ours.h5")
    path.write_bytes(b"not HDF5")
    with pytest.raises(ls.SchemaError, match="not an HDF5 file"):
        li2018.read_measured(path)


def test_links_to_other_files_are_not_followed(tmp_path):
    as_the_tool_writes(tmp_path / "secret.h5", lambda x, y: x)
    path = as_the_tool_writes(tmp_path / "a.h5", lambda x, y: x)
    with h5py.File(path, "r+") as file:
        del file["train_loss"]
        file["train_loss"] = h5py.ExternalLink(str(tmp_path / "secret.h5"), "train_loss")
    with pytest.raises(ls.SchemaError, match="not an array"):
        li2018.read_measured(path)


@pytest.fixture
def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2), nn.Linear(2, 1))


def write_directions(path, tensors, names=("xdirection", "ydirection")):
    with h5py.File(path, "w") as file:
        for name in names:
            for number, tensor in enumerate(tensors):
                file[f"{name}/{number}"] = tensor * (1 + (name == "ydirection") * number)
    return path


@pytest.mark.parametrize("entries", ["weights", "states", "states of old"])
def test_directions_follow_the_parameters(network, entries, tmp_path):
    state = network.state_dict()
    moving = {n for n, _ in network.named_parameters()}
    chosen = {
        "weights": [n for n in state if n in moving],
        "states": list(state),
        "states of old": [n for n in state if "num_batches" not in n],
    }[entries]
    tensors = [np.full(state[n].shape, i + 1.0) * (n in moving) for i, n in enumerate(chosen)]
    plane = li2018.read_directions(write_directions(tmp_path / "d.h5", tensors), state)
    assert isinstance(plane, Plane)
    layout = ls.Layout.of(network)
    for entry in layout:
        expected = chosen.index(entry.name) + 1
        assert (plane.directions[0, entry.slice] == expected).all()
    flat = np.concatenate([state[e.name].ravel() for e in layout])
    np.testing.assert_array_equal(plane.origin, flat)
    one = write_directions(tmp_path / "one.h5", tensors, names=("xdirection",))
    assert isinstance(li2018.read_directions(one, state), Line)


def test_directions_of_another_network(network, tmp_path):
    state = network.state_dict()
    moved = [np.ones(t.shape) for t in state.values()]
    with pytest.raises(ls.SchemaError, match="running_mean, a running statistic"):
        li2018.read_directions(write_directions(tmp_path / "a.h5", moved), state)
    with pytest.raises(ls.SchemaError, match="2 tensors per direction"):
        li2018.read_directions(write_directions(tmp_path / "b.h5", moved[:2]), state)
    moved[0] = np.ones((9, 9))
    with pytest.raises(ls.SchemaError, match="different networks"):
        li2018.read_directions(write_directions(tmp_path / "c.h5", moved), state)


def test_files_of_one_plane_belong_together(network, tmp_path):
    state = network.state_dict()
    weights = [np.ones(p.shape) for p in network.parameters()]
    folder = tmp_path / "net" / "PCA_weights_save_epoch=1"
    folder.mkdir(parents=True)
    directions = write_directions(folder / "directions.h5", weights)
    small = as_the_tool_writes(folder / "directions.h5_[-1.0,3.0,4].h5", lambda x, y: x)
    large = as_the_tool_writes(folder / "directions.h5_[-9.0,9.0,4].h5", lambda x, y: y)
    path = folder / "directions.h5_proj_cos.h5"
    with h5py.File(path, "w") as file:
        file["proj_xcoord"], file["proj_ycoord"] = [0.0, 1.0], [0.0, 1.0]
    alone = li2018_folder.read_all([small, large, path])
    assert list(alone) == ["surface/pca", "surface/pca/4x2", "projection/pca/net"]
    assert np.isnan(alone["surface/pca"].gram).all()
    known = li2018_folder.read_all([path, small, directions], state=state)
    assert list(known) == ["projection/pca/net", "surface/pca", "plane/pca"]
    plane = known["plane/pca"]
    np.testing.assert_array_equal(known["surface/pca"].gram, plane.gram)
    for found in (alone, known):
        hashes = {r.provenance["plane_hash"] for n, r in found.items() if "plane/" not in n}
        assert len(hashes) == 1
    model_less = li2018_folder.read_all([small, directions])["surface/pca"]
    np.testing.assert_allclose(model_less.gram, plane.gram, rtol=1e-6)
    with pytest.raises(ls.SchemaError, match="Directions alone"):
        li2018_folder.read_all([directions])


def test_broken_files_are_named_and_left_out(tmp_path):
    good = as_the_tool_writes(tmp_path / "good.h5", lambda x, y: x)
    for name in ("one.h5", "two.h5"):
        h5py.File(tmp_path / name, "w").close()
    with pytest.warns(UserWarning, match=r"Left out: .*one\.h5.*two\.h5"):
        found = li2018_folder.read_all([tmp_path / "one.h5", good, tmp_path / "two.h5"])
    assert list(found) == ["surface/given"]
    with pytest.warns(UserWarning, match=r"Left out: .*one\.h5.*two\.h5"):
        assert list(li2018_folder.read_all([tmp_path])) == ["surface/given"]
    with pytest.raises(ls.SchemaError, match=r"one\.h5.*two\.h5"):
        li2018_folder.read_all([tmp_path / "one.h5", tmp_path / "two.h5"])


def test_command_line(tmp_path, monkeypatch, capsys):
    def run(*words, fails=False):
        monkeypatch.setattr(sys, "argv", ["landscape", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            main()
        assert bool(stop.value.code) == fails
        return "".join(capsys.readouterr())

    theirs = as_the_tool_writes(tmp_path / "a_weights_xnorm=filter.h5_[x].h5", lambda x, y: x + y)
    out = tmp_path / "a.results.h5"
    assert "surface/random from a_weights" in run(
        "import", "--format", "li2018", theirs, "--out", out
    )
    assert "already" in run("import", "--format", "li2018", theirs, "--out", out, fails=True)
    run("export", out, "surface/random", "--out", tmp_path / "b.h5")
    back, first = (li2018.read_measured(path) for path in (tmp_path / "b.h5", theirs))
    np.testing.assert_array_equal(back.loss, first.loss)
    assert "it holds surface/random" in run("export", out, "surface/pca", fails=True)
    assert "checkpoints, li2018" in run("import", theirs, "--format", "vtk", fails=True)


@pytest.mark.parametrize(("extreme", "marker"), [(-1.7976931348623157e308, "v"), (1e150, "^")])
def test_extreme_values_are_drawn_and_said(tmp_path, extreme, marker):
    with h5py.File(tmp_path / "a.h5_[-1,1,6].h5", "w") as file:
        file["xcoordinates"] = np.linspace(-1, 1, 6)
        file["train_loss"] = np.array([extreme, 1, 0.5, 2, 3.0, 2.5])
    line = li2018.read_measured(tmp_path / "a.h5_[-1,1,6].h5")
    assert isinstance(line, Profile)
    ax = ls.plot_profile(line)
    assert ax.get_ylabel() == f"loss (1 beyond the axis: {extreme:.2g})"
    (beyond,) = (drawn for drawn in ax.lines if drawn.get_gid() == "beyond")
    assert (beyond.get_marker(), beyond.get_xdata()[0]) == (marker, -1)
    ax.figure.canvas.draw()
    low, high = ax.get_ylim()
    assert 0 <= low < high < 10
    values = np.where(np.arange(12).reshape(3, 4) == 5, extreme, np.arange(12.0).reshape(3, 4))
    surface = li2018.read_measured(as_the_tool_writes(tmp_path / "s.h5", lambda x, y: x + y))
    assert isinstance(surface, Surface)
    surface = replace(
        surface, alpha=np.arange(4.0), beta=np.arange(3.0), values=values[None],
        standard_error=np.zeros((1, 3, 4)), computed=np.ones((3, 4), bool),
    )  # fmt: skip
    ax = ls.plot_surface(surface)
    ax.figure.canvas.draw()
    side = "below" if extreme < 0 else "above"
    assert f"clipped {side}" in ax.child_axes[0].get_ylabel()
