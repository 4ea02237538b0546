"""Moving pictures: the right number of frames, in which the right things move."""

from __future__ import annotations

import os
import shutil
import subprocess
from itertools import pairwise

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image
from test_plots import BOWL, make_path, make_surface

from landscape.plots.animate import evolution_frames, orbit_frames, walk_frames, write_animation
from landscape.plots.render import render_surface


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
    white = (frames[0] == 255).all(axis=-1)
    assert (read[0][white] == 255).all()
    # 256 colours for all frames: single pixels at edges may be off, most are not.
    assert np.abs(read[0].astype(int) - frames[0]).max(axis=-1).mean() < 6
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


def test_surfaces_along_training_share_colours_and_heights():
    low, high = (make_surface(BOWL * scale, settings={"step": 7}) for scale in (1.0, 3.0))
    alone = list(evolution_frames([low, high], pixels=200))
    assert alone[0].shape == alone[1].shape
    # The lower surface looks the same beside any order of the same surfaces, and lower is darker.
    again = list(evolution_frames([high, low], pixels=200))
    np.testing.assert_array_equal(alone[0], again[1])
    relief = [frame[:, frame.shape[1] // 2 :].astype(float) for frame in alone]
    shown = [half[(half != 255).any(axis=-1)].mean() for half in relief]
    assert shown[0] < shown[1]
    with pytest.raises(ValueError, match="Got 2 surfaces and 1 names"):
        list(evolution_frames([low, high], names=["step 0"]))


def test_a_relief_does_not_start_above_its_surface():
    with pytest.raises(ValueError, match=r"floor=1 is above the smallest loss, 0\.03"):
        render_surface(make_surface(BOWL), floor=1.0)


def test_mp4_needs_ffmpeg_and_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(FileNotFoundError, match="MP4 needs ffmpeg"):
        write_animation([], tmp_path / "walk.mp4")
    with pytest.raises(ValueError, match=r"\.gif or \.mp4; not 'walk\.avi'"):
        write_animation([], tmp_path / "walk.avi")
    with pytest.raises(ValueError, match="No frame"):
        write_animation([], tmp_path / "walk.gif")


def test_mp4_has_every_frame_at_its_size_and_shade(tmp_path):
    if shutil.which("ffmpeg") is None:
        message = "ffmpeg is not installed"
        pytest.fail(message) if os.environ.get("LANDSCAPE_REQUIRE_FFMPEG") else pytest.skip(message)
    frames = [np.full((31, 41, 3), shade, np.uint8) for shade in (0, 100, 200)]
    path = write_animation(frames, tmp_path / "grey.mp4", per_second=5)
    said = subprocess.run(
        ["ffprobe", "-v", "error", "-count_frames", "-of", "csv=p=0", "-show_entries",
         "stream=codec_name,width,height,r_frame_rate,nb_read_frames", str(path)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert said.stdout.strip() == "h264,40,30,5/1,3"  # H.264 wants even sides
    raw = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", str(path), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"],
        capture_output=True, check=True,
    )  # fmt: skip
    read = np.frombuffer(raw.stdout, np.uint8).reshape(3, 30, 40, 3).astype(int)
    # Compression with loss, and video range: flat grey comes back within a few of 255.
    for frame, shade in zip(read, (0, 100, 200), strict=True):
        assert np.abs(frame - shade).max() <= 6


def test_walk_frames_want_a_path():
    with pytest.raises(ValueError, match="No path was given"):
        next(walk_frames(make_surface(BOWL), []))
