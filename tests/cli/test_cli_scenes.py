"""`landscape render | mesh | animate` on a saved surface with a path."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from test_plots import BOWL, make_path, make_surface
from typer.testing import CliRunner

from landscape.cli import app


@pytest.fixture
def saved(tmp_path):
    file = tmp_path / "saved.results.h5"
    make_surface(BOWL).save(file, "surface/pca")
    make_path().save(file, "projection/pca/adam")
    make_path(plane="other").save(file, "projection/else/adam")
    return file


def run(*arguments: object):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_render_is_transparent_and_as_wide_as_asked(saved, tmp_path):
    done = run("render", saved, "--out", tmp_path / "relief.png", "--pixels", 200)
    assert "with 1 paths" in done.output, done.output
    with Image.open(tmp_path / "relief.png") as image:
        assert image.width == 200
        alpha = np.asarray(image.convert("RGBA"))[..., 3]
    assert alpha[0, 0] == 0
    assert alpha.max() == 255


def test_mesh_and_animation(saved, tmp_path):
    # 4 x 7 cells of two triangles each, none above the ceiling
    done = run("mesh", saved, "--out", tmp_path / "m.ply")
    assert "56 triangles, 1 paths" in done.output, done.output
    done = run("animate", saved, "--out", tmp_path / "m.gif", "--frames", 2)
    assert "2 frames" in done.output, done.output
    with Image.open(tmp_path / "m.gif") as image:
        assert image.n_frames == 2


def test_an_unknown_surface_is_named(saved):
    done = run("mesh", saved, "--surface", "surface/x")
    assert isinstance(done.exception, ValueError)
    assert "surface must be one of surface/pca; not 'surface/x'" in str(done.exception)
