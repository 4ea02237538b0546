"""What a GPU makes of the hot paths: a surface, a recording, curvature, a large model.

    python benchmarks/gpu.py --out gpu.md                    # minutes on a GPU
    python benchmarks/gpu.py --device cpu --smoke            # the same code, tiny, anywhere

Rows appear one by one in the table, so that what was measured stays if the machine is taken away.
A row that cannot be measured says why. Times are wall times with everything on the device done;
what is compared is measured in turns.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import landscape as ls
from landscape.tasks.resnet import ResNet

Row = tuple[str, str]  # what, and what was found
ROUNDS = 5


def classify(model: nn.Module, batch: Any) -> Tensor:
    return F.cross_entropy(model(batch[0]), batch[1], reduction="none")


def next_token(model: nn.Module, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Sum over the tokens of each sequence, and how many they are."""
    logits = model(input_ids=tokens, use_cache=False).logits[:, :-1]
    each = F.cross_entropy(logits.flatten(0, 1).float(), tokens[:, 1:].flatten(), reduction="none")
    return each.view(len(tokens), -1).sum(1), torch.full((len(tokens),), tokens.shape[1] - 1)


def images(count: int, device: str) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(0)
    x, y = (
        torch.randn(count, 3, 32, 32, generator=draw),
        torch.randint(10, (count,), generator=draw),
    )
    return x.to(device), y.to(device)


def seconds(function: Callable[[], Any], device: str) -> float:
    """Wall time until the device has done everything."""
    wait = torch.cuda.synchronize if device.startswith("cuda") else lambda: None
    wait()
    begin = time.perf_counter()
    function()
    wait()
    return time.perf_counter() - begin


def in_turns(a: Callable[[], Any], b: Callable[[], Any], device: str) -> tuple[float, float]:
    """Median seconds of a, and the median of the ratios of b to a."""
    pairs = []
    for number in range(ROUNDS + 1):
        order = (a, b) if number % 2 else (b, a)
        found = {f: seconds(f, device) for f in order}
        pairs += [(found[a], found[b])] * (number > 0)
    return statistics.median(p for p, _ in pairs), statistics.median(q / p for p, q in pairs)


def surface(device: str, smoke: bool) -> Iterator[Row]:
    """A ResNet on CIFAR-size images: points against plain passes, and a tenth of 51×51."""
    data = images(32 if smoke else 10_000, device)
    depth = 8 if smoke else 56
    model = ResNet(depth).to(device).eval()
    objective = ls.Objective(model, classify, data)
    plane = ls.random_plane(objective, seed=1)
    side, shard = (3, (0, 1)) if smoke else (51, (0, 10))
    restriction = objective.restrict(plane.origin, plane.directions)
    points = [[0.1 * i, 0.2] for i in range(2 if smoke else 8)]
    restriction.prepare(torch.tensor(points).numpy())

    @torch.inference_mode()
    def plain() -> None:
        for _ in points:
            for x, y in zip(data[0].split(1000), data[1].split(1000), strict=True):
                classify(model, (x, y)).double().sum().item()

    raw, ratio = in_turns(plain, lambda: restriction(torch.tensor(points).numpy()), device)
    yield f"ResNet-{depth}, a plain pass", f"{1e3 * raw / len(points):.1f} ms"
    way = "the plain way" if objective.choice is None else objective.choice.describe()["strategy"]
    yield "the same, a point of a surface", f"{ratio:.3f} plain passes ({way})"
    taken = seconds(lambda: ls.loss_surface(objective, plane, resolution=side, shard=shard), device)
    yield f"{side}×{side} points, part {shard[0] + 1} of {shard[1]}", f"{taken:.1f} s"


def recording(device: str, smoke: bool) -> Iterator[Row]:
    """Steps of a ResNet with and without a recorder."""
    depth = 8 if smoke else 20
    model, data = ResNet(depth).to(device), images(16 if smoke else 128, device)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)
    count = 2 if smoke else 50

    def step() -> Tensor:
        optimizer.zero_grad()
        loss = classify(model, data).mean()
        loss.backward()
        optimizer.step()
        return loss.detach()

    def bare() -> None:
        for _ in range(count):
            step()

    def recorded() -> None:
        with (
            tempfile.TemporaryDirectory() as folder,
            ls.Recorder(Path(folder) / "run.h5", model, optimizer) as recorder,
        ):
            for _ in range(count):
                loss = step()
                recorder.log(loss=loss)

    raw, ratio = in_turns(bare, recorded, device)
    yield f"ResNet-{depth}, a step of training", f"{1e3 * raw / count:.2f} ms"
    yield "the same, recorded", f"{ratio:.3f} plain steps, opening and closing the file counted"


