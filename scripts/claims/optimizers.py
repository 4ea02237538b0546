"""Claims about Lookahead, RAdam and LAMB."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

import landscape as ls
from landscape.optim.lamb import LAMB
from landscape.optim.lookahead import Lookahead

from .claim import Claim, numbers
from .setting import SCRATCH, SEEDS, flat, load, objective, train

ZHANG = "Zhang et al. 2019, arXiv:1907.08610"
LIU = "Liu et al. 2020, arXiv:1908.03265"
YOU = "You et al. 2020, arXiv:1904.00962"
K, ALPHA, OUTER = 10, 0.5, 40


def lookahead() -> list[Claim]:
    """Slow weights against the last fast weights, and where they lie between them."""
    better, gain, place, residual = [], [], [], []
    for seed in SEEDS:
        task = load("mlp-64-64-relu", seed=seed)
        measure = objective(task, test=True)
        inner = torch.optim.SGD(task.model.parameters(), lr=0.1, momentum=0.9)
        outer = Lookahead(inner, k=K, alpha=ALPHA)
        fast: list[torch.Tensor] = []
        loops: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        before = flat(task.model)
        inner.register_step_post_hook(lambda *_, m=task.model, f=fast: f.append(flat(m)))

        def after(step: int, *, held=loops, fast=fast, model=task.model) -> None:
            if step % K == 0:
                held.append((fast[-K].numpy(), fast[-1].numpy(), flat(model).numpy()))
                fast.clear()

        train(task, outer, steps=K * OUTER, batch=100, seed=seed, after=after)
        errors = np.array(
            [[measure.at(point).mean[1, 0] for point in (last, slow)] for _, last, slow in loops]
        )
        better.append(int((errors[:, 1] < errors[:, 0]).sum()))
        gain.append(100 * float((errors[:, 0] - errors[:, 1]).mean()))
        starts = [before.numpy(), *(slow for *_, slow in loops[:-1])]
        for start, (_, last, slow) in zip(starts, loops, strict=True):
            (where,), off = ls.line_between(start, last).coordinates(slow)
            place.append(float(where))
            residual.append(off / np.linalg.norm(last - start))
    return [
        Claim(
            "Slow weights have a higher test accuracy than the last fast weights of their loop "
            "(k = 10, α = .5, SGD lr .1, momentum .9)", ZHANG,
            "at most of the 40 outer steps, by a positive mean",
            "; ".join(
                f"{n} of {OUTER}, {g:+.2f} points" for n, g in zip(better, gain, strict=True)
            ),
            min(better) > OUTER / 2 and min(gain) > 0,
        ),
        Claim(
            "The slow step goes the fraction α of the way from slow to last fast weights", ZHANG,
            "at .5 to 1e-4, off the segment by < 1e-4 of its length",
            f"{min(place):.6f}–{max(place):.6f}, off by {max(residual):.1e}",
            max(abs(p - ALPHA) for p in place) < 1e-4 and max(residual) < 1e-4,
        ),
    ]  # fmt: skip


def variance() -> list[Claim]:
    """Steady-state variance of Lookahead over that of SGD on a noisy quadratic."""
    claims = []
    for k, alpha, rate in ((5, 0.5, 0.1), (5, 0.5, 0.5), (10, 0.2, 1.0)):
        outside = alpha**2 * (1 - (1 - rate) ** (2 * k))
        expected = outside / (outside + 2 * alpha * (1 - alpha) * (1 - (1 - rate) ** k))
        ratios = []
        for seed in SEEDS:
            found = [_steady_variance(k, alpha, rate, seed), _steady_variance(1, 1.0, rate, seed)]
            ratios.append(found[0] / found[1])
        claims.append(
            Claim(
                "Lookahead's variance over SGD's on the noisy quadratic "
                f"(k = {k}, α = {alpha}, γL = {rate})", f"{ZHANG}, proposition 2",
                f"{expected:.3f} to 4 %", numbers(ratios, ".3f"),
                all(abs(r / expected - 1) < 0.04 for r in ratios),
            )
        )  # fmt: skip
    return claims


def _steady_variance(k: int, alpha: float, rate: float, seed: int) -> float:
    """Variance of the slow weights of ½ (θ - c)², c ~ N(0, 1) anew at every step."""
    generator = torch.Generator().manual_seed(seed)
    theta = torch.nn.Parameter(torch.zeros(20_000))
    optimizer = Lookahead(torch.optim.SGD([theta], lr=rate), k=k, alpha=alpha)
    kept = []
    for outer in range(120):
        for _ in range(k):
            theta.grad = theta.detach() - torch.randn(len(theta), generator=generator)
            optimizer.step()
        if outer >= 100:
            kept.append(float(theta.detach().var()))
    return float(np.mean(kept))


def radam() -> list[Claim]:
    """The variance of the adaptive rate, and its rectification."""
    steps = [4, 5, 10, 100, 1000, 10_000]
    factors = ls.adaptive_rate_variance(steps=steps, samples=10).rectification
    expected = [0.0173, 0.0490, 0.2153, 0.6453, 0.9998]
    found = [
        ls.adaptive_rate_variance(steps=[20, 50, 100, 200, 500, 1000, 2000], seed=s) for s in SEEDS
    ]
    ratio = [f.simulated / f.closed_form for f in found]
    spread = [float(f.rectified.max() / f.rectified.min()) for f in found]
    plain = [float(f.simulated.max() / f.simulated.min()) for f in found]
    return [
        Claim(
            "Rectification r_t at t = 5, 10, 100, 1000, 10000 (β₂ = .999); none before t = 5", LIU,
            numbers(expected, ".4f"), numbers(factors[1:], ".4f"),
            bool(np.isnan(factors[0]) and np.allclose(factors[1:], expected, atol=5e-5)),
        ),
        Claim(
            "The simulated variance of the adaptive rate follows the closed form, t = 20 to 2000",
            LIU, "ratio within .87–1.1 (the closed form takes an exponential average for a plain "
            "one: up to 12 % too large)",
            "; ".join(f"{min(r):.3f}–{max(r):.3f}" for r in ratio),
            all(min(r) > 0.87 and max(r) < 1.1 for r in ratio),
        ),
        Claim(
            "Rectified, the variance is about the same at every step, t = 20 to 2000", LIU,
            "largest over smallest < 1.5, against more than 50 before",
            "; ".join(f"{s:.2f} against {p:.0f}" for s, p in zip(spread, plain, strict=True)),
            max(spread) < 1.5 and min(plain) > 50,
        ),
    ]  # fmt: skip


def lamb() -> list[Claim]:
    """Every tensor moves by the learning rate times its own norm."""
    worst = []
    for seed in SEEDS:
        task = load("mlp-64-64-relu", seed=seed)
        optimizer = LAMB(task.model.parameters(), lr=0.01, weight_decay=0)
        SCRATCH.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=SCRATCH) as folder:
            with ls.Recorder(Path(folder) / "lamb.h5", task.model, optimizer):
                train(task, optimizer, steps=50, seed=seed)
            with ls.Trajectory(Path(folder) / "lamb.h5") as run:
                ratio = ls.layer_metrics(run).update_to_weight[:, 1:]
        worst.append(float(np.abs(ratio / 0.01 - 1).max()))
    return [
        Claim(
            "LAMB moves every tensor by lr · its norm (weight decay 0, φ = identity)", YOU,
            "‖Δw‖ / (lr ‖w‖) = 1 to 1e-4 at each of 50 steps", numbers(worst, ".1e"),
            max(worst) < 1e-4,
        )
    ]  # fmt: skip
