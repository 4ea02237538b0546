"""Held data: what is cut, kept whole, read and hashed."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

import landscape as ls
from landscape.base.provenance import fingerprint
from landscape.objective.data import stream
from landscape.objective.data.held import HeldData

CPU = torch.device("cpu")


def held(data, **options):
    return HeldData(data, device=CPU, **options)


@dataclass
class Sample:
    x: torch.Tensor
    names: list


def test_samples_stay_together_whatever_is_chosen():
    x = torch.arange(20.0)[:, None]
    whole = {"x": x, "name": [f"{k}" for k in range(20)], "position": torch.ones(1, 3), "k": 7}
    data = held(whole, samples=9, seed=2, batch_size=4)
    some = held(whole).part(np.array([3, 5, 11]))
    batches = [batch for batch, _ in [*data, *some, *[(some.take(torch.tensor([2, 0])), 2)]]]
    for batch in batches:
        assert [float(name) for name in batch["name"]] == batch["x"][:, 0].tolist()
        assert batch["position"].shape == (1, 3)
        assert batch["k"] == 7
    assert batches[-1]["name"] == ["11", "3"]
    assert (data.size, data.population) == (9, 20)
    assert sum(len(batch["x"]) for batch, _ in data) == 9


def test_structures_keep_their_class():
    x = torch.arange(6.0)
    for data in (OrderedDict(x=x, names=list("abcdef")), Sample(x, list("abcdef"))):
        for batch, count in held(data, batch_size=4):
            assert type(batch) is type(data)
            assert count == 3
        assert len(data.names if isinstance(data, Sample) else data["names"]) == 6  # as it was


def test_lists_of_structures_are_one_each_sample_also_in_a_batch_of_one():
    pictures = [torch.zeros(3, k, k) for k in (2, 5, 4, 6)]
    boxes = [{"boxes": torch.full((3, 4), float(k))} for k in range(4)]
    batches = [(pictures[:3], boxes[:3]), (pictures[3:], boxes[3:])]
    data = held(batches)
    assert data.joined
    assert data.size == 4
    (batch, _), *_ = held(batches, samples=2, seed=1)
    for picture, box in zip(*batch, strict=True):
        assert picture.shape[-1] == (2, 5, 4, 6)[int(box["boxes"][0, 0])]


def test_numbers_as_many_as_samples_are_not_guessed_at():
    assert not held({"x": torch.zeros(2, 3), "size": (224, 224)}).joined
    assert held({"x": torch.zeros(5, 3), "size": (224, 224)}).joined


def test_types_are_not_mixed_by_joining():
    data = held([torch.zeros(3, 2), torch.zeros(3, 2, dtype=torch.float64)])
    assert [batch.dtype for batch, _ in data] == [torch.float32, torch.float64]


def test_the_hash_of_plain_tensors_is_that_of_their_arrays():
    x, y = torch.randn(5, 3), torch.arange(5)
    assert held((x, y)).describe() == {
        "samples": 5,
        "population": 5,
        "data_hash": fingerprint(x.numpy(), y.numpy()),
    }


@pytest.mark.parametrize(
    "made",
    [
        lambda k: {"x": torch.zeros(2), "names": ["a", f"{k}"]},
        lambda k: {"x": torch.zeros(2), "factor": k},
        lambda k: (torch.eye(3).mul(k + 1).to_sparse(), torch.zeros(3)),
        lambda k: (torch.eye(3).mul(k + 1).to_sparse_csr(), torch.zeros(3)),
        lambda k: torch.nested.nested_tensor([torch.ones(2), torch.full((k + 1,), 1.0)]),
        lambda k: [SimpleNamespace(inner=SimpleNamespace(x=torch.tensor([float(k)])))],
        lambda k: torch.full((2,), float(k), dtype=torch.bfloat16),
        lambda k: torch.full((2,), float(k), requires_grad=True),
        lambda k: torch.full((2,), 1j * k).conj(),
    ],
)
@pytest.mark.filterwarnings("ignore:Sparse.*in beta", "ignore:.*nested tensors is in prototype")
def test_hashes_tell_data_apart(made):
    hashes = [held(made(k)).describe()["data_hash"] for k in (0, 1, 1)]
    assert hashes[0] != hashes[1] == hashes[2]


def test_of_objects_nothing_is_claimed():
    data = held([SimpleNamespace(x=torch.zeros(3)), SimpleNamespace(x=torch.zeros(3))])
    assert (data.describe()["samples"], data.describe()["population"]) == (None, None)


def test_a_stream_is_read_as_far_as_needed():
    taken = []

    def endless():
        for k in itertools.count():
            taken.append(k)
            yield torch.full((4, 2), float(k)), torch.zeros(4)

    data = held(endless(), samples=10)
    assert taken == [0, 1, 2]
    assert data.batches()[0][0][0][:, 0].tolist() == [0] * 4 + [1] * 4 + [2] * 2
    told = data.describe()
    assert told["stream"]
    assert (told["samples"], told["population"]) == (10, None)


def test_a_stream_that_ends_is_all_there_is():
    data = held(iter([torch.zeros(4, 2), torch.zeros(3, 2)]), samples=10)
    assert (data.size, data.population) == (7, 7)


def test_no_end_is_noticed_before_memory_is_full(monkeypatch):
    monkeypatch.setattr(stream, "free_bytes", lambda device: 80_000)
    with pytest.raises(ValueError, match=r"no end in sight; give samples="):
        held(torch.zeros(100, 10) for _ in itertools.count())
    with pytest.raises(ValueError, match=r"does not fit in memory.*were read; give samples="):
        held([torch.zeros(100, 10) for _ in range(20)])


def test_walks_on_a_stream_have_errors_without_a_population():
    torch.manual_seed(0)
    model, x = nn.Linear(2, 1), torch.randn(64, 2)
    batches = x.split(8)

    def loss(model, batch):
        return model(batch)[:, 0].square()

    streamed = ls.Objective(model, loss, (b for b in batches), samples=64)
    origin, line = np.zeros(3), np.array([[1.0, -1.0, 0.5]])
    found = streamed.restrict(origin, line).paired(np.array([[0.5], [1.0]]))
    each = (x.numpy() @ line[0, :2] + line[0, 2]) ** 2
    # Single precision, and a variance that is a difference of squares.
    error = each.std(ddof=1) / 8
    assert found.standard_error[0, 1] == pytest.approx(error, rel=1e-4)
    assert np.sqrt(found.covariance[1, 1]) == pytest.approx(error, rel=1e-4)


def test_objects_are_moved_on_a_copy():
    class InPlace:
        def __init__(self):
            self.x, self.moves = torch.zeros(3), 0

        def to(self, device):
            self.x, self.moves = self.x.to(device), self.moves + 1

    batch = InPlace()
    ((given, _),) = held([batch])
    assert (batch.moves, given.moves) == (0, 1)


def test_few_samples_are_those_that_differ():
    lengths = torch.tensor([9] * 50 + [2] + [9] * 49)
    mask = torch.arange(9) < lengths[:, None]
    few = held({"x": torch.randn(100, 9), "mask": mask}).few(8)
    assert few is not None
    batch, form = few
    assert form.samples == len(batch["mask"]) == 8
    assert batch["mask"].sum(1)[0] == 2  # padded ones come first, apart from the full ones


@pytest.mark.parametrize(
    "batches",
    [
        [torch.ones(3, 2).to_sparse(), torch.ones(2, 2).to_sparse()],
        [(torch.ones(4, 2), torch.ones(3, 2)), (torch.ones(5, 2), torch.ones(3, 2))],
    ],
    ids=["sparse", "point sets"],
)
def test_samples_of_batches_that_cannot_be_cut_are_refused_in_one_line(batches):
    with pytest.raises(ValueError, match="batches that can be cut"):
        held(batches).part(np.arange(2))
