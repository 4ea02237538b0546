"""Recorder: one line around any training loop that uses a torch optimizer."""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from landscape.layout import Layout
from landscape.recording.writer import TrajectoryWriter


class Recorder:
    """Record every step of a training loop to a trajectory file, without disturbing it.

    The recorder listens to the optimizer's step (`register_step_post_hook`), so gradient
    accumulation, schedulers and steps skipped by a gradient scaler count as they should. It only
    reads: the run is bitwise the same with and without it. Each step is committed when the next
    one begins (or at the end), so a killed process loses at most the step under way.

    Args:
        path: The trajectory file to create.
        model: The model; its trainable parameters and floating-point buffers are recorded.
        optimizer: The optimizer whose steps count.
        every: Record the state after every n-th step, and the first and the last one always.
            Scalars are recorded at every step.
        run: How the run is made, for example ``{"task": ..., "optimizer": "adam"}``;
            JSON-serialisable. The optimizer's class name is filled in when missing.
        overwrite: Replace an existing file.

    Raises:
        FileExistsError: If the file exists and `overwrite` is False.

    Example::

        with ls.Recorder("data/adam.h5", model, optimizer) as recorder:
            for x, y in loader:
                loss = step(x, y)
                recorder.log(loss=loss)
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        *,
        every: int = 1,
        run: Mapping[str, Any] | None = None,
        overwrite: bool = False,
    ) -> None:
        if every < 1:
            raise ValueError(f"every must be at least 1; got {every}.")
        self._optimizer = optimizer
        self._every = every
        layout, buffers_layout = Layout.of(model), Layout.of_buffers(model)
        named, buffers = dict(model.named_parameters()), dict(model.named_buffers())
        self._parameters = [named[entry.name] for entry in layout]
        # A buffer may be replaced by the module, so it is looked up by name at each step.
        self._buffer_names = [entry.name for entry in buffers_layout]
        self._model = model
        self._buffer = np.zeros(layout.size, np.float32)
        settings = {"optimizer": type(optimizer).__name__, "every": every, **(run or {})}
        self._writer = TrajectoryWriter(
            path,
            layout,
            buffers_layout=buffers_layout if buffers else None,
            run=settings,
            overwrite=overwrite,
        )
        self._scalars: dict[str, float] = {}
        self._hook = None
        self.step = 0
        self.committed = -1

    def log(self, **scalars: float | Tensor) -> None:
        """Attach numbers to the last optimizer step, for example ``log(loss=loss)``.

        A loss computed before `optimizer.step()` is the loss before that update. Call it after
        the step.
        """
        for name, value in scalars.items():
            self._scalars[name] = float(value.detach() if isinstance(value, Tensor) else value)

    def __enter__(self) -> Self:
        self._record_state()
        self._writer.commit()
        self.committed = self._writer.updates
        self._hook = self._optimizer.register_step_post_hook(self._after_step)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        if self._hook is not None:
            self._hook.remove()
        if self.step:
            self._finish_update()
        if self.step % self._every:
            self._record_state()
        if kind is None:
            self._writer.close()
        else:
            self._writer.abort()

    def _after_step(self, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        if self.step:
            self._finish_update()
        self._scalars = {"lr": float(optimizer.param_groups[0]["lr"])}
        self.step += 1
        if self.step % self._every == 0:
            self._record_state()

    def _finish_update(self) -> None:
        self._writer.append_update(self._scalars)
        self._writer.commit()
        self.committed = self._writer.updates

    def _record_state(self) -> None:
        vector = _flat(self._parameters, self._buffer)
        buffers = None
        if self._buffer_names:
            held = dict(self._model.named_buffers())
            buffers = _flat([held[name] for name in self._buffer_names])
        self._writer.append_state(self.step, vector, buffers)


def _flat(tensors: list[Any], out: np.ndarray | None = None) -> np.ndarray:
    vector = np.zeros(sum(t.numel() for t in tensors), np.float32) if out is None else out
    offset = 0
    for tensor in tensors:
        part = tensor.detach().to("cpu", torch.float32).numpy().reshape(-1)
        vector[offset : offset + part.size] = part
        offset += part.size
    return vector
