"""One of two processes that train together; run by tests of such loops: RANK FOLDER."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

import landscape as ls


def made() -> tuple[nn.Module, torch.Tensor]:
    """A small model, the same in both processes, and samples."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)), torch.randn(24, 3)


def replicated(rank: int, folder: Path) -> None:
    """Distributed data parallel: the main process records, the others have none to do."""
    model, x = made()
    wrapped = DistributedDataParallel(model)
    optimizer = torch.optim.SGD(wrapped.parameters(), lr=0.1)
    recorder = ls.Recorder(folder / "ddp.h5", model, optimizer) if rank == 0 else None
    if recorder is not None:
        recorder.start()
    for batch in x[rank::2].split(4):  # every process its own samples
        loss = wrapped(batch).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if recorder is not None:
            recorder.log(loss=loss)
    if recorder is not None:
        recorder.close()


def spread(rank: int, folder: Path) -> str:
    """FSDP2: what is said."""
    model, _ = made()
    fully_shard(model, mesh=init_device_mesh("cpu", (2,)))
    try:
        ls.Recorder(folder / f"fsdp-{rank}.h5", model, torch.optim.SGD(model.parameters(), lr=0.1))
    except ValueError as error:
        return str(error)
    return "recorded"


def main(rank: int, folder: Path) -> None:
    """Both, and what came of them."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/group", rank=rank, world_size=2)
    replicated(rank, folder)
    said = spread(rank, folder)
    (folder / f"said-{rank}.json").write_text(json.dumps(said))
    dist.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
