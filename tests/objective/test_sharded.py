"""Models of which every process holds a part, and those whose weights are nowhere."""

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing
from torch import nn
from torch.nn import functional as F

import landscape as ls


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.norm = nn.Embedding(13, 8), nn.LayerNorm(8)
        self.up, self.down = nn.Linear(8, 10), nn.Linear(10, 8)

    def forward(self, tokens):
        x = self.embed(tokens)
        x = x + self.down(torch.relu(self.up(self.norm(x))))
        return F.linear(x, self.embed.weight)


def loss(model, batch):
    each = F.cross_entropy(model(batch[0]).flatten(0, 1), batch[1].flatten(), reduction="none")
    return each.view(len(batch[0]), -1).sum(1), torch.full((len(batch[0]),), batch[1].shape[1])


def net(dtype=torch.float32):
    torch.manual_seed(0)
    return Net().to(dtype)


def surface(model):
    generator = torch.Generator().manual_seed(1)
    data = tuple(torch.randint(13, (5, 6), generator=generator) for _ in range(2))
    objective = ls.Objective(model, loss, data, batch_size=3)
    found = []
    for stored in (False, True):
        plane = ls.random_plane(objective, stored=stored)
        found.append(ls.loss_surface(objective, plane, resolution=3))
    if hasattr(next(model.parameters()), "full_tensor"):
        with pytest.raises(ValueError, match="gather it for that"):
            objective.gradient(objective.parameters())
    return found


def fully_sharded(model, mesh):
    from torch.distributed.fsdp import fully_shard

    for module in (model.up, model.down):
        fully_shard(module, mesh=mesh)
    return fully_shard(model, mesh=mesh)


def tensor_parallel(model, mesh):
    from torch.distributed.tensor.parallel import (
        ColwiseParallel,
        RowwiseParallel,
        parallelize_module,
    )

    return parallelize_module(model, mesh, {"up": ColwiseParallel(), "down": RowwiseParallel()})


def measured(rank, folder):
    """What each of two processes does."""
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", store=dist.FileStore(f"{folder}/store", 2), rank=rank, world_size=2
    )
    mesh = dist.init_device_mesh("cpu", (2,))
    for dtype, near in ((torch.float32, 1e-6), (torch.bfloat16, 0.02)):
        whole = surface(net(dtype))
        for share in (fully_sharded, tensor_parallel):
            model = share(net(dtype), mesh)
            before = {n: p.to_local().clone() if hasattr(p, "to_local") else p.clone()
                      for n, p in model.named_parameters()}  # fmt: skip
            for one, other in zip(surface(model), whole, strict=True):
                np.testing.assert_allclose(one.gram, other.gram, rtol=1e-9)
                np.testing.assert_allclose(one.loss, other.loss, rtol=near)
                if dtype == torch.bfloat16:
                    np.testing.assert_allclose(one.rounding, other.rounding, rtol=1e-3)
            for name, p in model.named_parameters():
                now = p.to_local() if hasattr(p, "to_local") else p
                assert torch.equal(now, before[name]), name
    dist.destroy_process_group()


def test_two_processes_give_the_numbers_of_one(tmp_path):
    torch.multiprocessing.spawn(measured, (str(tmp_path),), nprocs=2)


def refused(model):
    return ls.Objective(model, loss, torch.zeros(4, 8, dtype=torch.int64), device="cpu")


def test_offloaded():
    accelerate = pytest.importorskip("accelerate")
    model = accelerate.cpu_offload(net(), execution_device=torch.device("cpu"))
    with pytest.raises(ValueError, match=r"offloads them .* ls.onloaded\(model\)"):
        refused(model)


def test_without_weights():
    with torch.device("meta"):
        model = Net()
    with pytest.raises(ValueError, match="'meta', which holds none"):
        refused(model)
