"""LightningRecorder on the real library, against the same fit without it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

import landscape as ls

lightning = pytest.importorskip("lightning", reason="needs the extra: landscape[lightning]")

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*"),  # the library's advice about loaders and loggers
]


class Module(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.net = torch.nn.Sequential(
            torch.nn.Linear(64, 8), torch.nn.Tanh(), torch.nn.Linear(8, 10)
        )
        self.states, self.losses = [], []

    def training_step(self, batch, index):
        loss = F.cross_entropy(self.net(batch[0].flatten(1)), batch[1])
        self.losses.append(loss.item())
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=0.01)

    def on_before_zero_grad(self, optimizer):
        self.states.append(torch.cat([p.detach().reshape(-1) for p in self.parameters()]).numpy())


def fit(folder, callbacks=(), *, epochs=1, ckpt_path=None, module=None, **options):
    images, labels = ls.load_task("digits/mlp").train
    loader = DataLoader(TensorDataset(images[:256], labels[:256]), batch_size=32)
    module = module or Module()
    trainer = lightning.Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        callbacks=list(callbacks),
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
        **{"enable_checkpointing": False, **options},
    )
    trainer.fit(module, loader, ckpt_path=ckpt_path)
    return module, trainer


def final(module):
    return torch.cat([p.detach().reshape(-1) for p in module.parameters()]).numpy()


@pytest.mark.parametrize("accumulate", [1, 4])
def test_every_step_of_a_fit(tmp_path, accumulate):
    from landscape.recording.callbacks.lightning import LightningRecorder

    alone, _ = fit(tmp_path, accumulate_grad_batches=accumulate)
    recorder = LightningRecorder(tmp_path / "fit.h5", run={"name": "mine"})
    module, _ = fit(tmp_path, [recorder], accumulate_grad_batches=accumulate)
    np.testing.assert_array_equal(final(module), final(alone))
    run = ls.Trajectory(tmp_path / "fit.h5")
    assert run.complete
    assert run.name == "mine"
    np.testing.assert_array_equal(run.steps, np.arange(8 // accumulate + 1))
    np.testing.assert_array_equal(run.final, final(module))
    losses = np.array(module.losses).reshape(-1, accumulate).mean(axis=1)
    # The library stores losses in float32: 2⁻²⁴ relative.
    np.testing.assert_allclose(run.scalars["loss"], losses, rtol=1e-6)
    assert np.isfinite(run.scalars["gradient_norm"]).all()
    assert (run.scalars["gradient_norm"] > 0).all()


def test_a_fit_that_fails_keeps_its_steps(tmp_path):
    from landscape.recording.callbacks.lightning import LightningRecorder

    class Failing(Module):
        def on_train_batch_end(self, outputs, batch, batch_idx):
            if batch_idx == 4:
                raise RuntimeError("broken loader")

    with pytest.raises(RuntimeError, match="broken loader"):
        fit(tmp_path, [LightningRecorder(tmp_path / "fit.h5")], module=Failing())
    run = ls.Trajectory(tmp_path / "fit.h5")
    assert not run.complete
    np.testing.assert_array_equal(run.steps, np.arange(6))


def test_a_fit_resumed_from_its_checkpoint_goes_on_in_the_same_file(tmp_path):
    from landscape.recording.callbacks.lightning import LightningRecorder

    whole, _ = fit(tmp_path, [LightningRecorder(tmp_path / "whole.h5")], epochs=3)
    path = tmp_path / "fit.h5"
    _, trainer = fit(tmp_path, [LightningRecorder(path)], epochs=2, enable_checkpointing=True)
    again = LightningRecorder(path, resume=True)
    fit(tmp_path, [again], epochs=3, ckpt_path=trainer.checkpoint_callback.best_model_path)
    run, twin = ls.Trajectory(path), ls.Trajectory(tmp_path / "whole.h5")
    np.testing.assert_array_equal(run.steps, twin.steps)
    for s in range(len(twin)):
        np.testing.assert_array_equal(run.state(s), twin.state(s))
    np.testing.assert_array_equal(run.final, final(whole))
