"""What a landscape of a large model costs beside the model: memory and time, in its own multiples.

    python benchmarks/large.py gpt2 --points 49       # 124 million parameters in float32
    python benchmarks/large.py gpt2 --tokens 2048 --points 4
    python benchmarks/large.py medium --points 25     # 355 million in bfloat16
    python benchmarks/large.py gpt2 --sequences 64 --batch 8 --points 4 --ways streamed
    python benchmarks/large.py gpt2 --ways loss-landscapes landscaper

Every row is measured in a process of its own, on one thread, with randomly initialised weights.
*Memory* is the highest resident set beyond the loaded model (and libraries: a tiny model is
measured first), over the bytes of the model's parameters; that of plain passes over the same data
is taken off it, and stands above the table. *Time* is CPU time, in plain passes of the same process
over the same data: of the first point everything from the objective on (directions, checks, the
point itself), and of each point of a grid, with what is made once for all of them. Peers are
measured when they are installed (pip install ".[peers]"), their points without their directions.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import math
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

import landscape as ls

MODELS = {
    "tiny": ({"n_layer": 1, "n_head": 2, "n_embd": 16, "vocab_size": 50}, torch.float32),
    "small": ({"n_layer": 4, "n_head": 4, "n_embd": 256, "vocab_size": 5000}, torch.float32),
    "gpt2": ({}, torch.float32),
    "medium": ({"n_layer": 24, "n_head": 16, "n_embd": 1024}, torch.bfloat16),
}
WAYS = ("streamed", "points first", "held")
PEERS = ("loss-landscapes", "landscaper")

Measure = Callable[[np.ndarray], Any]


def made(name: str, tokens: int) -> torch.nn.Module:
    """A GPT-2 of that size, in evaluation mode."""
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    options, dtype = MODELS[name]
    torch.set_default_dtype(dtype)
    model = GPT2LMHeadModel(GPT2Config(**options, n_positions=max(1024, tokens)))
    torch.set_default_dtype(torch.float32)
    return model.eval()


def loss(model: torch.nn.Module, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Sum over the tokens of each sequence, and how many they are."""
    logits = model(input_ids=tokens, use_cache=False).logits[:, :-1]
    each = F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten(), reduction="none")
    sums = each.float().view(len(tokens), -1).sum(1)
    return sums, torch.full((len(tokens),), tokens.shape[1] - 1)


def status(name: str) -> int:
    """A number of /proc/self/status, in bytes."""
    text = Path("/proc/self/status").read_text()
    return 1024 * int(text.split(f"{name}:")[1].split()[0])


def timed(function: Callable[[], Any]) -> float:
    """CPU seconds of a call."""

    def used() -> float:
        now = resource.getrusage(resource.RUSAGE_SELF)
        return now.ru_utime + now.ru_stime

    begin = used()
    function()
    return used() - begin


def ours(model: Any, data: torch.Tensor, batch: int, way: str) -> tuple[Measure, Any]:
    """Points of a plane around the model."""
    strategy = "sequential" if way == "held" else "streamed"
    objective = ls.Objective(model, loss, data, strategy=strategy, batch_size=batch or None)
    at = objective.along(ls.random_plane(objective, stored=way == "held"))
    if way != "points first":
        return at, objective
    return lambda grid: [at(point[None]) for point in grid], objective


def peers(model: Any, data: torch.Tensor, way: str) -> Measure:
    """The same with another package; what it takes is its own."""
    if way == "loss-landscapes":
        import loss_landscapes as package  # pyright: ignore[reportMissingImports]
        from loss_landscapes.metrics import Metric  # pyright: ignore[reportMissingImports]

        class Loss(Metric):
            def __call__(self, wrapper: Any) -> float:
                with torch.no_grad():
                    return float(loss(wrapper.modules[0], data)[0].sum())

        # Its filter normalization divides by the zero biases of this model.
        return lambda grid: package.random_plane(
            model, Loss(), 1, math.isqrt(len(grid)), normalization="model", deepcopy_model=True
        )
    from landscaper import LossLandscape  # pyright: ignore[reportMissingImports]

    def run(grid: np.ndarray) -> None:
        directions = [[torch.randn_like(p) for p in model.parameters()] for _ in range(2)]
        with torch.no_grad(), contextlib.redirect_stderr(io.StringIO()):
            LossLandscape.compute(
                model, [data], directions, lambda m, d: float(loss(m, d[0])[0].sum()),
                steps=math.isqrt(len(grid)), distance=0.01, dim=2, device="cpu",
            )  # fmt: skip

    return run


