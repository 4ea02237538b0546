"""TransformersRecorder on the real library, with a tiny GPT-2 made here (nothing is downloaded)."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import landscape as ls

transformers = pytest.importorskip("transformers", reason="needs the extra: landscape[hf]")
pytest.importorskip("accelerate", reason="needs the extra: landscape[hf]")

pytestmark = pytest.mark.filterwarnings("ignore:.*")  # the library's own deprecations


class Tokens(torch.utils.data.Dataset):
    def __init__(self):
        generator = torch.Generator().manual_seed(0)
        self.tokens = torch.randint(0, 17, (24, 8), generator=generator)

    def __len__(self):
        return len(self.tokens)

    def __getitem__(self, index):
        return {"input_ids": self.tokens[index], "labels": self.tokens[index]}


def trained(folder, callbacks=(), **options):
    config = transformers.GPT2Config(
        vocab_size=17, n_positions=8, n_embd=8, n_layer=1, n_head=2, bos_token_id=0, eos_token_id=0
    )
    torch.manual_seed(0)
    model = transformers.GPT2LMHeadModel(config)
    arguments = transformers.TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=4,
        num_train_epochs=1,
        logging_steps=1,
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
        seed=1,
        **{"save_strategy": "no", **options},
    )
    trainer = transformers.Trainer(
        model=model, args=arguments, train_dataset=Tokens(), callbacks=list(callbacks)
    )
    trainer.train()
    return model, [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


def final(model):
    return torch.cat([p.detach().reshape(-1) for p in model.parameters()]).numpy()


@pytest.mark.parametrize("accumulate", [1, 3])
def test_every_step_of_a_training(tmp_path, accumulate):
    from landscape.recording.callbacks.huggingface import TransformersRecorder

    alone, losses = trained(tmp_path, gradient_accumulation_steps=accumulate)
    recorder = TransformersRecorder(tmp_path / "run.h5", run={"name": "gpt"})
    model, again = trained(tmp_path, [recorder], gradient_accumulation_steps=accumulate)
    np.testing.assert_array_equal(final(model), final(alone))
    assert again == losses
    run = ls.Trajectory(tmp_path / "run.h5")
    assert run.complete
    np.testing.assert_array_equal(run.steps, np.arange(6 // accumulate + 1))
    np.testing.assert_array_equal(run.final, final(model))
    np.testing.assert_array_equal(run.scalars["loss"], losses)
    assert (run.scalars["gradient_norm"] > 0).all()
    names = [entry.name for entry in run.layout]
    assert "transformer.wte.weight" in names
    assert "lm_head.weight" not in names  # tied