def curvature(device: str, smoke: bool) -> Iterator[Row]:
    """A product with a ResNet's Hessian, and its five largest eigenvalues."""
    depth = 8 if smoke else 20
    model = ResNet(depth).to(device).eval()
    objective = ls.Objective(model, classify, images(16 if smoke else 1024, device))
    vector = torch.randn(objective.layout.size, generator=torch.Generator().manual_seed(1)).numpy()
    with objective.hessian(objective.parameters()) as matrix:
        _ = matrix @ vector
        product = statistics.median(seconds(lambda: matrix @ vector, device) for _ in range(ROUNDS))
    yield f"ResNet-{depth}, a product with the Hessian", f"{1e3 * product:.1f} ms"
    found: list[ls.Spectrum] = []
    wanted: dict[str, Any] = (
        {"top": 2, "bottom": 0} if smoke else {"top": 5, "bottom": 0, "tolerance": 1e-4}
    )
    taken = seconds(lambda: found.append(ls.hessian_spectrum(objective, **wanted)), device)
    yield "its largest eigenvalues", f"{taken:.1f} s, {found[0].products} products"


def large(device: str, smoke: bool) -> Iterator[Row]:
    """A bfloat16 GPT-2 of 1.3 billion parameters, streamed: time and memory beside the model."""
    from transformers import GPT2Config, GPT2LMHeadModel

    tiny = {"n_layer": 2, "n_head": 2, "n_embd": 32, "vocab_size": 200}
    sizes: dict[str, Any] = tiny if smoke else {"n_layer": 24, "n_head": 16, "n_embd": 2048}
    torch.manual_seed(0)
    torch.set_default_dtype(torch.bfloat16)
    with torch.device(device):
        model = GPT2LMHeadModel(GPT2Config(**sizes)).eval()
    torch.set_default_dtype(torch.float32)
    tokens = torch.randint(200, (1, 16) if smoke else (2, 1024), device=device)
    size = sum(p.nbytes for p in model.parameters())
    objective = ls.Objective(model, next_token, tokens, strategy="streamed")
    at = objective.along(ls.random_plane(objective, stored=False))
    points = torch.tensor([[0.0, 0.1], [0.1, 0.0], [0.1, 0.1], [-0.1, 0.1]]).double().numpy()

    @torch.inference_mode()
    def plain() -> None:
        for _ in points:
            next_token(model, tokens)[0].double().sum().item()

    def peak(function: Callable[[], Any]) -> float:
        if not device.startswith("cuda"):
            return 0.0
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        function()
        return (torch.cuda.max_memory_allocated() - before) / size

    raw, ratio = in_turns(plain, lambda: at(points), device)
    beyond = peak(lambda: at(points)) - peak(plain)
    yield (
        f"GPT-2, {size / 1e9:.2f} GB in bfloat16, a plain pass",
        f"{1e3 * raw / len(points):.1f} ms",
    )
    yield "the same, a point, streamed", f"{ratio:.2f} plain passes"
    if device.startswith("cuda"):
        yield "memory beside the model, less that of a pass", f"{beyond:.3f} of the model"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--smoke", action="store_true", help="tiny sizes")
    parser.add_argument("--out", type=Path, help="a Markdown file that the table is added to")
    given = parser.parse_args()
    if given.device.startswith("cuda") and not torch.cuda.is_available():
        raise SystemExit("No CUDA device was found; --device cpu --smoke tries the code without.")
    name = torch.cuda.get_device_name() if given.device.startswith("cuda") else "processor"
    head = f"\n| on {name}, torch {torch.__version__} | |\n|---|---|"
    for line in itertools.chain([head], rows(given.device, given.smoke)):
        print(line, flush=True)
        if given.out:
            with given.out.open("a") as file:
                file.write(line + "\n")


def rows(device: str, smoke: bool) -> Iterator[str]:
    """Lines of the table, as they are found."""
    for part in (surface, recording, curvature, large):
        try:
            for what, found in part(device, smoke):
                yield f"| {what} | {found} |"
        except (RuntimeError, ValueError, ImportError) as error:
            reason = " ".join(str(error).split())
            yield f"| {part.__name__} | **{type(error).__name__}**: {reason} |"


if __name__ == "__main__":
    main()