def measured(way: str, name: str, tokens: int, sequences: int, batch: int, points: int) -> dict:
    """One process: loads the model, then measures this way."""
    torch.set_num_threads(1)
    few = torch.zeros(2, 4, dtype=torch.int64)
    if way not in (*PEERS, "plain"):
        ours(made("tiny", 4), few, 1, way)[0](np.zeros((4, 2)))  # loads what is loaded once
    model = made(name, tokens)
    generator = torch.Generator().manual_seed(1)
    vocabulary: int = model.config.vocab_size  # pyright: ignore
    data = torch.randint(vocabulary, (sequences, tokens), generator=generator)

    @torch.no_grad()
    def plain() -> None:
        for part in data.split(batch or 256):
            loss(model, part)

    side = max(2, math.isqrt(points))
    alpha, beta = np.meshgrid(*[np.linspace(-1, 1, side)] * 2)
    grid = np.stack([alpha.ravel(), beta.ravel()], axis=1)
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    rest = status("VmRSS")
    found: dict[str, Any] = {"bytes": sum(p.nbytes for p in model.parameters())}
    if way == "plain":
        plain()
        plain()
    elif way in PEERS:
        run = peers(model, data, way)
        two, many = timed(lambda: run(grid[:4])), timed(lambda: run(grid))
        found["seconds"] = (many - two) / (len(grid) - 4) if len(grid) > 4 else many / 4
        found["first"] = two - 3 * found["seconds"]
    else:
        at: list[Any] = []

        def first() -> None:
            at.extend(ours(model, data, batch, way))
            at[0](grid[:1])

        found["first"] = timed(first)
        few = grid[1:4] if way == "points first" else grid
        found["seconds"] = timed(lambda: at[0](few)) / len(few)
        found["evaluation"] = {k: at[1].evaluation[k] for k in ("strategy", "chunk")}
    found["beyond"] = status("VmHWM") - rest
    found["forward"] = min(timed(plain) for _ in range(2))
    return found


def alone(way: str, arguments: argparse.Namespace) -> dict:
    """The same in a process of its own."""
    told = [arguments.model, "--only", way]
    for key in ("tokens", "sequences", "batch", "points"):
        told += [f"--{key}", str(getattr(arguments, key))]
    command = [sys.executable, __file__, *told]
    out = subprocess.run(command, capture_output=True, text=True)
    if out.returncode:
        return {"failed": out.stderr.strip().splitlines()[-1]}
    return json.loads(out.stdout.strip().splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("model", choices=MODELS)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--sequences", type=int, default=1)
    parser.add_argument("--batch", type=int, default=0)
    parser.add_argument("--points", type=int, default=9)
    parser.add_argument("--ways", nargs="*", default=WAYS, help=f"of {', '.join(WAYS + PEERS)}")
    parser.add_argument("--only", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.only:
        found = measured(
            given.only, given.model, given.tokens, given.sequences, given.batch, given.points
        )
        print(json.dumps(found))
        return
    plain = alone("plain", given)
    size = plain["bytes"]
    print(f"{given.model}: {size / 1e9:.3f} GB, {given.sequences} x {given.tokens} tokens")
    print(
        f"plain pass {plain['forward']:.2f} CPU s, {plain['beyond'] / size:.2f} x beyond the model"
    )
    print("way              memory  first point  a point   (x model, x pass, x pass)")
    for way in given.ways:
        found = alone(way, given)
        if "failed" in found:
            print(f"{way:16} failed: {found['failed']}")
            continue
        beyond = (found["beyond"] - plain["beyond"]) / size
        first, each = (found[k] / found["forward"] for k in ("first", "seconds"))
        print(f"{way:16} {beyond:6.2f} {first:12.2f} {each:8.2f}   {found.get('evaluation', '')}")


if __name__ == "__main__":
    main()
