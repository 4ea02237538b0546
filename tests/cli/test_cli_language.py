"""Language models from the command line: folders as their library saves them, and a text."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from language_models import TEXT, model_of, moved, own_loss, saved
from test_cli import cli as cli

import landscape as ls

pytest.importorskip("transformers", reason="needs the extra: landscape[hf]")

pytestmark = pytest.mark.filterwarnings("ignore:.*")  # the library's own


@pytest.fixture
def text(tmp_path):
    file = tmp_path / "text.txt"
    file.write_text(TEXT)
    return file


def read(folder, text, length=None):
    from landscape.tasks.language import language_task

    return language_task(folder, text, length=length).train


def test_a_surface_around_a_model(cli, text, tmp_path):
    saved(model_of("llama"), tmp_path / "tiny")
    out = cli("surface --model tiny --text text.txt --tokens 16 --resolution 3 --extent 0.2")
    assert "tiny.results.h5: surface/random, 3x3 points" in out
    found = ls.load_results("tiny.results.h5")["surface/random"]
    data = read("tiny", "text.txt", 16)
    own = own_loss("tiny", data["input_ids"], data["attention_mask"])
    assert found.loss[1, 1] == pytest.approx(own, rel=1e-6)
    assert found.metrics == ("loss", "error")
    assert found.settings["task"] == "tiny on text.txt"
    cli("plot tiny.results.h5 -o figures")


def test_a_surface_within_a_tolerance(cli, text, tmp_path):
    saved(model_of("gpt2"), tmp_path / "tiny")
    out = cli("surface --model tiny --text text.txt --tokens 8 --resolution 9 --tolerance 5%")
    assert "95 % of the points are within" in out


def test_a_series_becomes_a_run_and_gives_the_models_own_losses(cli, text, tmp_path):
    model = model_of("neox", dtype=torch.bfloat16)
    for step in (0, 1000, 2000, 10000):
        shard = {"max_shard_size": "4KB"} if step == 2000 else {}
        saved(moved(model, step), tmp_path / "series" / f"step{step}", **shard)
    out = cli("import series --out run.h5")
    assert "first: step0 (step 0), last: step10000 (step 10000)" in out
    run = ls.Trajectory("run.h5")
    assert not any("inv_freq" in entry.name for entry in run.layout)
    out = cli(
        "surface run.h5 --model series/step10000 --text text.txt --tokens 16 --resolution 3 "
        "--out found.h5"
    )
    path = ls.load_results("found.h5")["projection/pca/run"]
    data = read("series/step0", "text.txt", 16)
    for step, loss in zip(path.step, path.loss, strict=True):
        own = own_loss(f"series/step{step}", data["input_ids"], data["attention_mask"])
        assert loss == pytest.approx(own, rel=3e-5)  # in brain floats other batches round otherwise
    assert cli("line run.h5 --model series/step0 --text text.txt --resolution 3 --out found.h5")


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_every_state_of_a_series_gives_its_own_loss(kind, text, tmp_path):
    model = model_of(kind)
    folders = [saved(moved(model, k), tmp_path / f"step{k}") for k in range(3)]
    from landscape.cli.exchange import _language_model

    empty = _language_model(folders)
    assert sum(p.untyped_storage().nbytes() for p in empty.parameters()) < 1e4
    run = ls.Trajectory(ls.import_checkpoints(folders, tmp_path / "run.h5", model=empty))
    data = read(folders[0], text, 16)
    objective = ls.Objective(model, ls.losses.causal_lm, data)
    for index, folder in enumerate(folders):
        own = own_loss(folder, data["input_ids"], data["attention_mask"])
        assert objective.at(run.state(index)).mean[0, 0] == pytest.approx(own, rel=1e-6)


def test_the_line_between_two_models(cli, text, tmp_path):
    model = model_of("llama")
    for name in ("a", "b", "c"):
        saved(moved(model, ord(name)), tmp_path / name)
    out = cli(
        "line --model a --to b --to c --text text.txt --tokens 16 --resolution 5 --extent 0,1"
    )
    assert "a to b" in out
    assert "barrier" in out
    found = ls.load_results("a.results.h5")["line/between"]
    data = read("a", "text.txt", 16)
    ends = [own_loss(n, data["input_ids"], data["attention_mask"]) for n in "abac"]
    np.testing.assert_allclose(found.loss[:, [0, -1]].ravel(), ends, rtol=1e-6)
    assert "line/random" in cli(
        "line --model a --text text.txt --kind random --seeds 2 --resolution 3 --tokens 16"
    )


def test_texts_of_lines_begin_sequences_of_their_own(tmp_path):
    saved(model_of("gpt2"), tmp_path)
    lines = [json.dumps({"text": t}) for t in ("the cat sat on the mat", "the dog ran")]
    (tmp_path / "two.jsonl").write_text("\n".join(lines))
    data = read(tmp_path, tmp_path / "two.jsonl", 16)
    assert data["attention_mask"][:, 0].tolist() == [1, 1]
    assert (data["attention_mask"].sum(1) < 16).all()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("surface --model tiny", "go together"),
        ("surface --text text.txt", "go together"),
        ("surface --model tiny --text text.txt --task digits/mlp", "not both"),
        ("surface --model tiny --text text.txt --plane pca", "must be random"),
        ("surface --model absent --text text.txt", "no such file"),
        ("surface --model empty --text text.txt", "holds no tokenizer"),
        ("surface --model tiny --text text.txt --tokens 99", "from 2 to 32"),
        ("surface --model tiny --text empty.txt", "fewer than two tokens"),
        ("surface --model tiny --text bad.jsonl", "line 1: expected is"),
        ("line --model tiny --text text.txt", "lines of --kind random"),
        ("line --text text.txt", "Give recorded runs"),
        ("line --model tiny --to absent --text text.txt", "no such file"),
        ("line --to tiny", "--to goes with --model"),
    ],
)
def test_mistakes_end_in_one_line(cli, tmp_path, text, line, said):
    saved(model_of("gpt2"), tmp_path / "tiny")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "bad.jsonl").write_text("the cat")
    error = cli(line, expect=2)
    assert said in error
    assert error.count("\n") == 1


def test_experts_that_the_library_joins(cli, text, tmp_path):
    import transformers

    config = transformers.MixtralConfig(
        vocab_size=64, hidden_size=16, intermediate_size=24, num_hidden_layers=1,
        num_attention_heads=2, num_key_value_heads=1, num_local_experts=2, num_experts_per_tok=1,
    )  # fmt: skip
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(config)
    folders = [saved(moved(model, k), tmp_path / f"step{k}") for k in range(2)]
    cli("import step0 step1 --out run.h5")
    run, data = ls.Trajectory("run.h5"), read(folders[0], text, 16)
    objective = ls.Objective(model, ls.losses.causal_lm, data)
    for index, folder in enumerate(folders):
        own = own_loss(folder, data["input_ids"], data["attention_mask"])
        assert objective.at(run.state(index)).mean[0, 0] == pytest.approx(own, rel=1e-6)
    with pytest.raises(ValueError, match="save_original_format=False"):
        objective.along(ls.checkpoint_line(*folders))
    for k in range(2):
        saved(moved(model, k + 2), folders[k], save_original_format=False)
    line = ls.loss_line(objective, ls.checkpoint_line(*folders), extent=(0, 1), resolution=2)
    ends = [own_loss(folder, data["input_ids"], data["attention_mask"]) for folder in folders]
    np.testing.assert_allclose(line.loss[0], ends, rtol=1e-6)
