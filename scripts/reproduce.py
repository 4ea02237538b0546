"""Run published claims on this computer and tabulate: claim, source, expected, measured, holds."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import torch
from claims import averages, connectivity, convexity, edge, geometry, optimizers, walks
from claims.claim import Claim, load, save, table
from claims.setting import SCRATCH, data_name

EXPERIMENTS = {
    "walk": walks.walk,
    "ladder": walks.ladder,
    "invariance": geometry.invariance,
    "curvature": geometry.curvature,
    "null": geometry.null,
    "line": geometry.line,
    "lookahead": optimizers.lookahead,
    "variance": optimizers.variance,
    "radam": optimizers.radam,
    "lamb": optimizers.lamb,
    "decay": averages.decay,
    "swa": averages.swa,
    "curve": connectivity.curve,
    "alignment": connectivity.alignment,
    "instability": connectivity.instability,
    "soup": connectivity.soup,
    "edge": edge.edge,
    "outliers": edge.outliers,
    "convexity": convexity.convexity,
}
HEADER = """# Reproduction of published claims

Written by `python scripts/reproduce.py`, on {data}; two values are those of two seeds. Small
networks and minutes of computing: a claim that fails here is not refuted, and one that holds is
not proved at scale. Nothing was tuned until it agreed.

"""
FOOTER = """

{holding} of {count} hold. Measuring took {minutes:.1f} minutes of one processor core: {times}.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", choices=EXPERIMENTS, help="run only this")
    parser.add_argument("--again", action="store_true", help="run also what is already done")
    parser.add_argument("--smoke", action="store_true", help="two quick claims, in seconds")
    parser.add_argument("--out", type=Path, default=Path("figures") / "reproduction.md")
    args = parser.parse_args()
    if args.smoke:
        args.only, args.again, args.out = ["curvature", "null"], True, SCRATCH / "smoke.md"
    torch.set_num_threads(1)  # small networks are no faster on more, and busy computers slower
    claims: list[Claim] = []
    times: dict[str, float] = {}
    for number, (name, run) in enumerate(EXPERIMENTS.items(), 1):
        done = SCRATCH / f"{name}.json"
        wanted = not args.only or name in args.only
        if args.again and wanted:
            for suffix in (".json", ".h5", ".seconds"):
                done.with_suffix(suffix).unlink(missing_ok=True)
        if wanted and not done.exists():
            print(f"{number}/{len(EXPERIMENTS)} {name} ...", flush=True)
            save(*timed(run, done.with_suffix(".seconds")), path=done)
        if done.exists():
            found, times[name] = load(done)
            claims += found
            if wanted:
                print(f"{number}/{len(EXPERIMENTS)} {name}: {times[name]:.0f} s")
    footer = FOOTER.format(
        holding=sum(c.holds for c in claims),
        count=len(claims),
        minutes=sum(times.values()) / 60,
        times=", ".join(f"{name} {seconds:.0f} s" for name, seconds in times.items()),
    )
    print(table(claims) + footer)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(HEADER.format(data=data_name()) + table(claims) + footer)
    print(f"Written: {args.out}")


def timed(run: Callable[[], list[Claim]], kept: Path) -> tuple[list[Claim], float]:
    """What an experiment found, and its processor seconds, interrupted attempts included."""
    start = time.process_time() - (float(kept.read_text()) if kept.exists() else 0.0)
    try:
        return run(), time.process_time() - start
    finally:
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(str(time.process_time() - start))


if __name__ == "__main__":
    main()
