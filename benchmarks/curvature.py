"""Time eigenvalues of the Hessian against PyHessian and curvlinops, and products against gradients.

    OMP_NUM_THREADS=1 python benchmarks/curvature.py W1 W2 W4 --rounds 5 --images 256

Nets are trained for some steps before (W4 from GPT-2's initialization, at a smaller rate).

One thread, processor seconds, all candidates in turn in every round, medians of paired ratios. The
peers are optional: `pip install pyhessian curvlinops-for-pytorch` into an environment of its own.
Every answer is compared with this package's at a residual of 1e-8 in double precision.
"""

# The peers are optional.
# pyright: reportMissingImports=false, reportArgumentType=false

from __future__ import annotations

import argparse
import copy
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from workloads import Workload, workload

import landscape as ls

TOP = 5
Timed = Callable[[], np.ndarray]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("works", nargs="+", help="of W1, W2, W3, W4")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=256, help="samples of W2 and W3")
    parser.add_argument("--steps", type=int, default=100, help="of training before")
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=list(PEERS))
    parser.add_argument("--no-bottom", action="store_true", help="the top five alone")
    parser.add_argument(
        "--trained", type=Path, help="folder that keeps trained nets and exact values"
    )
    parser.add_argument("--unchecked", action="store_true", help="no answer in double precision")
    args = parser.parse_args()
    torch.set_num_threads(1)
    for name in args.works:
        work = workload(name)
        if name in ("W2", "W3"):
            data = work.data[0][: args.images], work.data[1][: args.images]
            work = Workload(work.name, work.what, work.model, work.loss, data, work.resolution)
        train(work, args.steps, kept_at(work, args.steps, args.trained))
        print(f"\n{name}: {work.what}; {len(work.data[0])} samples, {args.steps} steps")
        products(work, args.rounds)
        with sdpa_kernel(SDPBackend.MATH):  # the peers do not choose a kernel that has derivatives
            eigenvalues(
                work, args.rounds, peers=args.peers, check=not args.unchecked,
                bottom=not args.no_bottom, kept=kept_at(work, args.steps, args.trained),
            )  # fmt: skip


def kept_at(work: Workload, steps: int, folder: Path | None) -> Path | None:
    """Where a trained net is kept."""
    if folder is None:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{work.name}-{len(work.data[0])}-{steps}.pt"


def train(work: Workload, steps: int, kept: Path | None = None) -> None:
    """Some steps of Adam, then evaluation mode, so that every candidate sees one function."""
    if kept and kept.exists():
        work.model.load_state_dict(torch.load(kept))
        work.model.eval()
        return
    for module in work.model.modules():
        if isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=0.02)  # GPT-2's; torch's own is 1
    optimizer = torch.optim.Adam(work.model.parameters(), lr=1e-3 if work.name == "W4" else 3e-3)
    for step in range(steps):
        order = torch.randperm(len(work.data[0]), generator=torch.Generator().manual_seed(step))
        batch = tuple(part[order[:128]] for part in work.data)
        optimizer.zero_grad()
        work.loss(work.model, batch).mean().backward()
        optimizer.step()
    work.model.eval()
    if kept:
        torch.save(work.model.state_dict(), kept)


def seconds(run: Timed) -> tuple[float, np.ndarray]:
    """Processor seconds of a call, and what it gave."""
    began = time.process_time()
    found = run()
    return time.process_time() - began, found


def products(work: Workload, rounds: int) -> None:
    """A product on kept graphs, and with graphs made anew, in gradients."""
    objective = ls.Objective(work.model, work.loss, work.data)
    vector = objective.parameters()
    objective.gradient(vector)
    ratios: dict[str, list[float]] = {"kept graphs": [], "graphs and first product": []}
    direction = np.random.default_rng(0).standard_normal(vector.size)
    for _ in range(rounds):
        gradient, _ = seconds(lambda: objective.gradient(vector))
        began = time.process_time()
        with objective.hessian(vector) as hessian:
            hessian.matvec(direction)
            ratios["graphs and first product"].append((time.process_time() - began) / gradient)
            kept, _ = seconds(lambda h=hessian: h.matvec(direction))
            ratios["kept graphs"].append(kept / gradient)
    for name, values in ratios.items():
        print(f"  product, {name}: {statistics.median(values):.2f} gradients")


