"""Moving pictures: the right number of frames, in which the right things move."""

from __future__ import annotations

import shutil
import subprocess
from itertools import pairwise

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image
from test_plots import BOWL, make_path, make_surface

from landscape.plots.animate import evolution_frames, orbit_frames, walk_frames, write_animation


def frames_of(path) -> list[np.ndarray]:
    with Image.open(path) as image:
        found = []
        for k in range(image.n_frames):
            image.seek(k)
            found.append(np.asarray(image.convert("RGB")))
        return found


def test_a_walk_as_gif(tmp_path):
    figure = Figure(figsize=(6, 5), dpi=30, layout="constrained")
    frames = list(walk_frames(make_surface(BOWL), [make_path()], count=3, figure=figure))
    path = write_animation(frames, tmp_path / "walk.gif", per_second=10)
    read = frames_of(path)
    assert [frame.shape for frame in read] == [(150, 180, 3)] * 3
    with Image.open(path) as image:
        assert image.info["duration"] == 100
        assert image.info["loop"] == 0
    # Only what moves changes: most pixels stay as they are from one frame to the next.
    changed = [(a != b).any(axis=-1).mean() for a, b in pairwise(frames)]
    assert all(0 < share < 0.2 for share in changed)


def test_an_orbit_stays_inside_its_window():
    frames = list(orbit_frames(make_surface(BOWL), count=4, pixels=80))
    assert [frame.shape for frame in frames] == [(60, 80, 3)] * 4
    for frame in frames:
        assert (frame[[0, -1]] == 255).all()
        assert (frame != 255).any(axis=-1).mean() > 0.04
    assert (frames[0] != frames[2]).any()


def test_surfaces_along_training_share_their_levels():
    surfaces = [make_surface(BOWL * scale) for scale in (1.0, 3.0)]
    frames = list(evolution_frames(surfaces, names=["step 0", "step 9"]))
    assert len(frames) == 2
    with pytest.raises(ValueError, match="Got 2 surfaces and 1 names"):
        list(evolution_frames(surfaces, names=["step 0"]))


def test_mp4_needs_ffmpeg_and_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(FileNotFoundError, match="MP4 needs ffmpeg"):
        write_animation([], tmp_path / "walk.mp4")
    with pytest.raises(ValueError, match=r"\.gif or \.mp4; not 'walk\.avi'"):
        write_animation([], tmp_path / "walk.avi")
    with pytest.raises(ValueError, match="No frame"):
        write_animation([], tmp_path / "walk.gif")


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
def test_mp4_has_every_frame(tmp_path):
    frames = [np.full((31, 41, 3), shade, np.uint8) for shade in (0, 100, 200)]
    path = write_animation(frames, tmp_path / "grey.mp4", per_second=5)
    probe = [
        "ffprobe",
        "-v",
        "error",
        "-count_frames",
        "-show_entries",
        "stream=nb_read_frames,width",
    ]
    said = subprocess.run(
        [*probe, "-of", "csv=p=0", str(path)], capture_output=True, text=True, check=True
    )
    assert said.stdout.strip() == "40,3"


def test_walk_frames_want_a_path():
    with pytest.raises(ValueError, match="No path was given"):
        next(walk_frames(make_surface(BOWL), []))
