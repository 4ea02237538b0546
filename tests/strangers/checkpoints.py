"""Checkpoints, wrappers and runs that strangers bring: every tensor meets its own by name."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

import landscape as ls
from landscape.exchange.li2018 import folder as li2018_folder
from landscape.exchange.li2018.writer import write
from landscape.results.surface import Surface
from strangers.situation import Verdict, refuses, situation

KIND = "checkpoints"


class Block(nn.Module):
    """A small classifier whose modules are not in alphabetical order."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Linear(5, 8)
        self.norm = nn.BatchNorm1d(8)
        self.body = nn.ModuleList([nn.Linear(8, 8) for _ in range(11)])
        self.head = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.stem(x))
        for layer in self.body:
            x = x + torch.tanh(layer(x))
        return self.head(x)


class Scaled(Block):
    """It holds a buffer whose name does not say so."""

    def __init__(self) -> None:
        super().__init__()
        self.scale: torch.Tensor
        self.register_buffer("scale", torch.full((5,), 1.5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x * self.scale)


def _loss(model: nn.Module, batch: tuple) -> torch.Tensor:
    return F.cross_entropy(model(batch[0]), batch[1], reduction="none")


def _data() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(32, 5, generator=generator), torch.randint(3, (32,), generator=generator)


def _own(model: nn.Module, loss=_loss, data=None) -> float:
    model.eval()
    with torch.no_grad():
        return float(loss(model, data or _data()).mean())


def _trained(model: nn.Module, steps: int = 2) -> nn.Module:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        _loss(model, _data()).mean().backward()
        optimizer.step()
    return model


def _recorded(path: Path, model: nn.Module) -> ls.Trajectory:
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    with ls.Recorder(path, model, optimizer):
        for _ in range(4):
            optimizer.zero_grad()
            _loss(model, _data()).mean().backward()
            optimizer.step()
    return ls.Trajectory(path)


def _agrees(model: nn.Module, run: ls.Trajectory, want: float) -> Verdict:
    """A run gives `want` at its end: restored, at a single point, on a line and on a plane."""
    ls.restore(model, run)
    assert _own(model) == pytest.approx(want, rel=1e-6)
    objective = ls.Objective(model, _loss, _data())
    assert objective.at(run.final, buffers=run.buffers(-1)).mean[0, 0] == pytest.approx(want)
    plane = ls.random_plane(run.final, objective.layout)
    surface = ls.loss_surface(objective, plane, extent=0.5, resolution=3)
    assert surface.loss[1, 1] == pytest.approx(want, rel=1e-6)
    line = ls.line_along(run.final, run.final * 0.5)
    profile = ls.loss_line(objective, line, extent=(0, 1), resolution=2)
    assert profile.loss[0, 0] == pytest.approx(want, rel=1e-6)
    return Verdict(True)


@situation(KIND, "safetensors, sorted by name, measured with the model")
def safetensors_sorted_by_name(folder: Path) -> Verdict:
    from safetensors.torch import save_file

    model = _trained(Block())
    save_file(model.state_dict(), folder / "model.safetensors")
    run = ls.Trajectory(ls.import_checkpoints([folder / "model.safetensors"], folder / "run.h5"))
    assert [e.name for e in run.layout] != [e.name for e in ls.Layout.of(model)]
    objective = ls.Objective(model, _loss, _data())
    want = _own(model)
    assert objective.at(run.final).mean[0, 0] == pytest.approx(want, rel=1e-6)
    line = ls.line_along(run.final, -objective.gradient(run.final))
    assert ls.loss_line(objective, line, extent=(0, 1e-3)).monotone[0]  # down its own gradient
    return Verdict(True)


@situation(KIND, "safetensors with the model given: kinds, filters and buffers are its own")
def safetensors_with_the_model(folder: Path) -> Verdict:
    from safetensors.torch import save_file

    model = _trained(Scaled())
    for step in (5, 10):
        save_file(_trained(model).state_dict(), folder / f"model-{step}.safetensors")
    run = ls.Trajectory(ls.import_checkpoints([folder], folder / "run.h5", model=Scaled()))
    assert run.layout == ls.Layout.of(model)
    assert run.buffers_layout == ls.Layout.of_buffers(model)
    return _agrees(Scaled(), run, _own(model))


@situation(KIND, "a state dict in another order, as a plane made in Python")
def planes_in_another_order(folder: Path) -> Verdict:
    model, state = Block(), Block().state_dict()
    torch.save(dict(reversed(list(state.items()))), folder / "best.pt")
    run = ls.Trajectory(ls.import_checkpoints([folder / "best.pt"], folder / "run.h5"))
    model.load_state_dict(state)
    objective = ls.Objective(model, _loss, _data())
    mine = ls.random_plane(objective.parameters(), objective.layout)
    theirs = ls.plane_through(run.final, run.final + 1, run.final - mine.directions[0])
    theirs.save(folder / "planes.h5", "plane")
    theirs = ls.Plane.load(folder / "planes.h5", "plane")
    found = ls.loss_surface(objective, theirs, extent=(0, 1, 0, 1), resolution=2).loss
    vector = objective.parameters()
    want = [objective.at(v).mean[0, 0] for v in (vector, vector + 1, vector - mine.directions[0])]
    np.testing.assert_allclose([found[0, 0], found[0, 1], found[1, 0]], want, rtol=1e-5)
    return Verdict(True)


@situation(KIND, "recorded under DataParallel, measured plain")
def recorded_from_data_parallel(folder: Path) -> Verdict:
    model = Block()
    run = _recorded(folder / "run.h5", nn.DataParallel(model))
    assert run.layout.entries[0].name == "module.stem.weight"
    return _agrees(Block(), run, _own(model))


@situation(KIND, "a part compiled inside the model, measured plain, and the other way round")
def compiled_inside(folder: Path) -> Verdict:
    warnings.simplefilter("ignore")  # what the compiler says of itself
    model = Block()
    setattr(model, "head", torch.compile(model.head, backend="eager"))  # noqa: B010
    run = _recorded(folder / "run.h5", model)
    _agrees(Block(), run, _own(model))
    plain = Block()
    run = _recorded(folder / "plain.h5", plain)
    other = Block()
    setattr(other, "stem", torch.compile(other.stem, backend="eager"))  # noqa: B010
    ls.restore(other, run)
    assert _own(other) == pytest.approx(_own(plain), rel=1e-6)
    return Verdict(True)


@situation(KIND, "recorded from a training module that holds the net, measured with the net")
def held_by_a_training_module(folder: Path) -> Verdict:
    class Trainer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = Block()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.network(x)

    trainer = Trainer()
    return _agrees(Block(), _recorded(folder / "run.h5", trainer), _own(trainer))


@situation(KIND, "two runs in another order, and under a wrapper, in one PCA plane")
def two_orders_in_one_plane(folder: Path) -> Verdict:
    class Turned(Block):
        def __init__(self) -> None:
            super().__init__()
            self._modules = dict(reversed(list(self._modules.items())))

    first, second = _recorded(folder / "a.h5", Block()), _recorded(folder / "b.h5", Turned())
    third = _recorded(folder / "c.h5", nn.DataParallel(Block()))
    plane = ls.pca_plane([first, second, third])
    states = [first.layout.matched(r.state(i)) for r in (first, second, third) for i in range(5)]
    rows = np.stack([np.asarray(s, np.float64) for s in states])
    shares = np.linalg.svd(rows - rows.mean(0), compute_uv=False) ** 2
    np.testing.assert_allclose(plane.explained, shares[:2] / shares.sum(), rtol=1e-4)
    path = ls.project(second, plane)
    np.testing.assert_allclose(
        path.residual, [plane.coordinates(s)[1] for s in states[5:10]], rtol=1e-3
    )
    return Verdict(True)


@situation(KIND, "two runs of different models in one plane")
def two_models_in_one_plane(folder: Path) -> Verdict:
    first = _recorded(folder / "a.h5", Block())
    second = _recorded(folder / "b.h5", nn.Sequential(nn.Linear(5, 8), nn.Linear(8, 3)))
    return refuses("another model: .*missing", lambda: ls.pca_plane([first, second]))


@situation(KIND, "a run of another model, measured")
def another_models_run(folder: Path) -> Verdict:
    run = _recorded(folder / "run.h5", nn.Sequential(nn.Linear(5, 8), nn.Linear(8, 3)))
    other = nn.Sequential(nn.Linear(5, 3), nn.Linear(3, 3))
    objective = ls.Objective(other, _loss, _data())
    return refuses("different models: 3 of another shape", lambda: objective.at(run.final))


@situation(KIND, "another model with the same number of parameters under other names")
def another_model_of_the_same_size(folder: Path) -> Verdict:
    model = nn.ModuleDict({"q": nn.Linear(5, 5), "k": nn.Linear(5, 5)})
    other = nn.ModuleDict({"value": nn.Linear(5, 5), "key": nn.Linear(5, 5)})
    torch.save(model.state_dict(), folder / "m.pt")
    run = ls.Trajectory(ls.import_checkpoints([folder / "m.pt"], folder / "run.h5"))
    return refuses("4 missing .*4 unknown", lambda: ls.restore(other, run))


@situation(KIND, "a fresh LoRA adapter: half of its weights are zero")
def fresh_adapter(folder: Path) -> Verdict:
    class Adapted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.base = nn.Linear(5, 3).requires_grad_(False)
            self.lora_A = nn.Parameter(torch.randn(2, 5))
            self.lora_B = nn.Parameter(torch.zeros(3, 2))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.base(x) + x @ self.lora_A.T @ self.lora_B.T

    objective = ls.Objective(Adapted(), _loss, _data())
    vector = objective.parameters()
    with pytest.warns(UserWarning, match="1 of 2 weights are zero .*lora_B") as said:
        plane = ls.random_plane(vector, objective.layout)
    with pytest.warns(UserWarning, match="exactly flat"):
        ls.loss_surface(objective, plane, resolution=3)
    plane = ls.random_plane(vector, objective.layout, normalization="none")
    assert np.ptp(ls.loss_surface(objective, plane, resolution=3).loss) > 0
    return Verdict(True, str(said[0].message))


@situation(KIND, "a network that is all zero")
def all_zero(folder: Path) -> Verdict:
    model = nn.Linear(5, 3)
    nn.init.zeros_(model.weight)
    layout = ls.Layout.of(model)
    return refuses("All weights are zero", lambda: ls.random_plane(np.zeros(18), layout))


@situation(KIND, "weight norm on a transposed convolution: the layer's filters")
def parametrized_filters(folder: Path) -> Verdict:
    plain = nn.ConvTranspose1d(3, 6, 3)
    for wrapped in (
        parametrizations.weight_norm(nn.ConvTranspose1d(3, 6, 3), dim=1),
        parametrizations.orthogonal(nn.ConvTranspose1d(3, 6, 3)),
        parametrizations.spectral_norm(nn.ConvTranspose1d(3, 6, 3)),
        nn.utils.parametrize.register_parametrization(
            nn.ConvTranspose1d(3, 6, 3), "weight", nn.Identity()
        ),
    ):
        found = [e for e in ls.Layout.of(wrapped) if e.name != "bias"]
        assert {(e.kind, e.filter_axis) for e in found} == {("weight", 1)}, found
    norm = nn.utils.parametrize.register_parametrization(nn.LayerNorm(4), "weight", nn.Identity())
    assert {e.kind for e in ls.Layout.of(norm)} == {"norm"}
    assert ls.Layout.of(plain).entries[0].filter_axis == 1
    return Verdict(True)


@situation(KIND, "an imported transposed convolution: filters by the length of its bias")
def imported_transposed_convolution(folder: Path) -> Verdict:
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.ConvTranspose2d(4, 2, 3))
    torch.save(model.state_dict(), folder / "m.pt")
    run = ls.Trajectory(ls.import_checkpoints([folder / "m.pt"], folder / "run.h5"))
    mine = ls.random_plane(run.final, ls.Layout.of(model))
    theirs = ls.random_plane(run.final, run.layout)
    np.testing.assert_array_equal(mine.directions, theirs.directions)
    return Verdict(True)


