"""ResNets: other people's trained networks load and give the accuracies they were saved with."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from landscape.exchange.checkpoints.state import load_state
from landscape.objective.objective import Objective
from landscape.tasks.resnet import ResNet, resnet
from landscape.tasks.task import Data, classification_error, cross_entropy

# Mean and standard deviation of the channels that each project divided its inputs by.
LI2018 = ((125.3 / 255, 123.0 / 255, 113.9 / 255), (63.0 / 255, 62.1 / 255, 66.7 / 255))
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def cifar(path, count, statistics):
    """The first images of a CIFAR-10 file in the binary version, normalized."""
    rows = np.fromfile(path, np.uint8, count=count * 3073).reshape(count, 3073)
    mean, deviation = (torch.tensor(s).view(3, 1, 1) for s in statistics)
    images = torch.from_numpy(rows[:, 1:].reshape(count, 3, 32, 32).astype(np.float32)) / 255
    return (images - mean) / deviation, torch.from_numpy(rows[:, 0].astype(np.int64))


# Accuracy in per cent and mean cross-entropy on the first 500 test images, as two other programs
# computed them; losses are stated to three digits, so half a unit of the fourth is allowed, and
# accuracies are multiples of .2, so that one image more or less fails.
@pytest.mark.parametrize(
    ("file", "depth", "shortcut", "statistics", "accuracy", "loss"),
    [
        ("li2018_resnet56/resnet56_sgd_lr0.1_bs128_wd0.0005_model_300.t7", 56, "projection",
         LI2018, 94.2, 0.2471),
        ("li2018_resnet56/resnet56_noshort_sgd_lr0.1_bs128_wd0.0005_model_300.t7", 56, "none",
         LI2018, 86.8, 0.3577),
        ("he2016_resnet_cifar10/resnet20-12fca82f.th", 20, "padding", IMAGENET, 91.0, 0.3745),
        ("he2016_resnet_cifar10/resnet56-4bfd9763.th", 56, "padding", IMAGENET, 94.0, 0.2627),
    ],
)  # fmt: skip
def test_trained_networks(real_file, file, depth, shortcut, statistics, accuracy, loss):
    model = ResNet(depth, shortcut=shortcut)
    model.load_state_dict(load_state(real_file(f"checkpoints/{file}")))
    data = cifar(real_file("cifar-10-batches-bin/test_batch.bin"), 500, statistics)
    metrics = {"error": classification_error}
    objective = Objective(model, cross_entropy, data, metrics=metrics, batch_size=32)
    found = objective.at(objective.parameters()).mean[:, 0]
    assert found[0] == pytest.approx(loss, abs=5e-5)
    assert 100 * (1 - found[1]) == pytest.approx(accuracy, abs=1e-6)


def test_trained_on_what_it_was_trained_on(real_file):
    file = "li2018_resnet56/resnet56_sgd_lr0.1_bs128_wd0.0005_model_300.t7"
    model = ResNet(56)
    model.load_state_dict(load_state(real_file(f"checkpoints/{file}")))
    data = cifar(real_file("cifar-10-batches-bin/data_batch_1.bin"), 500, LI2018)
    objective = Objective(model, cross_entropy, data, batch_size=32)
    assert objective.at(objective.parameters()).mean[0, 0] == pytest.approx(0.000552, abs=5e-7)


@pytest.mark.parametrize("shortcut", ["projection", "padding", "none"])
def test_shapes_and_gradients(shortcut):
    images = torch.randn(2, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    data = Data(
        train=(images, torch.tensor([0, 1])), test=(images, torch.tensor([0, 1])), classes=4
    )
    model = resnet(data, depth=8, width=4, shortcut=shortcut)
    model(images).square().sum().backward()
    assert model(images).shape == (2, 4)
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


def test_padding_keeps_every_second_pixel_between_zero_channels():
    model = ResNet(8, width=4, shortcut="padding")
    x = torch.arange(4 * 16.0).reshape(1, 4, 4, 4)
    y = model.layer2[0].shortcut(x)
    torch.testing.assert_close(y[:, 2:6], x[:, :, ::2, ::2], rtol=0, atol=0)
    assert y.shape == (1, 8, 2, 2)
    assert not y[:, :2].any()
    assert not y[:, 6:].any()


def test_without_a_shortcut_a_dead_block_forgets_its_input():
    # The definition of each kind: with its second batch norm at zero, a block passes on its
    # input (positive here, so that the ReLU does nothing) if it has a shortcut, and nothing if not.
    x = torch.rand(1, 4, 4, 4)
    for shortcut, expected in (("projection", x), ("padding", x), ("none", torch.zeros_like(x))):
        block = ResNet(8, width=4, shortcut=shortcut).eval().layer1[0]
        nn.init.zeros_(block.bn2.weight)
        torch.testing.assert_close(block(x), expected, rtol=0, atol=0)


def test_errors_of_the_network():
    with pytest.raises(ValueError, match="6n \\+ 2"):
        ResNet(18)
    with pytest.raises(ValueError, match="'projection', 'padding', 'none'"):
        ResNet(20, shortcut="identity")  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    "wrap",
    [
        lambda s: s,
        lambda s: {"acc": 93.5, "epoch": 300, "state_dict": s},
        lambda s: {"best": {"module." + k: v for k, v in s.items()}, "args": ["a"]},
        lambda s: {"model": {"_orig_mod.module." + k: v for k, v in s.items()}, "ema": s},
        lambda s: {k: v for k, v in s.items() if not k.endswith("num_batches_tracked")},
    ],
)
def test_state_dicts_are_found(wrap, tmp_path):
    model = ResNet(8, width=2)
    torch.save(wrap(model.state_dict()), tmp_path / "net.pt")
    other = ResNet(8, width=2)
    other.load_state_dict(load_state(tmp_path / "net.pt"))
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(other.state_dict()[name], tensor, rtol=0, atol=0)


def test_files_that_are_no_checkpoint(tmp_path):
    path = tmp_path / "net.pt"
    with pytest.raises(FileNotFoundError):
        load_state(path)
    with pytest.raises(ValueError, match="folder"):
        load_state(tmp_path)
    torch.save({"a": {"w": torch.ones(1)}, "b": {"w": torch.ones(1)}}, path)
    with pytest.raises(ValueError, match="several state dicts"):
        load_state(path)
    torch.save({"epoch": 3}, path)
    with pytest.raises(ValueError, match="no state dict"):
        load_state(path)
    torch.save(torch.ones(3), path)
    with pytest.raises(ValueError, match="holds a Tensor"):
        load_state(path)
    torch.save(nn.Linear(1, 1), path)
    with pytest.raises(ValueError, match="could run code"):
        load_state(path)
    whole = path.read_bytes()
    for content in (b"", whole[: len(whole) // 2], b"not a checkpoint at all"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"net\.pt"):
            load_state(path)
