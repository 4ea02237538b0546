"""Record one optimizer under every learning-rate schedule, and with a growing batch instead."""

from __future__ import annotations

import argparse
from pathlib import Path

from repeated import add_seeds, record_repeats, smallest

from landscape.training.run import Run
from landscape.training.schedules import NAMES

HERE = Path(__file__).parent.parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", default="fashion-mnist/mlp")
    parser.add_argument("--optimizer", default="momentum")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--every", type=int, default=10, help="record every n-th state")
    add_seeds(parser)
    parser.add_argument("--data", type=Path, default=HERE / "data" / "schedules")
    parser.add_argument("--smoke", action="store_true", help="smallest setting, seconds")
    args = parser.parse_args()
    if args.smoke:
        smallest(args, "digits/mlp-16")

    common = {"steps": args.steps, "every": args.every}
    runs = {
        args.data / f"{name}.h5": Run(args.task, args.optimizer, schedule=name, name=name, **common)
        for name in NAMES
    }
    runs[args.data / "growing-batch.h5"] = Run(
        args.task, args.optimizer, final_batch_size=1024, name="growing batch", **common
    )
    record_repeats(runs, seeds=args.seeds, workers=args.workers, folder=args.data)


if __name__ == "__main__":
    main()
