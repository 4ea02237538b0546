"""What strangers' data is, and what their batches hold."""

from __future__ import annotations

import itertools
from collections import OrderedDict, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, IterableDataset

import landscape as ls
from strangers.situation import Verdict, measures, refuses, situation

KIND = "data"


def net(inputs: int = 4, outputs: int = 1) -> nn.Module:
    return nn.Sequential(nn.Linear(inputs, 6), nn.Tanh(), nn.Linear(6, outputs))


def squares(model: nn.Module, batch: Any) -> Tensor:
    return (model(batch[0]) - batch[1]).square().mean(1)


def point(model: nn.Module, loss: Any, data: Any, **options: Any) -> Any:
    objective = ls.Objective(model, loss, data, **options)
    return objective.at(objective.parameters())


class Graphs:
    """Some graphs as one, as graph libraries put them together."""

    def __init__(self, **parts: Any) -> None:
        self.__dict__.update(parts)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)

    def to(self, device: Any) -> Graphs:
        return Graphs(**{k: v.to(device) if hasattr(v, "to") else v for k, v in vars(self).items()})


class GraphNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.node = net()

    def forward(self, graphs: Any) -> Tensor:
        h = self.node(graphs.x)
        h = h.index_add(0, graphs.edges[1], h[graphs.edges[0]])
        return torch.zeros(len(graphs.y), 1).index_add(0, graphs.of, h)


def graphs(sizes: list[int], **more: Any) -> Graphs:
    nodes = sum(sizes)
    of = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    edges = torch.randint(nodes, (2, 3 * nodes))
    y = torch.randn(len(sizes), 1)
    return Graphs(x=torch.randn(nodes, 4), edges=edges, of=of, y=y, **more)


def of_graphs(model: nn.Module, batch: Any) -> Tensor:
    return (model(batch) - batch.y).square()


@situation(KIND, "batches of graphs, one loss each graph")
def graph_batches(folder: Path) -> Verdict:
    model, data = GraphNet(), [graphs([2, 3]), graphs([4]), graphs([1, 2, 5, 2])]
    want = torch.cat([of_graphs(model, batch) for batch in data]).mean()
    return measures(model, of_graphs, data, want)


@situation(KIND, "batches of graphs, their mean loss")
def graph_batches_mean(folder: Path) -> Verdict:
    def mean(model: nn.Module, batch: Any) -> Tensor:
        return of_graphs(model, batch).mean()

    model, data = GraphNet(), [graphs([2, 3]), graphs([4, 1, 1])]
    refuses("SumAndWeight.*num_graphs", lambda: point(model, mean, data))
    for batch in data:
        vars(batch)["num_graphs"] = len(batch.y)
    return measures(
        model, mean, data, torch.cat([of_graphs(model, batch) for batch in data]).mean()
    )


@situation(KIND, "one graph, with a mask of the nodes that count")
def one_graph(folder: Path) -> Verdict:
    model, data = net(4, 3), graphs([30], labels=torch.randint(3, (30,)), mask=torch.rand(30) < 0.4)

    def loss(model: nn.Module, data: Any) -> Tensor:
        return F.cross_entropy(model(data.x)[data.mask], data.labels[data.mask])

    return measures(model, loss, data, loss(model, data))


@situation(KIND, "(sum, weight) of graphs: said to be one")
def pair_of_graphs(folder: Path) -> Verdict:
    def pair(model: nn.Module, batch: Any) -> Any:
        return of_graphs(model, batch).sum(), torch.tensor(len(batch.y))

    def explicit(model: nn.Module, batch: Any) -> Any:
        return ls.SumAndWeight(*pair(model, batch))

    model, data = GraphNet(), [graphs([2, 3]), graphs([4, 1, 1])]
    refuses("cannot be halved.*SumAndWeight", lambda: point(model, pair, data))
    want = torch.cat([of_graphs(model, batch) for batch in data]).mean()
    return measures(model, explicit, data, want)


@dataclass(frozen=True)
class Pair:
    inputs: Tensor
    targets: Tensor
    name: str = "a pair"


