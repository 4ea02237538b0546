"""Models whose weights are not here are refused in one line that says what to do."""

import pytest
import torch
import torch.distributed as dist
from torch import nn

import landscape as ls


def loss(model, batch):
    return model(batch).square().mean(1)


def objective(model):
    return ls.Objective(model, loss, torch.randn(4, 8), device="cpu", strategy="streamed")


@pytest.fixture
def mesh():
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield dist.init_device_mesh("cpu", (1,))
    dist.destroy_process_group()


def net():
    return nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8))


def test_sharded(mesh):
    from torch.distributed.fsdp import fully_shard

    with pytest.raises(ValueError, match=r"first: 0.weight\): they are sharded .* Gather them"):
        objective(fully_shard(net(), mesh=mesh))


def test_tensor_parallel(mesh):
    from torch.distributed.tensor.parallel import ColwiseParallel, parallelize_module

    model = parallelize_module(net(), mesh, {"0": ColwiseParallel()})
    with pytest.raises(ValueError, match="they are sharded over processes"):
        objective(model)


def test_offloaded():
    accelerate = pytest.importorskip("accelerate")
    model = accelerate.cpu_offload(net(), execution_device=torch.device("cpu"))
    with pytest.raises(ValueError, match="offloaded to memory or disk .* without device_map"):
        objective(model)


def test_without_weights():
    with torch.device("meta"):
        model = net()
    with pytest.raises(ValueError, match="'meta', which holds none"):
        objective(model)
