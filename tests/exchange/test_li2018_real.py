"""Surfaces, directions and networks that other people made with the 2018 tool."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import landscape as ls
from landscape.exchange.checkpoints.state import load_state
from landscape.exchange.li2018 import folder as li2018_folder
from landscape.exchange.li2018 import reader as li2018
from landscape.plots.results import plot_results
from landscape.results.affine import Plane
from landscape.tasks.idx import read_idx
from landscape.tasks.task import classification_error, cross_entropy

NETS = "surfaces/marko-janic/cifar10/trained_nets"
SGD = f"{NETS}/net_model_epochs_sgd/PCA_weights_ignore=biasbn_save_epoch=1/directions.h5"
ADADELTA = f"{NETS}/net_model_pca_adadelta/PCA_weights_ignore=biasbn_save_epoch=1/directions.h5"
MODEL = f"{NETS}/model_40epochs_lr1.0_gamma0.7_batchsize64/model.pt"
RANDOM = "xignore=biasbn_xnorm=filter_yignore=biasbn_ynorm=filter.h5_[-1.0,1.0,51]x[-1.0,1.0,51].h5"
MNIST = "checkpoints/mnist_dense_entropy/model_20230414_171505_10"
MNIST_DIRECTIONS = f"{MNIST}_states_xignore=biasbn_xnorm=filter_yignore=biasbn_ynorm=filter.h5"


@pytest.mark.parametrize(
    ("file", "shape", "measured", "x", "y"),
    [
        (f"{MODEL}_weights_{RANDOM}", (51, 51), 2601, (-1, 1), (-1, 1)),
        (f"{NETS}/model_scicore/model.pt_weights_{RANDOM}", (51, 51), 59, (-1, 1), (-1, 1)),
        (f"{SGD}_[-1.0,3.0,10]x[-1.0,1.0,10].h5", (10, 10), 100, (-1, 3), (-1, 1)),
        (f"{SGD}_[-1.0,3.0,30]x[-1.0,1.0,30].h5", (30, 30), 62, (-1, 3), (-1, 1)),
        (f"{ADADELTA}_[-1.0,1.0,51]x[-1.0,1.0,51].h5", (51, 51), 2601, (-1, 1), (-1, 1)),
        (f"{ADADELTA}_[-1.0,25.0,10]x[-7.0,6.0,10].h5", (10, 10), 100, (-1, 25), (-7, 6)),
        (f"{MODEL}_states_xignore=biasbn_xnorm=filter.h5_[-1.0,1.0,51].h5", None, 51, (-1, 1), ()),
    ],
)  # fmt: skip
def test_every_surface_is_read_and_drawn(real_file, file, shape, measured, x, y, tmp_path):
    path = real_file(file)
    found = li2018_folder.read_all([path])
    (result,) = found.values()
    assert (result.alpha[0], result.alpha[-1]) == x
    assert np.isfinite(result.loss).sum() == measured
    assert result.loss[np.isfinite(result.loss)].min() > 0
    if shape:
        assert result.loss.shape == shape
        assert (result.beta[0], result.beta[-1]) == y
        assert result.computed.sum() == measured
    error = result.values.reshape(-1, 2, *result.loss.shape[-2 if shape else 1 :])[0, 1]
    assert 0 <= np.nanmin(error) < np.nanmax(error) <= 1
    result.save(tmp_path / "a.h5", next(iter(found)))
    assert plot_results(ls.load_results(tmp_path / "a.h5"), tmp_path, formats=("png",))


def test_a_projected_path_lies_on_its_surface(real_file, tmp_path):
    files = [f"{SGD}_[-1.0,3.0,10]x[-1.0,1.0,10].h5", f"{SGD}_proj_cos.h5"]
    found = li2018_folder.read_all([real_file(f) for f in files])
    assert list(found) == ["surface/pca", "projection/pca/net_model_epochs_sgd"]
    path = found["projection/pca/net_model_epochs_sgd"]
    assert path.coordinates.shape == (20, 2)
    # The tool measures around the last checkpoint: the path ends at the origin.
    np.testing.assert_allclose(path.coordinates[-1], 0, atol=1e-6)
    drawn = plot_results(found, tmp_path, formats=("png",))
    assert any("paths of net_model_epochs_sgd;" in figure.sentence for figure in drawn)


def test_two_files_that_the_tool_left_unfinished(real_file):
    with pytest.raises(ls.SchemaError, match="holds nothing"):
        li2018_folder.read_all([real_file(f"{ADADELTA}_proj_cos.h5")])
    with pytest.raises(ls.SchemaError, match=r"51 x 51.*no losses"):
        li2018_folder.read_all(
            [real_file(f"{ADADELTA}_proj_cos.h5_[-1.0,1.0,51]x[-1.0,1.0,51].h5")]
        )


def test_a_stored_surface_is_recomputed_to_six_digits(real_file):
    state = load_state(real_file(MNIST))
    directions = real_file(MNIST_DIRECTIONS)
    plane = li2018.read_directions(directions, state)
    assert isinstance(plane, Plane)
    stored = li2018.read_measured(f"{directions}_[-1.0,1.0,25]x[-1.0,1.0,25].h5", directions=plane)
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(),
        nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10),
    )  # fmt: skip
    model.load_state_dict(dict(zip(model.state_dict(), state.values(), strict=True)))
    images = read_idx(real_file("mnist/train-images-idx3-ubyte.gz"), dimensions=3)
    labels = read_idx(real_file("mnist/train-labels-idx1-ubyte.gz"), dimensions=1)
    data = (
        torch.from_numpy(images.astype(np.float32) / 127.5 - 1),
        torch.from_numpy(labels.astype(np.int64)),
    )
    metrics = {"error": classification_error}
    objective = ls.Objective(model, cross_entropy, data, metrics=metrics, batch_size=2000)
    rows, columns = [0, 12, 17], [24, 12, 3]
    points = np.stack([stored.alpha[columns], stored.beta[rows]], axis=1)
    with pytest.raises(ValueError, match=r"different models: 8 missing \(first: 1.weight\)"):
        objective.at(plane.origin)  # that network calls its layers fc1 to fc4
    plain = np.asarray(plane.origin), np.asarray(plane.directions)
    found = objective.restrict(*plain)(points).mean
    np.testing.assert_allclose(found[0], stored.loss[rows, columns], rtol=1e-6)
    # At most one image in 60,000 lies so near a tie that rounding decides it.
    np.testing.assert_allclose(found[1], stored.values[1, rows, columns], atol=1.01 / 60_000)


def test_near_zero_filters_get_near_zero_directions(real_file):
    # Nine filters of this network died under weight decay; a direction must not blow them up.
    state = load_state(real_file(MNIST))
    model = nn.Sequential(
        nn.Linear(784, 64), nn.Linear(64, 64), nn.Linear(64, 64), nn.Linear(64, 10)
    )
    model.load_state_dict(dict(zip(model.state_dict(), state.values(), strict=True)))
    layout = ls.Layout.of(model)
    centre = np.concatenate([tensor.numpy().ravel() for tensor in state.values()])
    plane = ls.random_plane(centre, layout, seed=0)
    dead = 0
    for entry in (e for e in layout if e.kind == "weight"):
        wanted = layout.filter_norms(entry, centre)
        dead += int((wanted < 1e-6).sum())
        for direction in plane.directions:
            found = layout.filter_norms(entry, direction)
            # Single precision keeps a norm of n terms to about n roundings of 6e-8 at worst; the
            # norms below the smallest normal float32 (1e-38) vanish.
            np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-37)
    assert dead == 9
