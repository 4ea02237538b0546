"""Skip connections make the loss surface smooth: Li et al. 2018, Figure 1, on their own networks.

Measures the filter-normalized surface and random lines around the two published ResNet-56, with
and without shortcuts (arXiv:1712.09913; checkpoints of github.com/tomgoldstein/loss-landscape,
below data/checkpoints/li2018_resnet56), draws them, and prints the numbers behind the claim.
Ctrl-C keeps the points of a surface and the finished lines: the same command measures the rest.

    python scripts/fig_skip_connections.py --resolution 25 --samples 200 --directions 12
"""

from __future__ import annotations

import argparse
from pathlib import Path

import landscape as ls
from landscape.recording.checkpoints import load_state
from landscape.tasks.folders import find_data

NETS = {
    "with skips": ("cifar10/resnet56", "resnet56_sgd_lr0.1_bs128_wd0.0005_model_300.t7"),
    "without skips": (
        "cifar10/resnet56-noskip",
        "resnet56_noshort_sgd_lr0.1_bs128_wd0.0005_model_300.t7",
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--resolution", type=int, default=25, help="points per axis")
    parser.add_argument("--samples", type=int, default=200, help="training images per point")
    parser.add_argument("--directions", type=int, default=12, help="random lines per network")
    parser.add_argument("--out", type=Path, default=Path("data/skip_connections.results.h5"))
    args = parser.parse_args()
    try:
        for name in NETS:
            measure(name, args)
    except ls.Interrupted:
        raise SystemExit("Interrupted; the same command measures the rest.") from None


def measure(name: str, args: argparse.Namespace) -> None:
    task_name, file = NETS[name]
    task = ls.load_task(task_name)
    task.model.load_state_dict(load_state(find_data("checkpoints/li2018_resnet56", [file])[file]))
    objective = ls.Objective(
        task.model,
        task.loss,
        task.train,
        batch_size=32,
        samples=args.samples,
        settings={"task": task_name, "checkpoint": file},
    )
    centre, layout = objective.parameters(), objective.layout
    plane, group = ls.random_plane(centre, layout, seed=0), f"surface/{name}"
    try:
        known = ls.Surface.find(args.out, group)
        surface = ls.loss_surface(objective, plane, resolution=args.resolution, resume=known)
    except ls.Interrupted as stop:
        stop.partial.save(args.out, group)
        raise
    surface.save(args.out, group)
    for seed in range(1, args.directions + 1):
        group = f"line/{name}/{seed}"
        if ls.Profile.find(args.out, group) is None:
            line = ls.random_line(centre, layout, seed=seed)
            found = ls.loss_line(objective, line, extent=(-1, 1), resolution=args.resolution)
            found.save(args.out, group)


if __name__ == "__main__":
    main()
