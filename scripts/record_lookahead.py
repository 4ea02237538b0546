"""Record one run of Lookahead twice over: its fast weights, and the slow ones after every loop.

The fast file holds θ after every inner step, before the slow step pulls it back; so the end of an
inner loop, where the slow weights turn, is in it (Zhang et al. 2019, arXiv:1907.08610, figure 1).
"""

from __future__ import annotations

import argparse
import contextlib
from pathlib import Path

import torch

import landscape as ls
from landscape.objective.data.held import HeldData
from landscape.optim.lookahead import Lookahead
from landscape.optim.registry import build
from landscape.plots.repeats import told
from landscape.training.closure import gradient_closure

HERE = Path(__file__).parent.parent
WEIGHTS = ("fast", "slow")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", default="fashion-mnist/mlp")
    parser.add_argument("--inner", default="momentum", help="optimizer of the fast weights")
    parser.add_argument("--k", type=int, default=10, help="inner steps per loop")
    parser.add_argument("--alpha", type=float, default=0.5, help="part of the way back")
    parser.add_argument("--loops", type=int, default=40)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="repeats")
    parser.add_argument("--data", type=Path, default=HERE / "data" / "lookahead")
    parser.add_argument("--smoke", action="store_true", help="smallest setting, seconds")
    args = parser.parse_args()
    if args.smoke:
        args.task, args.loops, args.seeds = "digits/mlp-16", 2, 2

    if args.seeds < 1:
        parser.error(f"--seeds must be at least 1; got {args.seeds}.")
    better = [record(args, seed) for seed in range(args.seeds)]
    print(
        f"{args.data}: {args.loops} loops from {args.seeds} seeds; the test loss is lower at the "
        f"slow weights than at the fast ones after {told(better)} of them (median and range)."
    )


def record(args: argparse.Namespace, seed: int) -> int:
    """Record both files of one seed; after how many loops the slow weights are the better ones."""
    task = ls.load_task(args.task, seed=seed)
    model, data = task.model, HeldData(task.train, device=torch.device("cpu"))
    inner = build(args.inner, model.parameters())
    lookahead = Lookahead(inner, k=args.k, alpha=args.alpha)
    about = {"task": args.task, "k": args.k, "alpha": args.alpha, "seed": seed}
    order = torch.Generator().manual_seed(seed)
    files = {what: args.data / f"{what}{f'-seed{seed}' * (seed > 0)}.h5" for what in WEIGHTS}
    with contextlib.ExitStack() as stack:
        for optimizer, what, every in zip((inner, lookahead), WEIGHTS, (1, args.k), strict=True):
            run = {**about, "optimizer": f"lookahead-{args.inner}", "name": f"{what} weights"}
            file = files[what]
            again = file.exists() and run.items() <= ls.Trajectory(file).run.items()
            stack.enter_context(
                ls.Recorder(file, model, optimizer, every=every, run=run, overwrite=again)
            )
        for _ in range(args.loops * args.k):
            index = torch.randint(data.size, (args.batch_size,), generator=order)
            gradient_closure(task.loss, model, data.take, index, lookahead)()
            lookahead.step()

    fast, slow = (ls.Trajectory(files[what]) for what in WEIGHTS)
    objective = ls.Objective(model, task.loss, task.test, metrics=task.metrics)
    better = 0
    for loop in range(1, args.loops + 1):
        end = objective.at(fast.state(loop * args.k)).mean[0, 0]
        better += int(objective.at(slow.state(loop)).mean[0, 0] < end)
    return better


if __name__ == "__main__":
    main()
