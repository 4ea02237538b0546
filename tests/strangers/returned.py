"""What strangers' losses return."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import landscape as ls
from strangers.situation import Verdict, measures, refuses, situation

KIND = "what the loss returns"


def classifier() -> tuple[nn.Module, tuple[Tensor, Tensor]]:
    net = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3))
    return net, (torch.randn(48, 5), torch.randint(3, (48,)))


def padded() -> tuple[nn.Module, dict[str, Tensor]]:
    """A tagger of tokens, and sentences of 2 to 9 of them in rows of 9."""
    net = nn.Sequential(nn.Embedding(11, 6), nn.Tanh(), nn.Linear(6, 4))
    lengths = torch.arange(40) % 8 + 2
    mask = torch.arange(9) < lengths[:, None]
    tags = torch.randint(4, (40, 9)).masked_fill(~mask, -100)
    return net, {"tokens": torch.randint(1, 11, (40, 9)) * mask, "mask": mask, "tags": tags}


def point(model: nn.Module, loss: Callable[..., Any], data: Any, **options: Any) -> Any:
    objective = ls.Objective(model, loss, data, **options)
    return objective.at(objective.parameters())


def accuracy(logits: Tensor, y: Tensor) -> Tensor:
    return (logits.argmax(1) == y).float().mean()


@situation(KIND, "(mean loss, accuracy)")
def loss_and_accuracy(folder: Path) -> Verdict:
    model, data = classifier()

    def loss(model: nn.Module, batch: Any) -> Any:
        logits = model(batch[0])
        return F.cross_entropy(logits, batch[1]), accuracy(logits, batch[1])

    for options in ({}, {"batch_size": 16}, {"batch_size": 48}, {"strategy": "sequential"}):
        verdict = refuses("metrics=", lambda options=options: point(model, loss, data, **options))
    return verdict


@situation(KIND, "(summed loss, number of correct answers)")
def loss_and_count_of_correct(folder: Path) -> Verdict:
    model, data = classifier()

    def loss(model: nn.Module, batch: Any) -> Any:
        logits = model(batch[0])
        correct = (logits.argmax(1) == batch[1]).sum()
        return F.cross_entropy(logits, batch[1], reduction="sum"), correct

    return refuses("weight.*metrics=", lambda: point(model, loss, data))


@situation(KIND, "(loss of every sample, whether it was answered correctly)")
def losses_and_correct(folder: Path) -> Verdict:
    model, data = classifier()

    def loss(model: nn.Module, batch: Any) -> Any:
        logits = model(batch[0])
        return F.cross_entropy(logits, batch[1], reduction="none"), logits.argmax(1) == batch[1]

    return refuses("weight.*metrics=", lambda: point(model, loss, data))


@situation(KIND, "(mean loss, number of samples)")
def mean_and_count(folder: Path) -> Verdict:
    model, data = classifier()

    def loss(model: nn.Module, batch: Any) -> Any:
        return F.cross_entropy(model(batch[0]), batch[1]), len(batch[1])

    return refuses("no .sum, weight.", lambda: point(model, loss, data))


@situation(KIND, "(summed loss, a weight that the net predicts)")
def predicted_weight(folder: Path) -> Verdict:
    model, data = classifier()

    def loss(model: nn.Module, batch: Any) -> Any:
        logits = model(batch[0])
        sure = logits.softmax(1).amax(1).detach()
        return F.cross_entropy(logits, batch[1], reduction="none") * sure, sure

    return refuses("depends on the data only", lambda: point(model, loss, data))


@situation(KIND, "(logits, loss)")
def logits_and_loss(folder: Path) -> Verdict:
    model, data = classifier()

    def loss(model: nn.Module, batch: Any) -> Any:
        logits = model(batch[0])
        return logits, F.cross_entropy(logits, batch[1])

    return refuses(r"returned \(a tensor of shape", lambda: point(model, loss, data))


@situation(KIND, "(loss, accuracy, learning rate)")
def triple(folder: Path) -> Verdict:
    model, data = classifier()

    def loss(model: nn.Module, batch: Any) -> Any:
        value = F.cross_entropy(model(batch[0]), batch[1])
        return value, accuracy(model(batch[0]), batch[1]), 1e-3

    return refuses("one value per sample", lambda: point(model, loss, data))


@situation(KIND, "a list of losses")
def list_of_losses(folder: Path) -> Verdict:
    model, data = classifier()

    def loss(model: nn.Module, batch: Any) -> Any:
        return [F.cross_entropy(model(x[None]), y[None]) for x, y in zip(*batch, strict=True)]

    return refuses("a list", lambda: point(model, loss, data))


@situation(KIND, "a complex number")
def complex_value(folder: Path) -> Verdict:
    model, data = classifier()

    def loss(model: nn.Module, batch: Any) -> Any:
        return torch.fft.fft(model(batch[0])).mean()

    return refuses("complex.*real", lambda: point(model, loss, data))


@situation(KIND, "one loss per token, not reduced")
def loss_of_tokens(folder: Path) -> Verdict:
    model, data = padded()

    def loss(model: nn.Module, batch: Any) -> Any:
        return F.cross_entropy(model(batch["tokens"]).mT, batch["tags"], reduction="none")

    return refuses(r"beyond the first dimension", lambda: point(model, loss, data))


@situation(KIND, "a column, (B, 1)")
def column(folder: Path) -> Verdict:
    model, x = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 1)), torch.randn(40, 4)
    y = torch.randn(40, 1)

    def loss(model: nn.Module, batch: Any) -> Any:
        return (model(batch[0]) - batch[1]) ** 2

    return measures(model, loss, (x, y), loss(model, (x, y)).mean())


@situation(KIND, "a number of Python, by .item()")
def item(folder: Path) -> Verdict:
    model, data = classifier()

    def loss(model: nn.Module, batch: Any) -> Any:
        return F.cross_entropy(model(batch[0]), batch[1]).item()

    return measures(model, loss, data, loss(model, data))


@situation(KIND, "an array of numpy")
def array(folder: Path) -> Verdict:
    model, data = classifier()

    def loss(model: nn.Module, batch: Any) -> Any:
        p = model(batch[0]).softmax(1).detach().numpy()
        return -np.log(p[np.arange(len(p)), batch[1].numpy()])

    return measures(model, loss, data, loss(model, data).mean())


@situation(KIND, "a tensor of one element, (1,)")
def one_element(folder: Path) -> Verdict:
    model, data = classifier()

    def loss(model: nn.Module, batch: Any) -> Any:
        return F.cross_entropy(model(batch[0]), batch[1]).reshape(1)

    return measures(model, loss, data, loss(model, data))


@situation(KIND, "a named tuple with the loss, the accuracy and more")
def named_tuple(folder: Path) -> Verdict:
    model, data = classifier()
    step = namedtuple("step", ["accuracy", "loss"])

    def loss(model: nn.Module, batch: Any) -> Any:
        logits = model(batch[0])
        return step(accuracy(logits, batch[1]), F.cross_entropy(logits, batch[1]))

    return measures(model, loss, data, loss(model, data).loss)


@situation(KIND, "a dict with the loss, as of a training step")
def dictionary(folder: Path) -> Verdict:
    model, data = classifier()

    def loss(model: nn.Module, batch: Any) -> Any:
        logits = model(batch[0])
        each = F.cross_entropy(logits, batch[1], reduction="none")
        return {"loss": each, "log": {"accuracy": accuracy(logits, batch[1])}}

    return measures(model, loss, data, loss(model, data)["loss"].mean())


@dataclass
class Output:
    logits: Tensor
    loss: Tensor | None = None


@situation(KIND, "a dataclass that the net itself returns with its loss")
def dataclass_output(folder: Path) -> Verdict:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, _ = classifier()

        def forward(self, x: Tensor, y: Tensor) -> Output:
            logits = self.inner(x)
            return Output(logits, F.cross_entropy(logits, y))

    model, (_, data) = Net(), classifier()
    return measures(model, lambda m, b: m(*b), data, model(*data).loss)


@situation(KIND, "a dict of several losses and no total")
def parts_without_total(folder: Path) -> Verdict:
    model, data = classifier()

    def loss(model: nn.Module, batch: Any) -> Any:
        logits = model(batch[0])
        return {"ce": F.cross_entropy(logits, batch[1]), "norm": logits.square().mean()}

    return refuses("a dict with 'ce', 'norm'", lambda: point(model, loss, data))


@situation(KIND, "a sum over the batch (reduction='sum')")
def summed(folder: Path) -> Verdict:
    model, data = classifier()

    def loss(model: nn.Module, batch: Any) -> Any:
        return F.cross_entropy(model(batch[0]), batch[1], reduction="sum")

    refuses("is a sum over the batch", lambda: point(model, loss, data))
    return refuses("is a sum over the batch", lambda: point(model, loss, data, batch_size=16))


@situation(KIND, "a mean over the tokens that are not padding (ignore_index)")
def mean_over_tokens(folder: Path) -> Verdict:
    model, data = padded()

    def loss(model: nn.Module, batch: Any) -> Any:
        return F.cross_entropy(model(batch["tokens"]).mT, batch["tags"])

    return refuses("mean over tokens.*weight", lambda: point(model, loss, data))


@situation(KIND, "sums and counts of tokens, one each sentence")
def sums_of_tokens(folder: Path) -> Verdict:
    model, data = padded()

    def loss(model: nn.Module, batch: Any) -> Any:
        each = F.cross_entropy(model(batch["tokens"]).mT, batch["tags"], reduction="none")
        return each.sum(1), batch["mask"].sum(1)

    want = F.cross_entropy(model(data["tokens"]).mT, data["tags"])
    return measures(model, loss, data, want)


@situation(KIND, "the sum over the tokens and their number, some sentences without any")
def sum_of_tokens(folder: Path) -> Verdict:
    model, data = padded()
    data["tags"][::7] = -100

    def loss(model: nn.Module, batch: Any) -> Any:
        value = F.cross_entropy(model(batch["tokens"]).mT, batch["tags"], reduction="sum")
        return value, (batch["tags"] != -100).sum()

    want = F.cross_entropy(model(data["tokens"]).mT, data["tags"])
    return measures(model, loss, data, want, options={"batch_size": 8})


@situation(KIND, "cross-entropy with weights of classes")
def class_weights(folder: Path) -> Verdict:
    model, (x, y) = classifier()
    weights = torch.tensor([1.0, 2.0, 10.0])

    def loss(model: nn.Module, batch: Any) -> Any:
        return F.cross_entropy(model(batch[0]), batch[1], weights)

    def pair(model: nn.Module, batch: Any) -> Any:
        value = F.cross_entropy(model(batch[0]), batch[1], weights, reduction="none")
        return value, weights[batch[1]]

    refuses("put into batches", lambda: point(model, loss, (x, y)))
    return measures(model, pair, (x, y), loss(model, (x, y)))


@situation(KIND, "a contrastive loss, which compares the samples of a batch")
def contrastive(folder: Path) -> Verdict:
    model, (x, _) = classifier()

    def loss(model: nn.Module, batch: Any) -> Any:
        z = F.normalize(model(batch[0]), dim=1)
        first, second = z[::2], z[1::2]
        return F.cross_entropy(first @ second.T / 0.1, torch.arange(len(first)))

    refuses("put into batches.*batch_size", lambda: point(model, loss, (x,)))
    want = torch.stack([loss(model, (part,)) for part in x.split(12)]).mean()
    return measures(model, loss, (x,), want, options={"batch_size": 12})
