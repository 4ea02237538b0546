"""Find a curve of low loss between two networks, with any optimizer that has a name."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from landscape.base.layout import Entry, Layout
from landscape.base.progress import Interrupted, Progress
from landscape.base.provenance import fingerprint, provenance
from landscape.base.settings import joined
from landscape.base.vector import Vector
from landscape.objective.objective import Objective
from landscape.objective.steps import Steps, steps_of
from landscape.optim.evaluated import evaluated_weights
from landscape.optim.registry import build, find
from landscape.recording.recorder import Recorder
from landscape.results.curve import KINDS, Curve, weights_at
from landscape.training.checked_steps import CheckedSteps


def find_curve(
    objective: Objective,
    a: np.ndarray,
    b: np.ndarray,
    *,
    kind: str = "bezier",
    bends: int = 1,
    steps: int = 1000,
    optimizer: str = "adam",
    lr: float | None = None,
    options: Mapping[str, Any] | None = None,
    batch_size: int = 128,
    seed: int = 0,
    record: str | os.PathLike[str] | None = None,
    every: int = 1,
    overwrite: bool = False,
) -> Curve:
    """Train a curve between two networks to a low loss on average over its parameter.

    Minimises E over t ~ U[0, 1] of L(φ(t)) over the bends θ_j; the ends stay. Each step draws one
    t and one batch; the gradient of a bend is w_j(t) ∇L(φ(t)). The bends begin on the straight
    line. No layer is written anew: the model computes at φ(t) as it does anywhere else, with batch
    norms that use the statistics of each batch, and without dropout.

    Args:
        objective: The loss and the data that the curve is trained on, without weight decay; give
            that to the optimizer, where wanted.
        a: The first network, shape (P,).
        b: The second.
        kind: ``bezier``, or ``chain`` of straight pieces.
        bends: How many points between the ends are trained.
        steps: Of the optimizer.
        optimizer: A name that `landscape list optimizers` knows.
        lr: Its learning rate; default: that of its entry.
        options: Its further arguments.
        batch_size: Samples per step; optimizers of the full batch take all.
        seed: Of the places t and of the order of samples.
        record: A file to which the bends are recorded as `Recorder` does. With one bend it is a run
            of the model, which every other measurement takes.
        every: Record the bends after every n-th step.
        overwrite: Replace an existing file.

    Returns:
        The curve.

    Raises:
        ValueError: If kind, optimizer or a number is none, or the points belong to another model.
        Interrupted: On Ctrl-C; its `partial` is the curve so far.

    Source: Garipov et al. 2018, arXiv:1802.10026, section 3.

    >>> import landscape as ls
    >>> task = ls.load_task("function/quadratic")  # ½ Σ h_i x_i², h from 1 to 100, at x = 1
    >>> objective = ls.Objective(task.model, task.loss, task.train)
    >>> import numpy as np
    >>> a, b = np.full(10, -1.0, "float32"), np.full(10, 1.0, "float32")
    >>> curve = ls.find_curve(objective, a, b, steps=5)
    >>> curve.points.shape, bool((curve.at(0.0) == a).all())
    ((3, 10), True)
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}; not {kind!r}.")
    counts = {"bends": (bends, 1), "batch_size": (batch_size, 1), "steps": (steps, 0)}
    for name, (value, least) in counts.items():
        if not isinstance(value, int | np.integer) or value < least:
            raise ValueError(f"{name} must be a whole number, at least {least}; got {value!r}.")
    entry = find(optimizer)
    ends = [objective.matched(end) for end in (a, b)]
    if not all(np.isfinite(end).all() for end in ends):
        raise ValueError("An end of the curve has entries that are not finite.")
    # Tensors matter to some optimizers, and to readers of the record.
    whole = entry.elementwise and record is None
    trained = _Bends(objective, ends, bends, whole=whole)
    chosen = build(optimizer, trained.parameters(), lr=lr, options=options)
    losses: list[Tensor] = []

    def found() -> Curve:
        return Curve(
            kind=kind,
            points=Vector(
                np.stack([ends[0], *trained.vectors(evaluated_weights(chosen)), ends[1]]),
                objective.layout,
            ),
            loss=torch.stack(losses).double().cpu().numpy() if losses else np.zeros(0),
            settings=joined(
                objective.settings,
                {
                    "optimizer": optimizer, "lr": entry.lr if lr is None else lr,
                    "options": dict(options or {}), "steps": len(losses),
                    "batch_size": batch_size, "curve_seed": seed,
                },
            ),
            provenance=provenance(ends=[fingerprint(np.asarray(end)) for end in ends]),
        )  # fmt: skip

    recorder = nullcontext()
    if record is not None:
        told = {"name": f"{kind} curve", "optimizer": optimizer, "seed": seed}
        recorder = Recorder(record, trained.recorded, chosen, every=every, run=told,
                            overwrite=overwrite)  # fmt: skip
    batches = _batches(objective, None if entry.full_batch else batch_size, seed)
    places = weights_at(kind, bends + 2, np.random.default_rng(seed).random(steps)).tolist()
    checked = CheckedSteps(optimizer, chosen, trained, needs_closure=entry.closure)
    with recorder as listening, Progress(f"{kind} curve", steps, unit="step") as progress:
        try:
            with steps_of(objective) as lent:
                for step, weights in enumerate(places):
                    batch = next(batches)
                    losses.append(checked.step(trained.closure(lent, weights, batch, step)))
                    if listening is not None:
                        listening.log(loss=losses[-1])
                    progress.advance()
            checked.check()
        except KeyboardInterrupt:
            raise Interrupted(found()) from None
    return found()


