"""Checkpoints that stay in their files: lines, planes and series, read tensor by tensor."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest
import torch
from language_models import model_of, moved
from torch import nn

import landscape as ls
from landscape.objective.vectors.files import FileTensors, blocks

safetensors = pytest.importorskip("safetensors.torch", reason="needs the extra: landscape[hf]")
pytest.importorskip("transformers", reason="needs the extra: landscape[hf]")

pytestmark = pytest.mark.filterwarnings("ignore:.*")  # the library's own


def flat(state):
    return torch.cat([t.detach().double().reshape(-1) for _, t in sorted(state.items())]).numpy()


@pytest.fixture
def series(tmp_path):
    """Five checkpoints of a model, one of them in parts, and the vectors in them."""
    model, folders, vectors = model_of("neox"), [], []
    for step in range(5):
        moved(model, step)
        folder = tmp_path / f"step{step}"
        model.save_pretrained(folder, max_shard_size="4KB" if step == 2 else "1GB")
        folders.append(folder)
        vectors.append(flat(dict(model.named_parameters())))
    return model.requires_grad_(), folders, np.stack(vectors)


def batch():
    return {"input_ids": torch.randint(1, 64, (4, 9), generator=torch.Generator().manual_seed(0))}


def own(folder):
    import transformers

    model = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    with torch.no_grad():
        return model(**batch(), labels=batch()["input_ids"]).loss.item()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
def test_rows_are_those_of_the_library(tmp_path, dtype):
    tensors = {
        "a": torch.randn(7, 3, 2).to(dtype), "b": torch.randn(5).to(dtype),
        "c": torch.randn(()).to(dtype), "d": torch.zeros(0, 3).to(dtype), "n": torch.arange(4),
    }  # fmt: skip
    safetensors.save_file(tensors, tmp_path / "x.safetensors")
    found = FileTensors(tmp_path / "x.safetensors")
    assert sorted(found.names) == ["a", "b", "c", "d"]
    for name in found.names:
        assert torch.equal(found.read(name), tensors[name])
        parts = [found.read(name, rows) for rows in blocks(tensors[name].shape, 7)]
        assert not parts or torch.equal(
            torch.cat([p.reshape(-1) for p in parts]), tensors[name].reshape(-1)
        )
    assert torch.equal(found.read("a", slice(2, 4)), tensors["a"][2:4])
    before = found.bytes_read
    found.read("a", slice(2, 4))
    assert found.bytes_read - before == 12 * dtype.itemsize


def test_a_line_goes_from_one_models_own_loss_to_anothers(series):
    model, folders, _ = series
    objective = ls.Objective(model, ls.losses.causal_lm, batch())
    line = ls.checkpoint_line(folders[0], folders[2])
    found = ls.loss_line(objective, line, extent=(0, 2), resolution=5)
    assert found.loss[0, 0] == pytest.approx(own(folders[0]), rel=1e-6)
    assert found.loss[0, 2] == pytest.approx(own(folders[2]), rel=1e-6)
    import transformers

    beyond = transformers.AutoModelForCausalLM.from_pretrained(folders[0]).eval()
    end = dict(transformers.AutoModelForCausalLM.from_pretrained(folders[2]).named_parameters())
    for name, parameter in beyond.named_parameters():
        parameter.data = 2 * end[name].data - parameter.data
    at = ls.Objective(beyond, ls.losses.causal_lm, batch())
    extrapolated = at.at(at.parameters()).mean[0, 0]
    assert found.loss[0, 4] == pytest.approx(extrapolated, rel=1e-5)


def test_task_vectors_and_a_soup(series, tmp_path):
    model, folders, _ = series
    objective = ls.Objective(model, ls.losses.causal_lm, batch())
    plane = ls.checkpoint_plane(*folders[:3], names=("base", "one", "two"))
    found = ls.loss_surface(objective, plane, extent=(0, 1, 0, 1), resolution=2)
    corners = [found.loss[0, 0], found.loss[0, 1], found.loss[1, 0]]
    np.testing.assert_allclose(corners, [own(f) for f in folders[:3]], rtol=1e-6)
    assert plane.settings["points"] == {
        "names": ["base", "one", "two"], "x": [0, 1, 0], "y": [0, 0, 1],
    }  # fmt: skip
    soup = ls.loss_line(
        objective, ls.checkpoint_line(folders[1:4], folders[0]), extent=(0, 1), resolution=2
    )
    states = [dict(stored(f)) for f in folders[1:4]]
    mean = {n: torch.stack([s[n] for s in states]).double().mean(0).float() for n in states[0]}
    safetensors.save_file(mean, tmp_path / "mean.safetensors")
    again = ls.loss_line(
        objective, ls.checkpoint_line(tmp_path / "mean.safetensors", folders[0]),
        extent=(0, 1), resolution=2,
    )  # fmt: skip
    np.testing.assert_allclose(soup.loss, again.loss, rtol=1e-6)
    plane.save(tmp_path / "kept.h5", "plane")
    kept = ls.load_results(tmp_path / "kept.h5")["plane"]
    again = ls.loss_surface(objective, kept, extent=(0, 1, 0, 1), resolution=2)
    np.testing.assert_array_equal(again.values, found.values)


def stored(folder):
    files = FileTensors(folder)
    return ((name, files.read(name)) for name in files.names)


@pytest.mark.parametrize("origin", ["final", "initial", "mean"])
def test_principal_components_are_those_of_the_vectors(series, origin):
    _, folders, vectors = series
    plane = ls.checkpoint_pca(folders, steps=[0, 10, 20, 30, 40], origin=origin)
    zero = {"final": vectors[-1], "initial": vectors[0], "mean": vectors.mean(0)}[origin]
    offsets = vectors - zero
    _, values, axes = np.linalg.svd(offsets, full_matrices=False)
    np.testing.assert_allclose(plane.explained, values[:2] ** 2 / (values**2).sum(), rtol=1e-9)
    np.testing.assert_allclose(np.abs(plane.coordinates), np.abs(offsets @ axes[:2].T), atol=1e-7)
    left = np.sqrt(((offsets - offsets @ axes[:2].T @ axes[:2]) ** 2).sum(1))
    np.testing.assert_allclose(plane.residual, left, atol=1e-6)
    path = plane.path("series")
    assert path.step.tolist() == [0, 10, 20, 30, 40]
    assert path.shown == pytest.approx(plane.explained.sum(), rel=1e-9)


@pytest.fixture
def all_together(monkeypatch):
    """All points take turns, though so small a model is less than what they hold meanwhile."""
    monkeypatch.setattr("landscape.objective.strategies.streamed._SHARE", 1e3)


def test_a_surface_reads_every_file_once(series, all_together):
    model, folders, _ = series
    objective = ls.Objective(model, ls.losses.causal_lm, batch(), strategy="streamed")
    plane = ls.checkpoint_pca(folders)
    restriction = objective.along(plane)
    files = restriction.family.origin.mixtures.files
    assert sum(file.bytes_read for file in files) == 0
    corners = np.stack(np.meshgrid([-1.0, 0, 1], [-1.0, 0, 1]), -1).reshape(-1, 2)
    found = restriction(corners).mean[0]
    whole = sum(file.size for file in files)
    assert sum(file.bytes_read for file in files) <= 1.1 * whole
    held = ls.Objective(model, ls.losses.causal_lm, batch(), strategy="sequential")
    expected = held.along(plane)(corners).mean[0]
    np.testing.assert_array_equal(found, expected)
    assert expected[4] == pytest.approx(own(folders[-1]), rel=1e-6)


def test_what_does_not_fit_is_said(series, tmp_path):
    model, folders, _ = series
    objective = ls.Objective(model, ls.losses.causal_lm, batch())
    line = ls.checkpoint_line(*folders[:2])
    other = ls.Objective(model_of("llama"), ls.losses.causal_lm, batch())
    with pytest.raises(ValueError, match="of another model"):
        ls.loss_line(other, line, resolution=2)
    with pytest.raises(ValueError, match="zero, parallel"):
        ls.checkpoint_line(folders[0], folders[0])
    with pytest.raises(ValueError, match="on one line"):
        ls.checkpoint_pca([folders[0], folders[1], folders[0]])
    with pytest.raises(ValueError, match="three checkpoints or more"):
        ls.checkpoint_pca(folders[:2])
    embedding = model.get_input_embeddings().weight.requires_grad_(False)
    partly = ls.Objective(model, ls.losses.causal_lm, batch())
    with pytest.raises(ValueError, match="is not trained in the model"):
        ls.loss_line(partly, line, resolution=2)
    embedding.requires_grad_()
    moved(model, 7).save_pretrained(folders[0])
    with pytest.raises(ValueError, match=r"step0 has changed since"):
        ls.loss_line(objective, line, resolution=2)
    torch.save(nn.Linear(2, 2).state_dict(), tmp_path / "x.pt")
    with pytest.raises(ValueError, match="holds no safetensors"):
        FileTensors(tmp_path / "x.pt")


def _header(kind, shape):
    told = {"a": {"dtype": kind, "shape": shape, "data_offsets": [0, 8]}}
    return json.dumps(told).encode()


@pytest.mark.parametrize(
    ("header", "content", "said"),
    [
        (b"{", 0, "does not begin"),
        (b"nothing", 0, "header cannot be read"),
        (b'{"a": 3}', 0, "header cannot be read"),
        (_header("F32", [2]), 4, "lies outside"),
        (_header("F32", [3]), 8, "has 8 bytes, and needs 12"),
        (_header("F32", [-1, -2]), 8, "lies outside"),
        (_header("I64", [1]), 8, "no floating-point tensor"),
    ],
)
def test_damaged_files_end_in_one_line(tmp_path, header, content, said):
    path = tmp_path / "x.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * content)
    with pytest.raises(ValueError, match=said) as error:
        FileTensors(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", ["gpt2", "llama", "neox"])
def test_a_model_without_weights_is_measured_from_its_files(tmp_path, kind, all_together):
    from landscape.tasks.language import load_language_model

    model, folders = model_of(kind, dtype=torch.bfloat16), [tmp_path / "a", tmp_path / "b"]
    for step, folder in enumerate(folders):
        moved(model, step).save_pretrained(folder)
    empty = load_language_model(folders[0], empty=True)
    assert {p.dtype for p in empty.parameters()} == {torch.bfloat16}
    before = [(p, p.data_ptr(), p.clone()) for p in empty.parameters()]
    objective = ls.Objective(empty, ls.losses.causal_lm, batch(), strategy="streamed")
    restriction = objective.along(ls.checkpoint_line(*folders))
    files = restriction.family.origin.mixtures.files
    found = restriction(np.linspace(0, 1, 9)[:, None]).mean[0]
    np.testing.assert_allclose(found[[0, -1]], [own(folder) for folder in folders], rtol=1e-6)
    tied = (
        kind != "neox"
        and dict(model.named_parameters())[next(iter(dict(model.named_parameters())))]
    )
    twice = 2 * tied.nbytes if kind != "neox" else 0  # a tied embedding is read at both ends
    assert sum(f.bytes_read for f in files) <= 1.02 * sum(f.size for f in files) + twice
    assert all(p.data_ptr() == at and torch.equal(p, value) for p, at, value in before)
