"""TransformersRecorder: record a Hugging Face `Trainer`; needs the extra ``hf``.

Example::

    import landscape as ls

    trainer = Trainer(model, arguments, callbacks=[ls.TransformersRecorder("data/run.h5")], ...)
    trainer.train()
"""

# pyright: reportMissingImports=false
from __future__ import annotations

import os
from typing import Any

from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from landscape.recording.recorder import Recorder


class TransformersRecorder(TrainerCallback):
    """Record every optimizer step of `Trainer.train`.

    Accumulated batches are one step, steps that mixed precision skips are none. The loss is the
    one that the trainer logs, every `logging_steps`-th step, averaged over them; with
    ``logging_steps=1`` it is there for every step. Only the main process records.

    Args:
        path: The trajectory file.
        **options: Passed to `Recorder`.

    >>> recorder = TransformersRecorder("run.h5", every=10)  # Trainer(..., callbacks=[recorder])
    """

    def __init__(self, path: str | os.PathLike[str], **options: Any) -> None:
        self._path, self._options = path, options
        self._recorder: Recorder | None = None

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        *,
        model: nn.Module,
        optimizer: Any,
        **kwargs: Any,
    ) -> None:
        """Begin to listen to the optimizer inside the accelerated one."""
        if not state.is_world_process_zero:
            return
        while hasattr(optimizer, "optimizer"):
            optimizer = optimizer.optimizer
        self._recorder = Recorder(self._path, model, optimizer, **self._options).start()

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        """Keep the loss that the trainer reports."""
        if self._recorder is not None and logs and "loss" in logs:
            self._recorder.log(loss=float(logs["loss"]))

    def on_train_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        """Close the recording."""
        if self._recorder is not None:
            self._recorder.close()
            self._recorder = None
