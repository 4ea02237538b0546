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
from landscape.training.closure import gradient_closure

HERE = Path(__file__).parent.parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", default="fashion-mnist/mlp")
    parser.add_argument("--inner", default="momentum", help="optimizer of the fast weights")
    parser.add_argument("--k", type=int, default=10, help="inner steps per loop")
    parser.add_argument("--alpha", type=float, default=0.5, help="part of the way back")
    parser.add_argument("--loops", type=int, default=40)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--data", type=Path, default=HERE / "data" / "lookahead")
    parser.add_argument("--smoke", action="store_true", help="smallest setting, seconds")
    args = parser.parse_args()
    if args.smoke:
        args.task, args.loops = "digits/mlp-16", 2

    task = ls.load_task(args.task)
    model, data = task.model, HeldData(task.train, device=torch.device("cpu"))
    inner = build(args.inner, model.parameters())
    lookahead = Lookahead(inner, k=args.k, alpha=args.alpha)
    about = {"task": args.task, "k": args.k, "alpha": args.alpha}
    order = torch.Generator().manual_seed(0)
    with contextlib.ExitStack() as stack:
        for optimizer, what, every in ((inner, "fast", 1), (lookahead, "slow", args.k)):
            run = {**about, "optimizer": f"lookahead-{args.inner}", "name": f"{what} weights"}
            file = args.data / f"{what}.h5"
            again = file.exists() and run.items() <= ls.Trajectory(file).run.items()
            stack.enter_context(
                ls.Recorder(file, model, optimizer, every=every, run=run, overwrite=again)
            )
        for _ in range(args.loops * args.k):
            index = torch.randint(data.size, (args.batch_size,), generator=order)
            gradient_closure(task.loss, model, data.take, index, lookahead)()
            lookahead.step()

    fast, slow = ls.Trajectory(args.data / "fast.h5"), ls.Trajectory(args.data / "slow.h5")
    objective = ls.Objective(model, task.loss, task.test, metrics=task.metrics)
    better = 0
    for loop in range(1, args.loops + 1):
        end = objective.at(fast.state(loop * args.k)).mean[0, 0]
        better += objective.at(slow.state(loop)).mean[0, 0] < end
    print(
        f"{args.data}: {len(fast)} fast and {len(slow)} slow states; after {better} of "
        f"{args.loops} loops the test loss is lower at the slow weights than at the fast ones."
    )


if __name__ == "__main__":
    main()