@situation(KIND, "batches that are dataclasses")
def dataclass_batches(folder: Path) -> Verdict:
    model, x, y = net(), torch.randn(30, 4), torch.randn(30, 1)

    def loss(model: nn.Module, batch: Pair) -> Tensor:
        return F.mse_loss(model(batch.inputs), batch.targets)

    data = [Pair(x[:7], y[:7]), Pair(x[7:], y[7:])]
    return measures(model, loss, data, F.mse_loss(model(x), y))


@situation(KIND, "batches that are plain objects without a length")
def plain_objects(folder: Path) -> Verdict:
    model, x, y = net(), torch.randn(30, 4), torch.randn(30, 1)
    data = [SimpleNamespace(x=x[:7], y=y[:7]), SimpleNamespace(x=x[7:], y=y[7:])]

    def loss(model: nn.Module, batch: Any) -> Tensor:
        return squares(model, (batch.x, batch.y))

    return measures(model, loss, data, squares(model, (x, y)).mean())


@situation(KIND, "ordered and default dicts keep their class")
def kinds_of_dicts(folder: Path) -> Verdict:
    model, x, y = net(), torch.randn(30, 4), torch.randn(30, 1)

    def loss(model: nn.Module, batch: Any) -> Tensor:
        extra = batch["absent"] if isinstance(batch, defaultdict) else batch.popitem()[1]
        return squares(model, (batch["x"], batch["y"])) + torch.as_tensor(extra)

    measures(
        model, loss, OrderedDict(x=x, y=y, bias=0.5), squares(model, (x, y)).mean().item() + 0.5
    )
    data = defaultdict(lambda: 2.0, x=x, y=y)
    return measures(model, loss, data, squares(model, (x, y)).mean().item() + 2)


@situation(KIND, "nothing: the loss brings its own data")
def no_data(folder: Path) -> Verdict:
    model, x, y = net(), torch.randn(30, 4), torch.randn(30, 1)

    def mean(model: nn.Module, _: None) -> Tensor:
        return F.mse_loss(model(x), y)

    def each(model: nn.Module, _: None) -> Tensor:
        return squares(model, (x, y))

    measures(model, each, None, mean(model, None))
    return measures(model, mean, None, mean(model, None))


@situation(KIND, "points inside and on the boundary, of different numbers")
def inside_and_boundary(folder: Path) -> Verdict:
    model, inside, boundary = net(2), torch.rand(50, 2), torch.rand(20, 2)

    def loss(model: nn.Module, batch: Any) -> Tensor:
        return model(batch[0]).square().mean() + 10 * (model(batch[1]) - 1).square().mean()

    return measures(model, loss, (inside, boundary), loss(model, (inside, boundary)))


@situation(KIND, "positions and a mask that belong to all samples")
def broadcast(folder: Path) -> Verdict:
    model, x, y = net(5), torch.randn(30, 5), torch.randn(30, 1)
    positions, mask, scale = torch.randn(1, 5), torch.ones(1, 1, 5).tril(), torch.tensor(0.5)

    def loss(model: nn.Module, batch: Any) -> Tensor:
        inputs = batch["x"] * batch["mask"][0, 0] + batch["positions"] * batch["scale"]
        return squares(model, (inputs, batch["y"])) * batch["factor"]

    data = {"x": x, "y": y, "positions": positions, "mask": mask, "scale": scale, "factor": 2.0}
    parts = [{**data, "x": x[k : k + 8], "y": y[k : k + 8]} for k in (0, 8, 16, 24)]
    want = loss(model, data).mean()
    measures(model, loss, parts, want)
    return measures(model, loss, data, want, options={"batch_size": 7})


@situation(KIND, "texts beside tensors")
def texts(folder: Path) -> Verdict:
    model, x = net(), torch.randn(30, 4)
    names = [f"{k}" for k in range(30)]
    values = torch.arange(30.0)[:, None]

    def loss(model: nn.Module, batch: Any) -> Tensor:
        own = torch.tensor([[float(name)] for name in batch["name"]])
        assert torch.equal(own, batch["value"])  # else they were paired wrongly
        return squares(model, (batch["x"], own / 30))

    data = {"x": x, "name": names, "value": values}
    want = squares(model, (x, values / 30)).mean()
    loader = DataLoader(
        [{key: data[key][k] for key in data} for k in range(30)],  # pyright: ignore
        batch_size=8,
    )
    measures(model, loss, loader, want)
    return measures(model, loss, data, want, options={"batch_size": 7})


