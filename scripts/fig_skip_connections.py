"""Skip connections make the loss surface smooth: Li et al. 2018, Figure 1, on their own networks.

Measures the filter-normalized surface and lines of the two published ResNet-56 (with and without
shortcuts) into a results file, and draws them with the numbers behind the claim. Ctrl-C loses
nothing: start it again and it goes on.

    python scripts/fig_skip_connections.py [--resolution 31] [--samples 256] [--directions 12]
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
import torch

import landscape as ls
from landscape.recording.checkpoints import load_state
from landscape.tasks.resnet import ResNet
from landscape.tasks.task import cross_entropy

NETS = {
    "with skips": ("projection", "resnet56_sgd_lr0.1_bs128_wd0.0005_model_300.t7"),
    "without skips": ("none", "resnet56_noshort_sgd_lr0.1_bs128_wd0.0005_model_300.t7"),
}
MEAN, DEVIATION = (125.3, 123.0, 113.9), (63.0, 62.1, 66.7)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--resolution", type=int, default=31)
    parser.add_argument("--samples", type=int, default=256)
    parser.add_argument("--directions", type=int, default=12)
    parser.add_argument("--out", type=Path, default=Path("data/skip_connections.results.h5"))
    options = parser.parse_args()
    measure(options)


def measure(options: argparse.Namespace) -> None:
    known = ls.load_results(options.out) if options.out.exists() else {}
    for name, (shortcut, file) in NETS.items():
        model = ResNet(56, shortcut=shortcut)
        model.load_state_dict(load_state(data_file(f"checkpoints/li2018_resnet56/{file}")))
        objective = ls.Objective(
            model,
            cross_entropy,
            images(),
            batch_size=32,
            samples=options.samples,
            settings={"network": f"ResNet-56 {name}"},
        )
        centre = objective.parameters()
        group = f"surface/{name}"
        plane = ls.random_plane(centre, objective.layout, seed=0)
        if group not in known or not known[group].computed.all():
            try:
                surface = ls.loss_surface(
                    objective, plane, resolution=options.resolution, resume=known.get(group)
                )
            except ls.Interrupted as stop:
                stop.partial.save(options.out, group)
                raise SystemExit("Interrupted; run again to go on.") from None
            surface.save(options.out, group)
        for seed in range(options.directions):
            group = f"line/{name}/{seed}"
            if group not in known:
                line = ls.random_line(centre, objective.layout, seed=100 + seed)
                profile = ls.loss_line(
                    objective, line, extent=(-1, 1), resolution=options.resolution
                )
                profile.save(options.out, group)


def images() -> tuple[torch.Tensor, torch.Tensor]:
    rows = np.fromfile(data_file("cifar-10-batches-bin/data_batch_1.bin"), np.uint8)
    rows = rows.reshape(-1, 3073)
    mean, deviation = (torch.tensor(s).view(3, 1, 1) for s in (MEAN, DEVIATION))
    pixels = torch.from_numpy(rows[:, 1:].reshape(-1, 3, 32, 32).astype(np.float32))
    return (pixels - mean) / deviation, torch.from_numpy(rows[:, 0].astype(np.int64))


def data_file(name: str) -> Path:
    root = Path(os.environ.get("LANDSCAPE_DATA", "data"))
    for folder in (root, root / "data"):
        if (folder / name).exists():
            return folder / name
    raise SystemExit(f"{name} is not below {root}; set LANDSCAPE_DATA.")


if __name__ == "__main__":
    main()
