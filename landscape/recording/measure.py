"""Measure: the numbers that are stored of every step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from landscape.base.layout import Layout
from landscape.recording.numbers.device_motion import DeviceMotion
from landscape.recording.numbers.histogram import count_magnitudes, count_on_device, fetch_counts
from landscape.recording.numbers.motion import Motion, Numbers, last_sums
from landscape.recording.numbers.sketch import Sketch
from landscape.recording.slots import Step, neighbours

Row = tuple[dict[str, float], Mapping[str, np.ndarray]]


class Measure:
    """Norms, cosines, distances and sketches of steps.

    A model on a GPU is measured there, step by step, as `on_device` is called, and one that is not
    copied where it is, by `in_place`; else the writing thread measures many steps at once.

    Args:
        layout: Where each tensor lies in the flat vectors.
        initial: θ_0, shape (P,), on the device of the parameters; not kept without `motion` where
            `in_place` is called.
        current: The parameters before the first step to come, there too.
        update: The update that led to `current`, if known.
        motion: Whether to measure norms, cosines and distances.
        sketch: Size and seed of the random projection; None: there is none.
        gradient_histogram: Whether to count the sizes of the gradient's entries.
        copied: Whether steps come with copies of the parameters.
    """

    def __init__(
        self,
        layout: Layout,
        initial: Tensor,
        current: Tensor,
        update: np.ndarray | None,
        *,
        motion: bool,
        sketch: tuple[int, int] | None,
        gradient_histogram: bool,
        copied: bool = True,
    ) -> None:
        self._initial, self._histogram = initial, gradient_histogram
        self._start: Tensor | None = None  # the sketch of θ_0
        self._motion: Motion | None = None
        self._device_motion: DeviceMotion | None = None
        self._sketch: Sketch | None = None
        if sketch is not None:
            k, seed = sketch
            where = initial.device
            self._sketch = Sketch(layout.size, k, seed=seed, device=where, held=copied)
            if not copied:
                self._start = self._sketch.of([initial])
        if not copied:
            self._initial = initial.new_empty(0)
        if motion and initial.is_cuda:
            there = None if update is None else torch.from_numpy(update).to(initial)
            self._device_motion = DeviceMotion(layout, initial, current, there)
        elif motion:
            self._motion = Motion(layout, initial.numpy(), current.numpy(), update)
        self._numbers = Numbers(None if update is None else last_sums(layout, update))

    def on_device(self, step: Step, theta: Tensor, gradient: Tensor | None) -> None:
        """Measure a step whose vectors are on a GPU, as soon as it is made."""
        if self._device_motion is not None and gradient is not None:
            step.sums = self._device_motion.sums(theta, gradient)
            if self._histogram:
                step.histogram = count_on_device(gradient)
        if self._sketch is not None:
            step.sketch = self._sketch(theta, self._initial)

    def in_place(self, step: Step, tensors: Iterable[Tensor]) -> None:
        """Sketch a step of which nothing is copied, as soon as it is made."""
        if self._sketch is not None and self._start is not None:
            step.sketch = self._sketch.of(tensors) - self._start

    def rows(self, steps: Sequence[Step]) -> list[Row]:
        """Scalars, and numbers about each tensor, of consecutive steps.

        The last one is compared with the next; its slot must not change until then.
        """
        held = [step.slot for step in steps if "gradient" in step.slot.arrays]
        whole: dict[str, np.ndarray] = {}
        layers: dict[str, np.ndarray] = {}
        found = [step.sums.cpu().numpy() for step in steps if step.sums is not None]
        if found:
            whole, layers = self._numbers.of(np.stack(found))
        elif self._motion is not None and held:
            pieces = neighbours(held)
            thetas, gradients = (
                [slot.rows[name][part] for slot, part in pieces]
                for name in ("parameters", "gradient")
            )
            whole, layers = self._numbers.of(self._motion.sums(thetas, gradients))
        if self._sketch is not None:
            layers["sketch"] = np.stack([self._sketched(self._sketch, step) for step in steps])
        counts = [fetch_counts(step.histogram) for step in steps if step.histogram is not None]
        if counts:
            layers["gradient_histogram"] = np.stack(counts)
        elif self._histogram and held:
            layers["gradient_histogram"] = count_magnitudes([s.arrays["gradient"] for s in held])
        return [
            (
                {name: float(values[k]) for name, values in whole.items()}
                | {name: float(value) for name, value in step.scalars.items()},
                {name: values[k] for name, values in layers.items()},
            )
            for k, step in enumerate(steps)
        ]

    def _sketched(self, sketch: Sketch, step: Step) -> np.ndarray:
        if step.sketch is not None:
            return step.sketch.cpu().numpy()
        return sketch(torch.from_numpy(step.slot.arrays["parameters"]), self._initial).numpy()