@situation(KIND, "pictures of different sizes in lists, as for detection")
def ragged_lists(folder: Path) -> Verdict:
    model, sizes = net(3), [3, 5, 2, 7, 4, 6, 3]
    pictures = [torch.randn(3, size, size) for size in sizes]
    targets = [{"boxes": torch.rand(size, 1)} for size in sizes]

    def loss(model: nn.Module, batch: Any) -> Tensor:
        found = zip(*batch, strict=True)
        return torch.stack([(model(p.mean((1, 2))) - t["boxes"]).square().mean() for p, t in found])

    items: Any = list(zip(pictures, targets, strict=True))
    loader = DataLoader(items, batch_size=3, collate_fn=lambda some: tuple(zip(*some, strict=True)))
    return measures(model, loss, loader, loss(model, (pictures, targets)).mean())


@situation(KIND, "sets of points, one in each batch, with a label each")
def sets_of_points(folder: Path) -> Verdict:
    model, data = net(2, 3), [(torch.randn(n, 2), torch.tensor([n % 3])) for n in (4, 9, 2)]

    def loss(model: nn.Module, batch: Any) -> Tensor:
        return F.cross_entropy(model(batch[0]).mean(0)[None], batch[1], reduction="none")

    def explicit(model: nn.Module, batch: Any) -> Any:
        return ls.SumAndWeight(loss(model, batch), 1)

    refuses("SumAndWeight", lambda: point(model, loss, data))
    want = torch.cat([loss(model, batch) for batch in data]).mean()
    return measures(model, explicit, data, want)


@situation(KIND, "sparse inputs")
def sparse(folder: Path) -> Verdict:
    model, y = nn.Linear(20, 1), torch.randn(30)
    x = torch.randn(30, 20) * (torch.rand(30, 20) < 0.2)

    def loss(model: nn.Module, batch: Any) -> Tensor:
        found = torch.sparse.mm(batch[0], model.weight.T) + model.bias
        return F.mse_loss(found[:, 0], batch[1])

    return measures(model, loss, (x.to_sparse(), y), F.mse_loss(model(x)[:, 0], y))


@situation(KIND, "nested tensors")
def nested(folder: Path) -> Verdict:
    model, parts = net(), [torch.randn(size, 4) for size in (3, 5, 2)]
    data = (torch.nested.nested_tensor(parts, layout=torch.jagged), torch.randn(3))

    def loss(model: nn.Module, batch: Any) -> Tensor:
        found = [model(part).mean() for part in batch[0].unbind()]
        return (torch.stack(found) - batch[1]).square()

    return measures(model, loss, data, loss(model, data).mean())


@situation(KIND, "points that require gradients")
def points_with_gradients(folder: Path) -> Verdict:
    model, x = net(2), torch.rand(40, 2, requires_grad=True)
    x.sum().backward()

    def loss(model: nn.Module, batch: Any) -> Tensor:
        assert batch[0].is_leaf
        assert batch[0].requires_grad
        assert batch[0].grad is None
        return model(batch[0]).square().mean(1)

    want = model(x).square().mean()
    verdict = measures(model, loss, (x,), want, options={"batch_size": 16})
    assert x.grad is not None
    assert torch.equal(x.grad, torch.ones(40, 2))
    return verdict


@situation(KIND, "an endless generator, with samples=")
def endless(folder: Path) -> Verdict:
    model = net()
    stream = ((torch.full((8, 4), float(k)), torch.zeros(8, 1)) for k in itertools.count())
    data = (torch.arange(3.0).repeat_interleave(8)[:20, None].expand(-1, 4), torch.zeros(20, 1))
    options = {"samples": 20, "strategy": "sequential"}
    return measures(model, squares, stream, squares(model, data).mean(), options=options)