class _Bends(nn.Module):
    """The points that are trained: vectors whose parts carry the names of the model's tensors.

    Or, where that makes no difference, vectors of one part each: many small tensors are slow to
    step.
    """

    def __init__(
        self, objective: Objective, ends: list[np.ndarray], count: int, *, whole: bool
    ) -> None:
        super().__init__()
        layout = objective.layout
        if whole:
            layout = Layout((Entry("weights", (layout.size,), 0, "bias"),))
        kept = {"dtype": objective.problem.dtype, "device": objective.device}
        self._ends = [torch.as_tensor(np.array(end), **kept) for end in ends]
        self._flat = [
            torch.lerp(self._ends[0], self._ends[1], (j + 1) / (count + 1)) for j in range(count)
        ]
        self._gradients = [torch.zeros_like(flat) for flat in self._flat]
        self.bend = nn.ModuleList(_named(layout, flat) for flat in self._flat)
        self._parts = [
            [(dict(bend.named_parameters())[e.name], *_views(e, flat, gradient)) for e in layout]
            for bend, flat, gradient in zip(self.bend, self._flat, self._gradients, strict=True)
        ]

    @property
    def recorded(self) -> nn.Module:
        """What a recorder records: of one bend its tensors, by the model's own names."""
        return self.bend[0] if len(self.bend) == 1 else self

    def closure(self, steps: Steps, weights: list[float], batch: Any, number: int) -> Any:
        """What leaves the gradients of all bends at one place of the curve and returns the loss."""

        def closure() -> Tensor:
            with torch.no_grad():
                for parameter, view, gradient in chain(*self._parts):
                    if parameter.data_ptr() != view.data_ptr():  # the optimizer put another there
                        parameter.data = view.copy_(parameter)
                    parameter.grad = gradient
                first, last = self._ends
                torch.mul(first, weights[0], out=steps.weights)
                for flat, weight in zip((*self._flat, last), weights[1:], strict=True):
                    steps.weights.add_(flat, alpha=weight)
                loss, gradient = steps.gradient(batch, number)
                for j, own in enumerate(self._gradients):
                    torch.mul(gradient, weights[j + 1], out=own)
            return loss

        return closure

    def vectors(self, evaluated: Mapping[Tensor, Tensor]) -> list[np.ndarray]:
        """The bends as flat vectors, as they are to be evaluated."""
        return [
            torch.cat([evaluated.get(p, p).detach().reshape(-1) for p, *_ in parts]).cpu().numpy()
            for parts in self._parts
        ]


def _views(entry: Entry, *vectors: Tensor) -> list[Tensor]:
    return [vector[entry.slice].view(entry.shape) for vector in vectors]


def _named(layout: Layout, flat: Tensor) -> nn.Module:
    """Modules within modules whose parameters are views of a vector, under the layout's names."""
    root = nn.Module()
    for entry in layout:
        *path, name = entry.name.split(".")
        owner = root
        for part in path:
            if part not in owner._modules:
                owner.add_module(part, nn.Module())
            owner = owner._modules[part]
            assert owner is not None
        owner.register_parameter(name, nn.Parameter(_views(entry, flat)[0]))
    return root


def _batches(objective: Objective, size: int | None, seed: int) -> Iterator[Any]:
    """Batches without end: every epoch a new order of the samples, or of batches as given."""
    data, generator = objective.data, torch.Generator().manual_seed(seed)
    if not data.joined:
        given = [batch for batch, _ in data.batches()]
        while True:
            yield from (given[i] for i in torch.randperm(len(given), generator=generator).tolist())
    size = data.size if size is None else min(size, data.size)
    while True:
        order = torch.randperm(data.size, generator=generator)
        for start in range(0, data.size - size + 1, size):
            yield data.take(order[start : start + size].to(objective.device))
