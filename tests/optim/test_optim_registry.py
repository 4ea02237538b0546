"""Every registered optimizer on every small problem; names, options, looks, errors."""

from __future__ import annotations

import importlib.util
import io
import subprocess
import sys

import pytest
import torch

from landscape.objective.metrics import mean_of
from landscape.optim.average import WeightAverage
from landscape.optim.entries import REFUSED
from landscape.optim.evaluated import evaluated_weights
from landscape.optim.lookahead import Lookahead
from landscape.optim.registry import OPTIMIZERS, build, find
from landscape.tasks import load_task

EXTRA = importlib.util.find_spec("pytorch_optimizer") is not None
NAMES = [name for name, entry in OPTIMIZERS.items() if EXTRA or not entry.extra]
# Largest curvatures at the start are 100 (quadratic) and 1,300 (Rosenbrock); these follow the
# gradient's length (RAdam in its first five steps), so their rates must stay below 2 over that.
FOLLOW_THE_LENGTH = {"gd", "sgd", "momentum", "nesterov", "lookahead", "sam", "asam",
                     "radam", "schedulefree-sgd"}  # fmt: skip
PROBLEMS = ["function/quadratic", "function/rosenbrock", "digits/mlp-16"]


def step(optimizer, closure, needs_closure):
    if needs_closure:
        return optimizer.step(closure)
    loss = closure()
    optimizer.step()
    return loss


def prepared(problem, name, dtype, **options):
    """Parameters, optimizer and closure of a problem, ready to step."""
    task = load_task(problem)
    model = task.model.to(dtype)
    data = task.train
    if problem == "digits/mlp-16":
        data = (task.train[0][:256].to(dtype), task.train[1][:256])
    lr = None
    if problem != "digits/mlp-16" and name in FOLLOW_THE_LENGTH:
        lr = 1e-4
    optimizer = build(name, model.parameters(), lr=lr, options=options)

    def closure():
        optimizer.zero_grad()
        loss = mean_of(task.loss(model, data))
        loss.backward()
        return loss

    return model, optimizer, closure


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["single", "double"])
@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("name", NAMES)
def test_decreases_the_loss_and_resumes_bitwise(name, problem, dtype):
    options = {"switch_at": 10, "sgd_lr": 1e-4} if name == "adam-sgd" else {}
    needs = find(name).closure
    model, optimizer, closure = prepared(problem, name, dtype, **options)
    first = step(optimizer, closure, needs).item()
    for _ in range(12):
        step(optimizer, closure, needs)
    file = io.BytesIO()
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, file)
    file.seek(0)
    saved = torch.load(file, weights_only=True)
    twin, twins_optimizer, twins_closure = prepared(problem, name, dtype, **options)
    twin.load_state_dict(saved["model"])
    twins_optimizer.load_state_dict(saved["optimizer"])
    for _ in range(12):
        step(optimizer, closure, needs)
        step(twins_optimizer, twins_closure, needs)
    # torch keeps NAdam's product of momenta in single precision, but loads it as double.
    rounded = 1e-6 if name == "nadam" and dtype == torch.float64 else 0
    for p, q in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=rounded, atol=0)
        assert p.dtype == dtype
    assert closure().item() < first


@pytest.mark.parametrize("name", [n for n in NAMES if n not in ("gd", "lbfgs")])
def test_the_default_rate_learns(name):
    """120 mini-batches of digits/mlp at the default rate bring the loss from 2.3 below 0.7."""
    task = load_task("digits/mlp")
    optimizer = build(name, task.model.parameters())
    order = torch.Generator().manual_seed(0)
    losses = []
    for _ in range(120):
        index = torch.randint(len(task.train[1]), (128,), generator=order)
        batch = (task.train[0][index], task.train[1][index])

        def closure(batch=batch):
            optimizer.zero_grad()
            loss = mean_of(task.loss(task.model, batch))
            loss.backward()
            return loss

        losses.append(step(optimizer, closure, find(name).closure).item())
    assert sum(losses[-10:]) / 10 < 0.7


# L-BFGS refuses groups, see below; Prodigy estimates one rate for all of them.
@pytest.mark.parametrize("name", [n for n in NAMES if n not in ("lbfgs", "prodigy")])
def test_groups_are_respected(name):
    """A group with learning rate 0 stays where it is while the other one moves."""
    moving, still = (torch.nn.Parameter(torch.full((2, 2), 0.5)) for _ in range(2))
    optimizer = build(name, [{"params": [moving]}, {"params": [still], "lr": 0.0}])

    def closure():
        optimizer.zero_grad()
        loss = (moving.square().sum() + still.square().sum()) * 3
        loss.backward()
        return loss

    for _ in range(8):
        step(optimizer, closure, find(name).closure)
    assert (moving != 0.5).all()
    assert (still == 0.5).all()


def test_lbfgs_refuses_groups():
    w = [torch.nn.Parameter(torch.ones(1)) for _ in range(2)]
    with pytest.raises(ValueError, match="parameter groups"):
        build("lbfgs", [{"params": [p]} for p in w])


@pytest.mark.parametrize("name", NAMES)
def test_bad_hyper_parameters_are_refused(name):
    w = [torch.nn.Parameter(torch.ones(2, 2))]
    for lr in (-1.0, float("nan")):
        with pytest.raises(ValueError, match="lr must be at least 0 and finite; got"):
            build(name, w, lr=lr)
    with pytest.raises(ValueError, match=f"{name} takes no option speed; allowed: "):
        build(name, w, options={"speed": 3})


