"""LightningRecorder: record a PyTorch Lightning fit; needs the extra ``lightning``.

Example::

    import landscape as ls

    trainer = lightning.Trainer(callbacks=[ls.LightningRecorder("data/fit.h5")])
    trainer.fit(module, loader)
"""

# pyright: reportMissingImports=false
from __future__ import annotations

import os
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from landscape.recording.recorder import Recorder


class LightningRecorder(Callback):
    """Record every optimizer step of `Trainer.fit`.

    Accumulated batches are one step; their mean loss is stored with it. Only the process with
    rank zero records. After ``trainer.fit(..., ckpt_path=...)``, `resume=True` goes on with the
    recording from the checkpoint's step.

    Args:
        path: The trajectory file.
        optimizer: Which of the module's optimizers is given to the recorder; None: all of them.
            The steps of the others are recorded, too, where they move what is recorded.
        **options: Passed to `Recorder`.

    >>> recorder = LightningRecorder("run.h5", every=10)  # Trainer(callbacks=[recorder])
    """

    def __init__(
        self, path: str | os.PathLike[str], *, optimizer: int | None = None, **options: Any
    ) -> None:
        self._path, self._which, self._options = path, optimizer, options
        self._recorder: Recorder | None = None
        self._losses: list[float] = []
        self._steps = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin to listen; a checkpoint is restored by now."""
        if trainer.is_global_zero:
            optimizers = trainer.optimizers
            if self._which is not None:
                optimizers = [optimizers[self._which]]
            self._recorder = Recorder(self._path, pl_module, optimizers, **self._options).start()
            self._losses, self._steps = [], self._recorder.step

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Keep the loss, which the library divides by the number of batches of a step; log it."""
        if self._recorder is None:
            return
        loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
        if loss is not None:
            self._losses.append(float(loss))
        if self._recorder.step > self._steps and self._losses:
            self._recorder.log(loss=sum(self._losses))
            self._losses = []
        self._steps = self._recorder.step

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Close the recording."""
        self._close(complete=True)

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Close the recording, not marked complete."""
        self._close(complete=False)

    def _close(self, *, complete: bool) -> None:
        if self._recorder is not None:
            self._recorder.close(complete=complete)
            self._recorder = None
