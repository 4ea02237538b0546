"""What a landscape of a large model costs beside the model: memory and time, in its own multiples.

    python benchmarks/large.py gpt2            # 124 million parameters in float32
    python benchmarks/large.py medium          # 355 million in bfloat16
    python benchmarks/large.py gpt2 --tokens 64 --sequences 1 --points 9 --peers

Every figure is measured in a process of its own. *Memory* is the peak of the resident set beyond
the loaded model, less that of plain forward passes over the same data, over the bytes of the
model's parameters. *Time* is CPU time of a further point over that of a plain pass; that of the
first point counts everything from the objective on: directions, checks, choosing. The model is
randomly initialised. Peers: loss-landscapes and landscaper, when they are installed
(pip install ".[peers]").
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import threading
import time
from pathlib import Path

import torch
from torch.nn import functional as F

import landscape as ls

MODELS = {
    "small": ({"n_layer": 4, "n_head": 4, "n_embd": 256, "vocab_size": 5000}, torch.float32),
    "gpt2": ({}, torch.float32),
    "medium": ({"n_layer": 24, "n_head": 16, "n_embd": 1024}, torch.bfloat16),
}
WAYS = ("plain", "streamed", "points first", "held")


def made(name: str) -> torch.nn.Module:
    """A GPT-2 of that size, in evaluation mode."""
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    options, dtype = MODELS[name]
    torch.set_default_dtype(dtype)
    model = GPT2LMHeadModel(GPT2Config(**options))
    torch.set_default_dtype(torch.float32)
    return model.eval()


def loss(model: torch.nn.Module, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Sum over the tokens of each sequence, and how many they are."""
    logits = model(input_ids=tokens, use_cache=False).logits[:, :-1]
    each = F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten(), reduction="none")
    sums = each.float().view(len(tokens), -1).sum(1)
    return sums, torch.full((len(tokens),), tokens.shape[1] - 1)


def resident() -> int:
    """Bytes of the resident set now."""
    text = Path("/proc/self/status").read_text()
    return 1024 * int(text.split("VmRSS:")[1].split()[0])


class Peak(threading.Thread):
    """Watches the resident set."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.start_at, self.most, self.done = resident(), 0, False

    def run(self) -> None:
        while not self.done:
            self.most = max(self.most, resident())
            time.sleep(0.002)

    def beyond(self) -> int:
        """The highest since the start."""
        self.done = True
        self.join()
        return self.most - self.start_at


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def timed(function: object) -> float:
    """CPU seconds of a call."""
    begin = cpu()
    function()  # pyright: ignore[reportCallIssue]
    return cpu() - begin


def measured(way: str, name: str, tokens: int, sequences: int, batch: int, points: int) -> dict:
    """One process: loads the model, then measures this way."""
    model = made(name)
    generator = torch.Generator().manual_seed(1)
    vocabulary: int = model.config.vocab_size  # pyright: ignore
    data = torch.randint(vocabulary, (sequences, tokens), generator=generator)
    size = sum(p.nbytes for p in model.parameters())

    @torch.no_grad()
    def plain() -> None:
        for part in data.split(batch or 256):
            loss(model, part)

    peak = Peak()
    peak.start()
    if way == "plain":
        each = [timed(plain) for _ in range(3)]
        return {"seconds": min(each), "beyond": peak.beyond(), "bytes": size}
    begin = cpu()
    strategy = "sequential" if way == "held" else "streamed"
    objective = ls.Objective(model, loss, data, strategy=strategy, batch_size=batch or None)
    if way == "held":
        plane = ls.random_plane(objective, stored=True)
    else:
        plane = ls.random_plane(objective, stored=False)
    at = objective.along(plane)
    side = max(2, round(points**0.5))
    grid = torch.cartesian_prod(*[torch.linspace(-1, 1, side)] * 2).double().numpy()
    at(grid[:1])
    first = cpu() - begin
    if way == "points first":
        seconds = sum(timed(lambda p=p: at(p[None])) for p in grid[1:4]) / 3
    else:
        seconds = timed(lambda: at(grid)) / len(grid)
    return {
        "seconds": seconds,
        "first": first,
        "beyond": peak.beyond(),
        "bytes": size,
        "evaluation": {k: objective.evaluation[k] for k in ("strategy", "chunk")},
    }


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
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", choices=MODELS)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--sequences", type=int, default=1)
    parser.add_argument("--batch", type=int, default=0)
    parser.add_argument("--points", type=int, default=9)
    parser.add_argument("--ways", nargs="*", default=WAYS)
    parser.add_argument("--only")
    given = parser.parse_args()
    if given.only:
        found = measured(
            given.only, given.model, given.tokens, given.sequences, given.batch, given.points
        )
        print(json.dumps(found))
        return
    plain = alone("plain", given)
    size, forward = plain["bytes"], plain["seconds"]
    print(f"{given.model}: {size / 1e9:.3f} GB, {given.sequences} x {given.tokens} tokens")
    print(f"plain forward {forward:.2f} CPU s, {plain['beyond'] / size:.2f} x beyond the model")
    print("way            memory  first point  a point   (x model, x forward, x forward)")
    for way in given.ways:
        if way == "plain":
            continue
        found = alone(way, given)
        if "failed" in found:
            print(f"{way:14} failed: {found['failed']}")
            continue
        beyond = (found["beyond"] - plain["beyond"]) / size
        first, each = found["first"] / forward, found["seconds"] / forward
        print(f"{way:14} {beyond:6.2f} {first:12.2f} {each:8.2f}   {found['evaluation']}")


if __name__ == "__main__":
    main()