@pytest.mark.parametrize(
    ("name", "option", "value", "expected"),
    [
        ("lars", "momentum", 1.0, "momentum must be at least 0 and below 1; got 1.0"),
        ("lars", "trust", -1.0, "trust"),
        ("lamb", "betas", (0.9, 1.5), "beta2 must be"),
        ("lamb", "clip", (2.0, 1.0), "smallest ≤ largest"),
        ("lookahead", "k", 0, "k must be at least 1"),
        ("lookahead", "alpha", 0.0, "alpha must be"),
        ("sam", "rho", float("nan"), "rho must be"),
        ("adam-sgd", "switch_at", 0, "switch_at must be"),
        ("swats", "tolerance", -1.0, "tolerance must be"),
    ],
)
def test_bad_options_say_what_is_allowed(name, option, value, expected):
    with pytest.raises(ValueError, match=expected):
        build(name, [torch.nn.Parameter(torch.ones(2))], options={option: value})


def test_unknown_and_refused_names():
    with pytest.raises(ValueError, match="optimizer must be one of gd, sgd"):
        find("adamm")
    for name in REFUSED:
        with pytest.raises(ValueError, match="forbids commercial use"):
            find(name)
    for name in ("lookahead-lookahead", "sam-lbfgs", "lookahead-sam"):
        with pytest.raises(ValueError, match="cannot be built around"):
            find(name)


def test_around_any_inner_optimizer():
    w = torch.nn.Parameter(torch.ones(2, 2))
    optimizer = build("lookahead-nadam", [w], lr=0.25, options={"k": 3})
    assert isinstance(optimizer, Lookahead)
    assert isinstance(optimizer.inner[0], torch.optim.NAdam)
    assert optimizer.param_groups[0] is optimizer.inner[0].param_groups[0]
    assert optimizer.param_groups[0]["lr"] == 0.25
    with pytest.raises(ValueError, match="cannot be added"):
        optimizer.add_param_group({"params": [torch.nn.Parameter(torch.ones(1))]})


def test_sam_says_what_it_needs():
    optimizer = build("sam", [torch.nn.Parameter(torch.ones(2))])
    with pytest.raises(ValueError, match=r"step\(closure\)"):
        optimizer.step()


def test_muon_takes_matrices_and_leaves_the_rest():
    matrix, kept, bias = (torch.nn.Parameter(torch.ones(s)) for s in ((2, 3), (3, 3), (3,)))
    optimizer = build("muon", [{"params": [matrix, bias]}, {"params": [kept], "muon": False}])
    on_muon, on_adamw = (
        [p for g in part.param_groups for p in g["params"]] for part in optimizer.inner
    )
    assert [id(p) for p in on_muon] == [id(matrix)]
    assert [id(p) for p in on_adamw] == [id(bias), id(kept)]


def test_every_entry_looks_different_and_has_a_source():
    looks = [(entry.color, entry.dash) for entry in OPTIMIZERS.values()]
    assert len(set(looks)) == len(looks)
    titles = [entry.title for entry in OPTIMIZERS.values()]
    assert len(set(titles)) == len(titles)
    assert all(entry.source and entry.lr > 0 for entry in OPTIMIZERS.values())
    assert all(entry.dash in ("-", "--", "-.", ":") for entry in OPTIMIZERS.values())


def test_table_needs_no_torch():
    code = "import sys, landscape.optim.registry; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_averages_are_torchs():
    """Against `torch.optim.swa_utils`, from the third update on."""
    from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

    torch.manual_seed(0)
    model = torch.nn.Linear(3, 2).double()
    twins = {
        "swa": AveragedModel(model),
        "ema": AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9)),
    }
    ours = {k: WeightAverage(k, model.parameters(), start=2, decay=0.9) for k in twins}
    for t in range(10):
        with torch.no_grad():
            for p in model.parameters():
                p.add_(torch.randn_like(p))
        for kind, average in ours.items():
            average.update()
            if t >= 2:
                twins[kind].update_parameters(model)
            else:
                for mean, p in zip(average.weights(), model.parameters(), strict=True):
                    assert torch.equal(mean, p)
    for kind, average in ours.items():
        for mean, p in zip(average.weights(), twins[kind].module.parameters(), strict=True):
            # Ten sums of numbers of order 3 in two orders: a few 1e-16.
            torch.testing.assert_close(mean, p, rtol=0, atol=1e-14)
    with pytest.raises(ValueError, match="average must be one of swa, ema"):
        WeightAverage("mean", model.parameters())


@pytest.mark.parametrize("name", ["schedulefree-sgd", "schedulefree-adamw"])
def test_schedule_free_average_without_touching_the_run(name):
    if not EXTRA:
        pytest.skip("needs the extra 'optimizers'")
    model, optimizer, closure = prepared("digits/mlp-16", name, torch.float64)
    for _ in range(6):
        step(optimizer, closure, False)
    before = [p.detach().clone() for p in model.parameters()]
    found = evaluated_weights(optimizer)
    for p, q in zip(model.parameters(), before, strict=True):
        assert torch.equal(p, q)
    optimizer.eval()
    for p in model.parameters():
        torch.testing.assert_close(found[p], p.detach(), rtol=1e-12, atol=1e-14)


def test_plain_optimizers_are_evaluated_where_they_are():
    w = torch.nn.Parameter(torch.ones(2))
    assert evaluated_weights(build("adam", [w])) == {}
    lookahead = build("lookahead-adam", [w])
    assert torch.equal(evaluated_weights(lookahead)[w], w)


@pytest.mark.parametrize("name", [n for n, e in OPTIMIZERS.items() if e.extra][:1])
def test_absent_extra_says_what_to_install(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "pytorch_optimizer", None)
    with pytest.raises(ImportError, match=r"pip install 'landscape-torch\[optimizers\]'"):
        build(name, [torch.nn.Parameter(torch.ones(2))])
