"""Record Adam, SGD, and the switch from one to the other at several steps and by SWATS.

Keskar & Socher 2017, arXiv:1712.07628.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from repeated import add_seeds, record_repeats, smallest

from landscape.training.run import Run

HERE = Path(__file__).parent.parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", default="fashion-mnist/mlp")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--every", type=int, default=10, help="record every n-th state")
    add_seeds(parser)
    parser.add_argument("--data", type=Path, default=HERE / "data" / "switch")
    parser.add_argument("--smoke", action="store_true", help="smallest setting, seconds")
    args = parser.parse_args()
    if args.smoke:
        smallest(args, "digits/mlp-16")

    common = {"steps": args.steps, "every": args.every}
    runs = {
        args.data / f"{name}.h5": Run(args.task, name, **common)
        for name in ("adam", "sgd", "swats")
    }
    for share in (0.1, 0.25, 0.5):
        at = round(share * args.steps)
        runs[args.data / f"adam-sgd-{at}.h5"] = Run(
            args.task, "adam-sgd", options={"switch_at": at}, name=f"Adam → SGD at {at}", **common
        )
    record_repeats(runs, seeds=args.seeds, workers=args.workers, folder=args.data)


if __name__ == "__main__":
    main()