@situation(KIND, "weights stored as (in, out), as GPT-2's, imported without the model")
def conv1d_of_gpt2(folder: Path) -> Verdict:
    class Conv1D(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.randn(5, 5))
            self.bias = nn.Parameter(torch.zeros(5))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x @ self.weight + self.bias

    model = nn.Sequential(Conv1D(), nn.Linear(5, 3))
    torch.save(model.state_dict(), folder / "m.pt")
    run = ls.Trajectory(ls.import_checkpoints([folder / "m.pt"], folder / "run.h5"))
    objective = ls.Objective(model, _loss, _data())
    guessed = ls.random_plane(run.final, run.layout)
    ls.loss_surface(objective, ls.random_plane(run.final, objective.layout), resolution=3)
    return refuses("other filters in the model", lambda: ls.loss_surface(objective, guessed))


@situation(KIND, "a file with the model, its average and an optimizer: a key chooses")
def several_state_dicts(folder: Path) -> Verdict:
    model, average = Block(), Block()
    content = {"epoch": 3, "nets": {"live": model.state_dict(), "ema": average.state_dict()}}
    torch.save(content, folder / "both.pt")
    out = ls.import_checkpoints([folder / "both.pt"], folder / "run.h5", key="nets.ema")
    _agrees(Block(), ls.Trajectory(out), _own(average))
    return refuses(
        r"its keys are .*--key",
        lambda: ls.import_checkpoints([folder / "both.pt"], folder / "b.h5"),
    )


