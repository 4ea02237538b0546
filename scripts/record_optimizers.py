"""Record every optimizer on one task, one file each; finished files are kept when run again."""

from __future__ import annotations

import argparse
import importlib.util
from pathlib import Path

from repeated import add_seeds, record_repeats, smallest

from landscape.base.distribution import install
from landscape.optim.registry import OPTIMIZERS
from landscape.training.run import Run

HERE = Path(__file__).parent.parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", default="fashion-mnist/mlp")
    parser.add_argument("--optimizers", nargs="+", default=list(OPTIMIZERS), metavar="NAME")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--every", type=int, default=10, help="record every n-th state")
    add_seeds(parser)
    parser.add_argument("--data", type=Path, default=HERE / "data" / "optimizers")
    parser.add_argument("--smoke", action="store_true", help="smallest setting, seconds")
    args = parser.parse_args()
    if args.smoke:
        smallest(args, "digits/mlp-16")

    folder = args.data / args.task.replace("/", "-")
    runs = {}
    for name in args.optimizers:
        extra = name in OPTIMIZERS and OPTIMIZERS[name].extra
        if extra and importlib.util.find_spec("pytorch_optimizer") is None:
            print(f"{name}: left out, needs {install(extra)}")
            continue
        run = Run(args.task, name, steps=args.steps, batch_size=args.batch_size, every=args.every)
        runs[folder / f"{name}.h5"] = run
    record_repeats(runs, seeds=args.seeds, workers=args.workers, folder=folder)


if __name__ == "__main__":
    main()