class Endless(IterableDataset):
    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for k in itertools.count():
            yield torch.full((4,), k / 10), torch.zeros(1)


@situation(KIND, "a loader of an endless stream, with samples=")
def endless_loader(folder: Path) -> Verdict:
    model, loader = net(), DataLoader(Endless(), batch_size=6)
    x = (torch.arange(10) / 10)[:, None].expand(-1, 4)
    want = squares(model, (x, torch.zeros(10, 1))).mean()
    error = point(model, squares, loader, samples=10).standard_error[0, 0]
    each = squares(model, (x, torch.zeros(10, 1))).detach().numpy()
    np.testing.assert_allclose(error, each.std(ddof=1) / np.sqrt(10), rtol=1e-4)
    return measures(model, squares, loader, want, options={"samples": 10})


@situation(KIND, "an endless stream of graphs, with samples=")
def endless_graphs(folder: Path) -> Verdict:
    model = GraphNet()
    stream = (graphs([2, 3], num_graphs=2) for _ in itertools.count())
    known = [graphs([2, 3], num_graphs=2), graphs([4, 1], num_graphs=2)]
    want = torch.cat([of_graphs(model, batch) for batch in known]).mean()
    nobody = (graphs([2, 3]) for _ in itertools.count())
    refuses("islice", lambda: point(model, of_graphs, nobody, samples=3))
    options = {"samples": 3, "strategy": "sequential"}
    return measures(model, of_graphs, itertools.chain(known, stream), want, options=options)


@situation(KIND, "a loader that fills the same memory again")
def same_memory(folder: Path) -> Verdict:
    held = torch.zeros(8, 4)

    def loader() -> Iterator[tuple[Tensor, Tensor]]:
        for k in range(3):
            yield held.fill_(k), torch.zeros(8, 1)

    return refuses("clone", lambda: point(net(), squares, loader()))


@situation(KIND, "arrays of numpy, also read-only, reversed and of scalars")
def arrays(folder: Path) -> Verdict:
    model, x = net(), np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
    y = np.linspace(0, 1, 30, dtype=">f4")[::-1, None]
    x.flags.writeable = False
    want = squares(model, (torch.tensor(x), torch.tensor(y.astype("f4")))).mean()
    measures(model, squares, [(x[:9], y[:9]), (x[9:], y[9:])], want)
    return measures(model, squares, (x, y), want)


class Items(Dataset):
    """Items of which the default rule makes no batch."""

    def __len__(self) -> int:
        return 5

    def __getitem__(self, k: int) -> Tensor:
        return torch.zeros(k + 1, 4)


@situation(KIND, "a data set whose items have different shapes")
def unequal_items(folder: Path) -> Verdict:
    return refuses("collate_fn", lambda: point(net(), squares, Items()))


@situation(KIND, "empty: no batch, no sample, only scalars, a path")
def empty(folder: Path) -> Verdict:
    refuses("no batch", lambda: point(net(), squares, iter([])))
    refuses("no sample", lambda: point(net(), squares, [(torch.zeros(0, 4), torch.zeros(0, 1))]))
    refuses("only scalars and texts", lambda: point(net(), squares, {"x": 3.0, "y": "text"}))
    return refuses("data is a str", lambda: point(net(), squares, "data.csv"))


@situation(KIND, "samples= of batches that cannot be joined")
def some_of_unequal(folder: Path) -> Verdict:
    data = [torch.randn(3, 4, 2), torch.randn(5, 4, 7)]

    def loss(model: nn.Module, batch: Tensor) -> Tensor:
        return model(batch.mean(2)).square()

    model = net()
    each = torch.cat([loss(model, batch) for batch in data])
    some = np.sort(np.random.default_rng(0).permutation(8)[:4])
    found = point(model, loss, data, samples=4)
    np.testing.assert_allclose(found.mean[0, 0], each[some].mean().item(), rtol=1e-5)
    sparse = [torch.eye(3).to_sparse(), torch.eye(5, 3).to_sparse()]
    refuses(r"list\(loader\)\[:8\]", lambda: point(model, loss, sparse, samples=4))
    return measures(model, loss, data, each.mean())
