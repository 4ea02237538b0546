"""Eight small measurements of two recorded runs, all that may change their rounding being fixed.

Their numbers are archived; ``python tests/workloads.py NUMBERS.npz`` writes those of the package
that is imported, so that two versions can be compared bit for bit on one machine.
"""

from __future__ import annotations

import dataclasses
import lzma
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

import landscape as ls

ARCHIVE = Path(__file__).parent / "archive"
X = torch.linspace(-2, 2, 240)[:, None] * torch.ones(1, 6)
X = X + torch.sin(torch.arange(1440.0)).view(240, 6)
Y = (X.sum(1) > 0).long() + (X[:, 0] > 1).long()


def mlp() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 3))


def convolution() -> nn.Module:
    torch.manual_seed(2)
    seen = [nn.Unflatten(1, (1, 2, 3)), nn.Conv2d(1, 8, 2, padding=1), nn.BatchNorm2d(8)]
    return nn.Sequential(*seen, nn.ReLU(), nn.Flatten(), nn.Linear(8 * 3 * 4, 3))


MODELS = {"mlp": mlp, "convolution": convolution}


def loss(model: nn.Module, batch: Any) -> torch.Tensor:
    return F.cross_entropy(model(batch[0]), batch[1], reduction="none")


def error(model: nn.Module, batch: Any) -> torch.Tensor:
    return (model(batch[0]).argmax(1) != batch[1]).double()


def objective(model: nn.Module, strategy: str = "sequential", **options: Any) -> ls.Objective:
    fixed: dict[str, Any] = {"batch_size": 60, "strategy": strategy, "metrics": {"error": error}}
    return ls.Objective(model, loss, (X, Y), **fixed, **options)


def model_of(run: ls.Trajectory, name: str) -> nn.Module:
    """The model with the run's last state."""
    model = MODELS[name]()
    with torch.no_grad():
        own = dict(model.named_parameters()) | dict(model.named_buffers())
        for layout, vector in ((run.layout, run.final), (run.buffers_layout, run.buffers(-1))):
            for entry in layout:
                values = torch.from_numpy(np.array(vector[entry.slice])).view(entry.shape)
                own[entry.name].copy_(values)
    return model.eval()


def unpacked(name: str, folder: Path) -> Path:
    """An archived file."""
    path = folder / name
    path.write_bytes(lzma.decompress((ARCHIVE / f"{name}.xz").read_bytes()))
    return path


def numbers(folder: Path) -> dict[str, np.ndarray]:
    """Every number of the eight measurements, by name."""
    run, cnn = (ls.Trajectory(unpacked(f"{name}.h5", folder)) for name in MODELS)
    model, net = model_of(run, "mlp"), model_of(cnn, "convolution")
    found: dict[str, np.ndarray] = {}

    def keep(name: str, result: Any) -> None:
        for field in dataclasses.fields(result):
            if isinstance(value := getattr(result, field.name), np.ndarray):
                found[f"{name}/{field.name}"] = value

    plane = ls.random_plane(run.final, run.layout, seed=3)
    other = ls.random_plane(cnn.final, cnn.layout)
    for strategy in ("sequential", "linear"):
        at = objective(model, strategy)
        keep(f"surface {strategy}", ls.loss_surface(at, plane, extent=1.0, resolution=7))
    for strategy in ("sequential", "folded"):
        at = objective(net, strategy)
        keep(f"batch norm {strategy}", ls.loss_surface(at, other, extent=1.0, resolution=5))
    at = objective(net, batch_norm="recalibrated")
    keep("recalibrated", ls.loss_surface(at, other, extent=0.5, resolution=3))
    joint = ls.pca_plane(run, origin="final")
    keep("projection", shown := ls.project(run, joint, objective=objective(model)))
    at = objective(model, samples=100, seed=4)
    around: dict[str, Any] = {"extent": "trajectory", "resolution": 6, "paths": [shown]}
    keep("subset", ls.loss_surface(at, joint, **around))
    keep("walk", ls.walk(objective(model, samples=120), run))
    keep("walk with statistics", ls.walk(objective(net), cnn))
    keep("line", ls.loss_line(objective(model), ls.line_between(run.initial, run.final)))
    keep("path", ls.path_metrics(run))
    within: dict[str, Any] = {"extent": 1.0, "resolution": 17, "tolerance": 0.02}
    keep("tolerance", ls.loss_surface(objective(model), plane, **within))
    for i in range(3):
        torch.save({k: v + i for k, v in model.state_dict().items()}, folder / f"{i}.pt")
    made = ls.import_checkpoints([folder / f"{i}.pt" for i in range(3)], folder / "imported.h5")
    found["import/states"] = np.stack([ls.Trajectory(made).state(i) for i in range(3)])
    found["gradient"] = objective(model).gradient(run.final)
    found["at"] = objective(model).at(run.initial).mean
    return found


if __name__ == "__main__":
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        np.savez_compressed(sys.argv[1], **numbers(Path(place)))  # pyright: ignore[reportArgumentType]