def exact_values(work: Workload, kept: Path | None) -> np.ndarray:
    """The top five at a residual of 1e-8 in double precision."""
    file = kept and kept.with_suffix(".npy")
    if file and file.exists():
        return np.load(file)
    double = ls.Objective(copy.deepcopy(work.model), work.loss, work.data, precision="double")
    exact = ls.hessian_spectrum(double, top=TOP, bottom=0, tolerance=1e-8).value
    if file:
        np.save(file, exact)
    return exact


def eigenvalues(
    work: Workload, rounds: int, *, peers: list[str], check: bool, bottom: bool, kept: Path | None
) -> None:
    """The top five: seconds against every peer, error against double precision."""
    exact = exact_values(work, kept) if check else np.full(TOP, np.nan)
    runs: dict[str, Timed] = {}
    for peer in peers:
        runs |= PEERS[peer](work)
    others = list(runs)
    objective = ls.Objective(work.model, work.loss, work.data)
    ls.hessian_spectrum(objective, top=1, bottom=0)  # what is looked at once

    def ours(low: int, **aim: Any) -> Timed:
        def run() -> np.ndarray:
            found = ls.hessian_spectrum(objective, top=TOP, bottom=low, **aim)
            worst = (found.residual / abs(found.value))[:TOP].max()
            print(f"    {found.products} products, residuals to {worst:.1g} of the top λ")
            return found.value[:TOP]

        return run

    runs["landscape, residual 1e-4"] = ours(0, tolerance=1e-4)
    runs["landscape, residual 1e-4, no look for ties"] = ours(0, tolerance=1e-4, ties=False)
    if bottom:
        runs["landscape, and bottom 2, each to 1e-3 λ1"] = ours(2, zero=1e-3)
        runs["landscape, and bottom 2, each to 1e-3 of itself or 1e-4 λ1"] = ours(2)
    spent: dict[str, list[float]] = {name: [] for name in runs}
    error = dict.fromkeys(runs, 0.0)
    for _ in range(rounds):
        for name, run in runs.items():
            took, found = seconds(run)
            print(f"    {took:.3f} s: {name}", flush=True)
            spent[name].append(took)
            error[name] = max(error[name], float(np.abs(found / exact - 1).max()))
    for name, took in spent.items():
        print(f"  {name}: {statistics.median(took):.3f} s; ", end="")
        for peer in others:
            ratio = statistics.median(a / b for a, b in zip(took, spent[peer], strict=True))
            print(f"{ratio:.2f} of {peer}; ", end="")
        print(f"worst of the top {TOP} off by {error[name]:.1e}")


def pyhessian(work: Workload) -> dict[str, Timed]:
    """PyHessian at its defaults, on one batch that holds everything (its fastest way)."""
    try:
        from pyhessian import hessian
    except ImportError:
        return {}

    class Output(nn.Module):
        """What its calling convention needs: the model's output for a batch."""

        def __init__(self) -> None:
            super().__init__()
            self.inner = copy.deepcopy(work.model)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.inner(x)

    def criterion(output: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return work.loss(lambda _: output, (None, y)).mean()  # pyright: ignore[reportArgumentType]

    def run() -> np.ndarray:
        found = hessian(Output(), criterion, data=work.data, cuda=False)
        return np.array(found.eigenvalues(top_n=TOP)[0])

    return {"PyHessian, defaults": run}


def curvlinops(work: Workload) -> dict[str, Timed]:
    """Curvlinops' operator with scipy's eigsh at a tolerance of 1e-3."""
    try:
        from curvlinops import HessianLinearOperator
    except ImportError:
        return {}
    from scipy.sparse.linalg import eigsh

    model = copy.deepcopy(work.model)
    parameters = [p for p in model.parameters() if p.requires_grad]
    flat = len(work.data[1].shape) > 1

    class Flat(nn.Module):
        """Tokens as samples, for its loss module."""

        def __init__(self) -> None:
            super().__init__()
            self.inner = model

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            output = self.inner(x)
            return output.flatten(0, 1) if flat else output

    data = [(work.data[0], work.data[1].flatten() if flat else work.data[1])]

    def run() -> np.ndarray:
        operator = HessianLinearOperator(
            Flat(), nn.CrossEntropyLoss(), parameters, data, check_deterministic=False
        ).to_scipy()
        found = eigsh(operator, k=TOP, which="LA", tol=1e-3, return_eigenvectors=False)
        return np.sort(found)[::-1]

    return {"curvlinops + eigsh 1e-3": run}


PEERS = {"pyhessian": pyhessian, "curvlinops": curvlinops}

if __name__ == "__main__":
    main()
