"""Record full-batch GD and SGD with ever smaller batches from one start, as A Walk with SGD does.

Xing et al. 2018, arXiv:1802.08770: plain SGD, one learning rate, the batch size alone differs.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from repeated import add_seeds, record_repeats, smallest

from landscape.training.run import Run

HERE = Path(__file__).parent.parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", default="fashion-mnist/mlp-bn")
    parser.add_argument("--batch-sizes", nargs="+", type=int, default=[1000, 100, 20])
    parser.add_argument("--lr", type=float, default=0.1)
    parser.add_argument("--steps", type=int, default=120)
    add_seeds(parser)
    parser.add_argument("--data", type=Path, default=HERE / "data" / "batch-sizes")
    parser.add_argument("--smoke", action="store_true", help="smallest setting, seconds")
    args = parser.parse_args()
    if args.smoke:
        smallest(args, "digits/mlp-16-bn")

    runs = {args.data / "gd.h5": Run(args.task, "gd", lr=args.lr, steps=args.steps)}
    for size in args.batch_sizes:
        runs[args.data / f"sgd-{size}.h5"] = Run(
            args.task,
            "sgd",
            lr=args.lr,
            steps=args.steps,
            batch_size=size,
            name=f"SGD, batch {size}",
        )
    record_repeats(runs, seeds=args.seeds, workers=args.workers, folder=args.data)


if __name__ == "__main__":
    main()