@situation(KIND, "a training module's checkpoint beside its loss and its average")
def training_modules_checkpoint(folder: Path) -> Verdict:
    model, average = Block(), Block()
    state = {f"model.{n}": t for n, t in model.state_dict().items()}
    state |= {"criterion.weight": torch.ones(3)}
    content = {"epoch": 1, "global_step": 7, "state_dict": state, "optimizer_states": []}
    torch.save(content, folder / "epoch=1-step=7.ckpt")
    out = ls.import_checkpoints([folder], folder / "run.h5", model=Block())
    _agrees(Block(), ls.Trajectory(out), _own(model))
    state |= {f"ema.{n}": t for n, t in average.state_dict().items()}
    torch.save(content, folder / "epoch=1-step=7.ckpt")
    again = folder / "again.h5"
    out = ls.import_checkpoints([folder], again, model=Block(), key="ema")
    _agrees(Block(), ls.Trajectory(out), _own(average))
    return refuses(
        "holds the model twice",
        lambda: ls.import_checkpoints([folder], folder / "no.h5", model=Block()),
    )


@situation(KIND, "an adapter's folder, without its base")
def adapter_folder(folder: Path) -> Verdict:
    from safetensors.torch import save_file

    place = folder / "checkpoint-30"
    place.mkdir()
    a, b = torch.randn(2, 5), torch.randn(3, 2)
    names = ("base_model.model.q.lora_A.weight", "base_model.model.q.lora_B.weight")
    save_file(dict(zip(names, (a, b), strict=True)), place / "adapter_model.safetensors")
    (place / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 2}))
    run = ls.Trajectory(ls.import_checkpoints([place], folder / "run.h5"))
    first, second = nn.Linear(5, 2, bias=False), nn.Linear(2, 3, bias=False)
    adapter: nn.Module = nn.ModuleDict(
        {
            "lora_A": nn.ModuleDict({"default": first}),
            "lora_B": nn.ModuleDict({"default": second}),
        }
    )
    for name in ("q", "model", "base_model"):
        adapter = nn.ModuleDict({name: adapter})
    ls.restore(adapter, run)
    assert torch.equal(first.weight, a)
    assert torch.equal(second.weight, b)
    return Verdict(True, f"step {run.steps[0]}")


