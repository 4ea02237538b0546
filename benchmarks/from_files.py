"""A line through two checkpoints that are larger than the memory given: what it reads and holds.

Two randomly initialised Llamas in bfloat16 are written to a folder. Another process, which may
allocate less than one of them (RLIMIT_DATA, set once the libraries are loaded), measures the line
between them from the files and says how much it read and held.

    python benchmarks/from_files.py             # 0.7 GB each; minutes
    python benchmarks/from_files.py --smoke     # seconds
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

import landscape as ls
from landscape.objective.vectors.files import FileTensors
from landscape.tasks.language import load_language_model

POINTS, SHARE = 5, 0.75  # of one model may be allocated beyond what the libraries take
LEAST = 2**28  # bytes that may be allocated in any case: threads, allocators


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--smoke", action="store_true", help="a small model")
    parser.add_argument("--tokens", type=int, default=64, help="in each of two sequences")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure is not None:
        print(json.dumps(measured(args.measure, args.tokens)))
        return
    with tempfile.TemporaryDirectory() as folder:
        write_models(Path(folder), smoke=args.smoke)
        told = subprocess.run(
            [sys.executable, __file__, "--measure", folder, "--tokens", str(args.tokens)],
            env={**os.environ, "MALLOC_ARENA_MAX": "2", "MALLOC_MMAP_THRESHOLD_": "1000000"},
            check=True, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        found = json.loads(told.stdout.splitlines()[-1])
        own = own_loss(Path(folder) / "a", args.tokens)
    size = found["model"]
    room = found["room"] / size
    print(f"{size / 1e9:.3g} GB a checkpoint; {room:.2f} x may be allocated; {POINTS} points")
    print(f"read {found['made'] / size:.3f} x both checkpoints to make the line, once")
    print(f"read {found['read'] / size:.3f} x both to measure it, {found['seconds']:.1f} s in all")
    print(f"held {found['peak'] / size:.3f} x a checkpoint beyond the libraries")
    print(f"loss at the first: {found['loss'][0]:.6f}, the model's own: {own:.6f}")
    print(f"loading one there: {found['loading']}")


def write_models(folder: Path, *, smoke: bool) -> None:
    """Two models, the second a step from the first."""
    import transformers

    width, layers = (256, 4) if smoke else (1024, 24)
    config = transformers.LlamaConfig(
        vocab_size=2000 if smoke else 8000, hidden_size=width, intermediate_size=3 * width,
        num_hidden_layers=layers, num_attention_heads=width // 64,
    )  # fmt: skip
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    for name in "ab":
        model.save_pretrained(folder / name)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.01 * torch.randn_like(parameter))


def batch(tokens: int) -> dict[str, torch.Tensor]:
    """Two sequences of symbols."""
    generator = torch.Generator().manual_seed(0)
    return {"input_ids": torch.randint(1, 2000, (2, tokens), generator=generator)}


def own_loss(folder: Path, tokens: int) -> float:
    """What the model itself gives."""
    with torch.no_grad():
        found = ls.losses.causal_lm(load_language_model(folder), batch(tokens))
    return float(found.total.sum() / found.weight.sum())


def measured(folder: Path, tokens: int) -> dict[str, object]:
    """The line, with less memory than one checkpoint needs."""
    load_language_model(folder / "a", empty=True)  # loads the libraries
    ctypes.CDLL(None).malloc_trim(0)  # what is free already is no room
    size, before = FileTensors(folder / "a").size, status("VmData")
    limit = int(before + max(SHARE * size, LEAST))
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    rest, began = status("VmRSS"), time.perf_counter()
    model = load_language_model(folder / "a", empty=True)
    objective = ls.Objective(model, ls.losses.causal_lm, batch(tokens), strategy="streamed")
    start = bytes_read()
    line = ls.checkpoint_line(folder / "a", folder / "b")
    made, start = bytes_read() - start, bytes_read()
    loss = objective.along(line)(np.linspace(0, 1, POINTS)[:, None]).mean[0]
    read = bytes_read() - start
    seconds, peak = time.perf_counter() - began, status("VmHWM") - rest
    try:
        load_language_model(folder / "a")
        loading = "it fitted"
    except (RuntimeError, MemoryError, OSError) as error:
        loading = f"{type(error).__name__}: {error}".splitlines()[0][:90]
    return {
        "model": size, "made": made / 2, "read": read / 2, "peak": peak, "seconds": seconds,
        "loss": loss.tolist(), "loading": loading, "room": limit - before,
    }  # fmt: skip


def bytes_read() -> int:
    """By this process, of anything, from the system."""
    return int(Path("/proc/self/io").read_text().split()[1])


def status(name: str) -> int:
    """A number of /proc/self/status, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return 1024 * int(line.split()[1])
    raise ValueError(f"/proc/self/status has no {name}.")


if __name__ == "__main__":
    main()
