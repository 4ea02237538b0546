"""Runs made to be ill, and healthy ones: what `ls.diagnose` finds in each.

    python benchmarks/diagnosed.py [SEED]

Every run is a small rectifier network for the digits of scikit-learn, 300 steps, recorded as any
loop is. The table counts which findings stand out in which runs.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional as F

import landscape as ls

STEPS = 300


@dataclass
class Case:
    """One way to train; `ill` names the finding that should stand out, if any."""

    ill: str = ""
    optimizer: str = "SGD"
    lr: float = 0.2
    batch: int = 64
    options: dict[str, Any] = field(default_factory=dict)
    sorted: bool = False
    noise: float = 0.0
    decay: float = 0.0
    change: str = ""


CASES = {
    "SGD": Case(),
    "SGD, batch 32": Case(lr=0.1, batch=32),
    "SGD + momentum": Case(lr=0.03, options={"momentum": 0.9}),
    "Adam": Case(optimizer="Adam", lr=0.002),
    "AdamW, decay .01": Case(optimizer="AdamW", lr=0.002, options={"weight_decay": 0.01}),
    "RMSprop": Case(optimizer="RMSprop", lr=0.001),
    "SGD, rate x 30": Case("rate too high", lr=6.0),
    "Adam, rate x 30": Case("rate too high", optimizer="Adam", lr=0.06 * 2),
    "momentum, rate x 30": Case("rate too high", lr=0.9, options={"momentum": 0.9}),
    "SGD, rate / 30": Case("rate too low", lr=0.2 / 30),
    "Adam, rate / 30": Case("rate too low", optimizer="Adam", lr=0.002 / 30),
    "SGD, rate x 1e5": Case("divergence", lr=2e4),
    "a frozen layer": Case("still tensors", change="frozen"),
    "an exploding layer": Case("tensors that move too much", change="exploding"),
    "batch of one": Case("noise", batch=1, lr=0.02),
    "dead rectifiers": Case("dead units", change="dead"),
    "unshuffled data": Case("order of the data", sorted=True),
    "decay of the wrong sign": Case("growing weights", decay=-0.05),
    "nine tenths of the labels random": Case("high floor", noise=0.9),
    "zero initialization": Case("still tensors", change="zero"),
}


def record(case: Case, path: Path, seed: int = 0) -> Path:
    """Train one way and record it."""
    torch.manual_seed(seed)
    digits: Any = load_digits()
    x = torch.tensor(digits.data, dtype=torch.float32) / 16
    y = torch.tensor(digits.target)
    wrong = torch.rand(len(y)) < case.noise
    y = torch.where(wrong, torch.randint(10, y.shape), y)
    model = nn.Sequential(
        nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 10)
    )
    layers: Any = [model[0], model[2], model[4]]
    groups: list[dict[str, Any]] = [{"params": layer.parameters()} for layer in layers]
    with torch.no_grad():
        if case.change == "frozen":
            groups[0]["lr"] = 0.0
        if case.change == "exploding":
            groups[1]["lr"] = 30 * case.lr
        if case.change == "dead":
            layers[1].bias[:20] = -10.0
        if case.change == "zero":
            for layer in layers:
                layer.weight.zero_()
                layer.bias.zero_()
    optimizer = getattr(torch.optim, case.optimizer)(groups, lr=case.lr, **case.options)
    order = torch.argsort(y, stable=True) if case.sorted else None
    with ls.Recorder(path, model, optimizer, overwrite=True, every=5) as recorder:
        for batch in _batches(len(y), case.batch, order):
            loss = F.cross_entropy(model(x[batch]), y[batch])
            optimizer.zero_grad()
            (loss + case.decay * sum(p.square().sum() for p in model.parameters())).backward()
            optimizer.step()
            recorder.log(loss=loss)
    return path


def _batches(samples: int, size: int, order: torch.Tensor | None) -> Iterator[torch.Tensor]:
    made = 0
    while made < STEPS:
        shown = torch.randperm(samples) if order is None else order
        for batch in shown.split(size)[: STEPS - made]:
            yield batch
            made += 1


def main() -> None:
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    folder = Path("data/diagnosed")
    folder.mkdir(parents=True, exist_ok=True)
    right = alarms = 0
    print("| run | should stand out | stands out |\n|---|---|---|")
    for name, case in CASES.items():
        file = folder / ("".join(c if c.isalnum() else "-" for c in name) + ".h5")
        found = ls.diagnose(ls.Trajectory(record(case, file, seed)))
        seen = found.standing_out
        right += bool(case.ill) and case.ill in seen
        alarms += not case.ill and bool(seen)
        print(f"| {name} | {case.ill or 'nothing'} | {', '.join(seen) or 'nothing'} |")
    ill = sum(bool(case.ill) for case in CASES.values())
    print(f"\n{right} of {ill} illnesses found; {alarms} alarms in {len(CASES) - ill} healthy runs")


if __name__ == "__main__":
    main()
