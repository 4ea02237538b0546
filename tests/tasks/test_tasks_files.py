"""Data sets on disk: what is read is what was written; what is damaged is refused by name."""

from __future__ import annotations

import gzip
import struct

import numpy as np
import pytest
import torch

from landscape.tasks import DATA, load_task
from landscape.tasks.cifar import read_cifar
from landscape.tasks.idx import read_idx


def idx_bytes(array, magic=None):
    header = magic or bytes([0, 0, 8, array.ndim])
    return header + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def write_mnist(folder, *, images=12, **replaced):
    """The four files of MNIST with a few random images; `replaced` gives other contents."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(0)
    files = {}
    for part in ("train", "t10k"):
        pixels = generator.integers(0, 256, (images, 28, 28), np.uint8)
        labels = (np.arange(images) % 10).astype(np.uint8)
        files[f"{part}-images-idx3-ubyte"] = idx_bytes(pixels)
        files[f"{part}-labels-idx1-ubyte"] = idx_bytes(labels)
    for name, content in {**files, **replaced}.items():
        (folder / name).write_bytes(content)
    return files


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working folder without $LANDSCAPE_DATA."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LANDSCAPE_DATA", raising=False)
    return tmp_path


def test_idx_round_trip_plain_and_compressed(tmp_path):
    array = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
    (tmp_path / "a").write_bytes(idx_bytes(array))
    (tmp_path / "a.gz").write_bytes(gzip.compress(idx_bytes(array)))
    for name in ("a", "a.gz"):
        np.testing.assert_array_equal(read_idx(tmp_path / name, dimensions=3), array)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda b: b[:-1], "needs 40"),
        (lambda b: b + b"x", "holds 41 bytes"),
        (lambda b: b[:9], "within its header"),
        (lambda b: b"", "begins with bytes"),
        (lambda b: b"\0\0\x0d" + b[3:], "begins with bytes 00 00 0d 03"),
        (lambda b: b"\0\0\x08\x01" + b[4:], "00 00 08 03"),
    ],
)
def test_damaged_idx_is_refused(tmp_path, change, expected):
    path = tmp_path / "some-images"
    path.write_bytes(change(idx_bytes(np.zeros((2, 3, 4), np.uint8))))
    with pytest.raises(ValueError, match=expected) as caught:
        read_idx(path, dimensions=3)
    assert "some-images" in str(caught.value)


@pytest.mark.parametrize("change", [lambda b: b[:-9], lambda b: b"no gzip", lambda b: b[:20]])
def test_damaged_gzip_is_refused(tmp_path, change):
    path = tmp_path / "some-images.gz"
    path.write_bytes(change(gzip.compress(idx_bytes(np.zeros((2, 3, 4), np.uint8)))))
    with pytest.raises(ValueError, match=r"some-images\.gz is not a complete gzip file"):
        read_idx(path, dimensions=3)


def test_mnist_is_found_in_either_place(here, monkeypatch):
    files = write_mnist(here / "data" / "mnist")
    first = load_task("mnist/mlp-8").train
    raw = np.frombuffer(files["train-images-idx3-ubyte"], np.uint8, offset=16)
    expected = (raw.reshape(12, 1, 28, 28) / 255 - 0.1307) / 0.3081
    # Values up to 3 in float32, three roundings: 4e-7 each at most.
    np.testing.assert_allclose(first[0].numpy(), expected, atol=2e-6)
    for root, variable in (("elsewhere", "elsewhere"), ("more/data", "more")):
        write_mnist(here / root / "fashion-mnist")
        monkeypatch.setenv("LANDSCAPE_DATA", str(here / variable))
        assert load_task("fashion-mnist/mlp-8").train[0].shape == (12, 1, 28, 28)


def test_absent_data_says_where_it_looked_and_what_to_do(here, monkeypatch):
    monkeypatch.setenv("LANDSCAPE_DATA", "/nowhere")
    for name in ("mnist/mlp", "cifar10/resnet20", "tiny-shakespeare/gpt"):
        with pytest.raises(FileNotFoundError) as caught:
            load_task(name)
        for part in ("landscape data fetch", "LANDSCAPE_DATA", "/nowhere/", "data/"):
            assert part in str(caught.value)


def test_mnist_parts_must_belong_together(here):
    labels = np.zeros(11, np.uint8)
    write_mnist(here / "data/mnist", **{"train-labels-idx1-ubyte": idx_bytes(labels)})
    with pytest.raises(ValueError, match="11 labels"):
        load_task("mnist/mlp")
    write_mnist(here / "data/mnist", **{"train-labels-idx1-ubyte": idx_bytes(labels[:11] + 10)})
    with pytest.raises(ValueError, match="train-labels"):
        load_task("mnist/mlp")


def test_cifar_records(here):
    folder = here / "data" / "cifar-10-batches-bin"
    folder.mkdir(parents=True)
    records = np.random.default_rng(0).integers(0, 256, (4, 3073), np.uint8)
    records[:, 0] = [3, 1, 9, 0]
    for name in ("data_batch_1.bin", "data_batch_3.bin", "test_batch.bin"):
        (folder / name).write_bytes(records.tobytes())
    images, labels = load_task("cifar10/mlp-8").train
    assert labels.tolist() == [3, 1, 9, 0] * 2
    red = (records[:, 1:1025].reshape(4, 32, 32) - 125.3) / 63.0
    np.testing.assert_allclose(images[:4, 0].numpy(), red, atol=2e-6)


@pytest.mark.parametrize(
    ("content", "expected"),
    [(bytes(3072), "3073-byte records"), (b"", "0 bytes"), (b"\x0a" + bytes(3072), "label 10")],
)
def test_damaged_cifar_is_refused(tmp_path, content, expected):
    path = tmp_path / "data_batch_1.bin"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=expected) as caught:
        read_cifar(path)
    assert "data_batch_1.bin" in str(caught.value)


def test_shortened_text_is_refused(here):
    folder = here / "data" / "tiny-shakespeare"
    folder.mkdir(parents=True)
    (folder / "input.txt").write_text("First Citizen:\n")
    with pytest.raises(ValueError, match=r"input\.txt holds 15 characters .* expected 1115394"):
        load_task("tiny-shakespeare/gpt")


def test_real_files_have_the_published_shapes():
    """MNIST: 60,000 and 10,000 images; the mean and deviation the constants stand for."""
    for name in ("mnist", "fashion-mnist"):
        try:
            data = DATA[name][0]()
        except FileNotFoundError as absent:
            pytest.skip(str(absent))
        assert data.train[0].shape == (60000, 1, 28, 28)
        assert data.test[0].shape == (10000, 1, 28, 28)
        # The constants have four digits: mean within 5e-5 / std, deviation within 5e-5 / std.
        assert abs(data.train[0].mean().item()) < 5e-4
        assert abs(data.train[0].std().item() - 1) < 5e-4
        assert torch.bincount(data.train[1]).sum() == 60000


def test_real_text_is_cut_into_all_its_blocks():
    try:
        data = DATA["tiny-shakespeare"][0]()
    except FileNotFoundError as absent:
        pytest.skip(str(absent))
    inputs, targets = data.train
    assert inputs.shape == ((1_115_394 * 9 // 10 - 1) // 64, 64)
    assert torch.equal(inputs.reshape(-1)[1:], targets.reshape(-1)[:-1])