@situation(KIND, "names without numbers: init.pt, best.pt, final.pt")
def names_without_numbers(folder: Path) -> Verdict:
    for value, name in enumerate(("init", "best", "final")):
        torch.save({"w": torch.full((2, 2), float(value))}, folder / f"{name}.pt")
    given = [folder / f"{name}.pt" for name in ("init", "best", "final")]
    for paths in (given, sorted(given), [folder]):
        run = ls.Trajectory(ls.import_checkpoints(paths, folder / "run.h5", overwrite=True))
        assert [run.state(i)[0] for i in range(3)] in ([0, 1, 2],), run.run["imported"]
    return Verdict(True)


@situation(KIND, "names in which two numbers count, and names of several sorts")
def names_with_numbers(folder: Path) -> Verdict:
    for names, steps in (
        (("epoch=0-step=400", "epoch=1-step=800", "epoch=9-step=4000"), [400, 800, 4000]),
        (("net_untrained", "net_ep2", "net_ep10"), [0, 2, 10]),
        (("v2_run7_3_of_9", "v2_run7_12_of_9"), [3, 12]),
        (("ckpt_9_acc0.31", "ckpt_10_acc0.27"), [9, 10]),
    ):
        place = folder / names[0]
        place.mkdir()
        for value, name in enumerate(names):
            torch.save({"w": torch.full((2, 2), float(value))}, place / f"{name}.pt")
        run = ls.Trajectory(ls.import_checkpoints([place], place / "run.h5"))
        assert run.steps.tolist() == steps, run.run["imported"]
        assert [run.state(i)[0] for i in range(len(names))] == list(range(len(names)))
    return Verdict(True)


@situation(KIND, "buffers under names of their own, imported without the model")
def buffers_by_other_names(folder: Path) -> Verdict:
    model = _trained(Scaled())
    torch.save(model.state_dict(), folder / "m.pt")
    run = ls.Trajectory(ls.import_checkpoints([folder / "m.pt"], folder / "run.h5"))
    assert "scale" in {entry.name for entry in run.layout}
    other = Scaled()
    ls.restore(other, run)
    objective = ls.Objective(other, _loss, _data())
    assert objective.at(run.final).mean[0, 0] == pytest.approx(_own(model), rel=1e-6)
    other.scale.mul_(2)
    return refuses("scale is a parameter in this run", lambda: objective.at(run.final))


@situation(KIND, "a whole pickled module, plain or in DataParallel")
def whole_modules(folder: Path) -> Verdict:
    torch.save(nn.DataParallel(Block()), folder / "a.pt")
    torch.save(Block(), folder / "b.pt", _use_new_zipfile_serialization=False)
    refuses("checkpoints.Block", lambda: ls.import_checkpoints([folder / "b.pt"], folder / "b.h5"))
    verdict = refuses(
        "checkpoints.Block", lambda: ls.import_checkpoints([folder / "a.pt"], folder / "a.h5")
    )
    assert "weights_only" not in verdict.remark
    assert "safe_globals" not in verdict.remark
    return verdict


@situation(KIND, "a recorded step put back into the model")
def restored_by_step(folder: Path) -> Verdict:
    model = Block().double()
    model.head.requires_grad_(False)
    run = _recorded_double(folder / "run.h5", model)
    other = Block().double()
    ls.restore(other, run, 2)
    want = torch.from_numpy(np.asarray(run.state(2)[run.layout.entries[0].slice]))
    assert torch.equal(other.stem.weight.flatten(), want.to(other.stem.weight.dtype))
    assert torch.equal(other.head.weight, model.head.weight.float().double())
    return refuses(
        r"step 9 was not recorded .*5 states, steps 0 to 4", lambda: ls.restore(other, run, 9)
    )


def _recorded_double(path: Path, model: nn.Module) -> ls.Trajectory:
    x, y = _data()
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    with ls.Recorder(path, model, optimizer):
        for _ in range(4):
            optimizer.zero_grad()
            F.cross_entropy(model(x.double()), y).backward()
            optimizer.step()
    return ls.Trajectory(path)


@situation(KIND, "tied weights that the file knows by their other name")
def tied_under_another_name(folder: Path) -> Verdict:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.head = nn.Embedding(7, 3), nn.Linear(3, 7, bias=False)
            self.head.weight = self.embed.weight

    model, other = Tied(), Tied()
    torch.save({"head.weight": model.head.weight.detach()}, folder / "m.pt")
    ls.restore(other, ls.Trajectory(ls.import_checkpoints([folder / "m.pt"], folder / "a.h5")))
    assert torch.equal(other.embed.weight, model.embed.weight)
    torch.save({n: t.clone() for n, t in model.state_dict().items()}, folder / "m.pt")
    out = ls.import_checkpoints([folder / "m.pt"], folder / "b.h5", model=Tied())
    assert [entry.name for entry in ls.Trajectory(out).layout] == ["embed.weight"]
    return Verdict(True)


@situation(KIND, "complex and lazy parameters")
def complex_and_lazy(folder: Path) -> Verdict:
    model = nn.Linear(2, 2, dtype=torch.complex64)
    refuses("0.weight has no shape yet", lambda: ls.Layout.of(nn.Sequential(nn.LazyLinear(3))))
    torch.save(model.state_dict(), folder / "m.pt")
    refuses("complex", lambda: ls.import_checkpoints([folder / "m.pt"], folder / "run.h5"))
    return refuses("complex.*view_as_real", lambda: ls.Layout.of(model))


@situation(KIND, "a surface of the 2018 tool with only another metric, and one of the test loss")
def other_metrics(folder: Path) -> Verdict:
    x, y = np.linspace(-1, 1, 3), np.linspace(-1, 1, 2)
    for name in ("robust_acc", "entropy", "test_loss"):
        with h5py.File(folder / f"{name}.h5_[-1,1,3]x[-1,1,2].h5", "w") as file:
            file["xcoordinates"], file["ycoordinates"] = x, y
            file[name], file["note"] = np.arange(6.0).reshape(2, 3), "of a fork"
    h5py.File(folder / "stopped.h5", "w").close()
    with pytest.warns(UserWarning, match=r"Left out: .*stopped\.h5 holds nothing"):
        found = li2018_folder.read_all([folder])
    metrics = {n: r.metrics for n, r in found.items() if isinstance(r, Surface)}
    assert metrics == {
        "surface/given-entropy": ("entropy",),
        "surface/given-robust_acc": ("robust_error",),
        "surface/given-test_loss": ("test_loss",),
    }
    for name, result in found.items():
        assert isinstance(result, Surface)
        ls.plot_surface(result)
        write(result, folder / "out.h5")
        with h5py.File(folder / "out.h5") as file:
            own = name.removeprefix("surface/given-")
            assert set(file) == {"xcoordinates", "ycoordinates", "dir_file", own}
            np.testing.assert_allclose(
                np.array(file[own]), np.arange(6.0).reshape(2, 3), atol=1e-12
            )
        (folder / "out.h5").unlink()
    return Verdict(True)
