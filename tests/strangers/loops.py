"""Training loops that strangers write, recorded."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

import landscape as ls
from strangers.recorded import records
from strangers.situation import Verdict, refuses, situation

X, Y = torch.linspace(-1, 1, 32)[:, None], torch.linspace(-1, 1, 32)[:, None] ** 2


def net(width: int = 4) -> nn.Sequential:
    return nn.Sequential(nn.Linear(1, width), nn.Tanh(), nn.Linear(width, 1))


def sgd(model: nn.Module, lr: float = 0.1) -> torch.optim.SGD:
    return torch.optim.SGD(model.parameters(), lr=lr)


def back(model: nn.Module, optimizer: Any) -> torch.Tensor:
    optimizer.zero_grad()
    loss = F.mse_loss(model(X), Y)
    loss.backward()
    return loss


def steps(model: nn.Module, optimizer: Any, count: int) -> None:
    for _ in range(count):
        back(model, optimizer)
        optimizer.step()


def flat(model: nn.Module) -> torch.Tensor:
    return nn.utils.parameters_to_vector(model.parameters()).detach().clone()


def gan() -> tuple[nn.ModuleDict, list[torch.optim.Optimizer]]:
    model = nn.ModuleDict({"generator": net(), "critic": net()})
    return model, [torch.optim.Adam(part.parameters(), 1e-3) for part in model.values()]


@situation("loops", "generator and critic, in turn")
def generator_and_critic(folder: Path) -> Verdict:
    model, optimizers = gan()

    def loop(recorder: ls.Recorder) -> None:
        for _ in range(4):
            for part, optimizer in zip(model.values(), optimizers, strict=True):
                optimizer.zero_grad()
                part(model["generator"](X)).square().mean().backward()
                optimizer.step()

    verdict = records(folder, model, optimizers, loop, states=9)
    assert ls.Trajectory(folder / "run.h5").scalars["optimizer"].tolist() == [0, 1] * 4
    return verdict


@situation("loops", "five critic steps for one of the generator, weights clipped")
def clipped_critic(folder: Path) -> Verdict:
    model, (generate, criticise) = gan()

    def loop(recorder: ls.Recorder) -> None:
        for _ in range(2):
            for _ in range(5):
                back(model["critic"], criticise)
                criticise.step()
                for p in model["critic"].parameters():
                    p.data.clamp_(-0.1, 0.1)
            back(model["generator"], generate)
            generate.step()

    return records(folder, model, [generate, criticise], loop, states=13)


@situation("loops", "two optimizers, one after the other")
def body_and_head(folder: Path) -> Verdict:
    model = net()
    parts = [torch.optim.Adam(model[0].parameters()), sgd(model[2])]

    def loop(recorder: ls.Recorder) -> None:
        for _ in range(5):
            model.zero_grad()
            F.mse_loss(model(X), Y).backward()
            for optimizer in parts:
                optimizer.step()

    return records(folder, model, parts, loop, states=11)


@situation("loops", "a second optimizer that the recorder was not given")
def second_optimizer(folder: Path) -> Verdict:
    model = net()
    first, second = sgd(model[0]), sgd(model[2])

    def loop(recorder: ls.Recorder) -> None:
        for _ in range(3):
            back(model, first)
            first.step()
            second.step()
            second.zero_grad()

    return records(folder, model, first, loop, states=7)


@situation("loops", "Adam, then L-BFGS made when it is needed")
def adam_then_lbfgs(folder: Path) -> Verdict:
    model = net()
    adam = torch.optim.Adam(model.parameters(), 1e-2)

    def loop(recorder: ls.Recorder) -> None:
        steps(model, adam, 6)
        lbfgs = torch.optim.LBFGS(model.parameters(), max_iter=4)
        for _ in range(2):
            lbfgs.step(lambda: back(model, lbfgs))

    return records(folder, model, adam, loop, states=9)


@situation("loops", "L-BFGS, every evaluation of its line search")
def lbfgs_inner(folder: Path) -> Verdict:
    model = net()
    twin = copy.deepcopy(model)

    def train(model: nn.Module, note: Any = lambda: None) -> None:
        options = {"max_iter": 5, "line_search_fn": "strong_wolfe"}
        lbfgs = torch.optim.LBFGS(model.parameters(), **options)

        def closure() -> torch.Tensor:
            note()
            return back(model, lbfgs)

        for _ in range(2):
            lbfgs.step(closure)
            note()

    places = [flat(twin)]
    train(twin, lambda: torch.equal(flat(twin), places[-1]) or places.append(flat(twin)))
    states = len(places)
    verdict = records(folder, model, sgd(model), lambda _: train(model), states=states, inner=True)
    run = ls.Trajectory(folder / "run.h5")
    for row, place in enumerate(places):
        assert np.array_equal(run.state(row), place.numpy()), row
    return verdict


class NoBase(torch.optim.Optimizer):
    """Holds another optimizer, and never calls super().__init__()."""

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self.optimizer = optimizer

    @property
    def param_groups(self) -> Any:
        return self.optimizer.param_groups

    def zero_grad(self, set_to_none: bool = True) -> None:
        self.optimizer.zero_grad(set_to_none)

    def step(self, closure: Any = None) -> Any:
        return self.optimizer.step(closure)


@situation("loops", "a wrapper whose base class was not initialised")
def no_base(folder: Path) -> Verdict:
    model = net()
    optimizer = NoBase(sgd(model))
    return records(folder, model, optimizer, lambda _: steps(model, optimizer, 5), states=6)


class EveryOther(NoBase):
    """Steps at every second call only, as accumulating wrappers do."""

    calls = 0

    def step(self, closure: Any = None) -> Any:
        self.calls += 1
        return self.optimizer.step(closure) if self.calls % 2 == 0 else None


@situation("loops", "a wrapper that accumulates gradients")
def accumulating_wrapper(folder: Path) -> Verdict:
    model = net()
    optimizer = EveryOther(sgd(model))
    return records(folder, model, optimizer, lambda _: steps(model, optimizer, 6), states=4)


@situation("loops", "Accelerate")
def accelerated(folder: Path) -> Verdict:
    accelerate = __import__("accelerate")
    model = net()
    accelerator = accelerate.Accelerator(cpu=True, gradient_accumulation_steps=2)
    inside, optimizer = accelerator.prepare(model, sgd(model))

    def loop(recorder: ls.Recorder) -> None:
        for _ in range(6):
            with accelerator.accumulate(inside):
                accelerator.backward(F.mse_loss(inside(X), Y))
                optimizer.step()
                optimizer.zero_grad()

    return records(folder, model, optimizer, loop, states=4)


class Slow:
    """Looks like an optimizer; slow weights follow the fast ones."""

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self.optim, self.calls = optimizer, 0
        self.param_groups = optimizer.param_groups
        self.slow = [p.detach().clone() for g in self.param_groups for p in g["params"]]

    def zero_grad(self) -> None:
        self.optim.zero_grad()

    def step(self) -> None:
        self.optim.step()
        self.calls += 1
        if self.calls % 3 == 0:
            for slow, p in zip(self.slow, self.param_groups[0]["params"], strict=True):
                p.data.copy_(slow.add_(p.data - slow, alpha=0.5))


@situation("loops", "a home-made Lookahead that is no torch optimizer")
def home_made_lookahead(folder: Path) -> Verdict:
    model = net()
    optimizer = Slow(sgd(model))
    return records(folder, model, optimizer, lambda _: steps(model, optimizer, 6), states=7)


class ByHand:
    """An update of its own, in plain Python."""

    def __init__(self, parameters: Any) -> None:
        self.param_groups = [{"params": list(parameters), "lr": 0.1}]

    def zero_grad(self) -> None:
        for p in self.param_groups[0]["params"]:
            p.grad = None

    def step(self) -> None:
        for p in self.param_groups[0]["params"]:
            p.data -= self.param_groups[0]["lr"] * p.grad


@situation("loops", "an update written by hand, in a class with a step")
def update_by_hand(folder: Path) -> Verdict:
    model = net()
    optimizer = ByHand(model.parameters())
    return records(folder, model, optimizer, lambda _: steps(model, optimizer, 5), states=6)


@situation("loops", "an optimizer that is none")
def no_optimizer(folder: Path) -> Verdict:
    model = net()
    return refuses(
        "must be a torch optimizer.*got str",
        lambda: ls.Recorder(folder / "run.h5", model, "adam"),
    )


class TwoCalls(torch.optim.Optimizer):
    """Sharpness-aware steps in two calls; `step` is never called."""

    def __init__(self, parameters: Any, base: bool, rho: float = 0.05) -> None:
        super().__init__(parameters, {"lr": 0.1, "rho": rho})
        self.base_optimizer = torch.optim.SGD(self.param_groups, lr=0.1) if base else None

    @torch.no_grad()
    def first_step(self, zero_grad: bool = False) -> None:
        for p in self.param_groups[0]["params"]:
            self.state[p]["away"] = p.grad * self.param_groups[0]["rho"]
            p.add_(self.state[p]["away"])
        if zero_grad:
            self.zero_grad()

    @torch.no_grad()
    def second_step(self, zero_grad: bool = False) -> None:
        for p in self.param_groups[0]["params"]:
            p.sub_(self.state[p]["away"])
            if self.base_optimizer is None:
                p.sub_(p.grad, alpha=0.1)
        if self.base_optimizer is not None:
            self.base_optimizer.step()
        if zero_grad:
            self.zero_grad()


def two_calls(folder: Path, *, base: bool) -> Verdict:
    model = net()
    optimizer = TwoCalls(model.parameters(), base)

    def loop(recorder: ls.Recorder) -> None:
        for _ in range(4):
            F.mse_loss(model(X), Y).backward()
            optimizer.first_step(zero_grad=True)
            F.mse_loss(model(X), Y).backward()
            optimizer.second_step(zero_grad=True)

    return records(folder, model, optimizer, loop, states=5)


@situation("loops", "SAM in two calls, around a base optimizer")
def two_calls_with_base(folder: Path) -> Verdict:
    return two_calls(folder, base=True)


@situation("loops", "SAM in two calls that makes its own update")
def two_calls_alone(folder: Path) -> Verdict:
    return two_calls(folder, base=False)


class Clamped(torch.optim.SGD):
    """A subclass whose step calls that of its parent."""

    def step(self, closure: Any = None) -> Any:
        loss = super().step(closure)
        for group in self.param_groups:
            for p in group["params"]:
                p.data.clamp_(-0.5, 0.5)
        return loss


@situation("loops", "a subclass that clamps after its parent's step")
def clamping_subclass(folder: Path) -> Verdict:
    sgd(net())  # the parent's step is heard by itself, too
    model = net()
    optimizer = Clamped(model.parameters(), lr=0.1)
    return records(folder, model, optimizer, lambda _: steps(model, optimizer, 4), states=5)


@situation("loops", "a step that fails and is made again")
def failed_step(folder: Path) -> Verdict:
    model = net()
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=2)

    def broken() -> float:
        raise RuntimeError("out of memory")

    def loop(recorder: ls.Recorder) -> None:
        for _ in range(3):
            try:
                optimizer.step(broken)
            except RuntimeError:
                optimizer.step(lambda: back(model, optimizer))

    return records(folder, model, optimizer, loop, states=4)


@situation("loops", "a layer unfrozen midway")
def unfrozen_midway(folder: Path) -> Verdict:
    model = net()
    model[0].requires_grad_(False)
    optimizer = sgd(model[2])

    def loop(recorder: ls.Recorder) -> None:
        steps(model, optimizer, 3)
        model[0].requires_grad_(True)
        optimizer.add_param_group({"params": model[0].parameters()})
        steps(model, optimizer, 3)

    says = r"From step 4 on, 0\.weight and 1 more was added, unfrozen"
    return records(folder, model, optimizer, loop, states=7, says=says)


@situation("loops", "a layer unfrozen midway, named from the start")
def unfrozen_and_named(folder: Path) -> Verdict:
    model = net()
    model[0].requires_grad_(False)
    optimizer = sgd(model[2])

    def loop(recorder: ls.Recorder) -> None:
        steps(model, optimizer, 3)
        model[0].requires_grad_(True)
        optimizer.add_param_group({"params": model[0].parameters()})
        steps(model, optimizer, 3)

    beside = {f"0.{name}": p for name, p in model[0].named_parameters()}
    verdict = records(folder, model, optimizer, loop, states=7, beside=beside)
    run = ls.Trajectory(folder / "run.h5")
    now = torch.cat([p.detach().reshape(-1) for p in model[0].parameters()]).numpy()
    assert np.array_equal(run.beside(-1), now)
    assert not np.array_equal(run.beside(3), run.beside(4))
    return verdict


@situation("loops", "a layer frozen midway")
def frozen_midway(folder: Path) -> Verdict:
    model = net()
    optimizer = sgd(model)

    def loop(recorder: ls.Recorder) -> None:
        steps(model, optimizer, 3)
        model[0].requires_grad_(False)
        steps(model, optimizer, 3)

    return records(folder, model, optimizer, loop, states=7)


@situation("loops", "a head replaced midway by one of the same shape")
def replaced_head(folder: Path) -> Verdict:
    model = net()
    optimizer = sgd(model)

    def loop(recorder: ls.Recorder) -> None:
        steps(model, optimizer, 3)
        model[2] = nn.Linear(4, 1)
        optimizer.add_param_group({"params": model[2].parameters()})
        steps(model, optimizer, 3)

    return records(folder, model, optimizer, loop, states=7)


@situation("loops", "a head replaced midway by a larger one")
def larger_head(folder: Path) -> Verdict:
    model = net()
    optimizer = sgd(model)

    def loop(recorder: ls.Recorder) -> None:
        steps(model, optimizer, 2)
        model[2] = nn.Linear(4, 2)
        optimizer.add_param_group({"params": model[2].parameters()})
        steps(model, optimizer, 2)

    says = r"From step 3 on, 2\.weight and 1 more was added, unfrozen or replaced"
    return records(folder, model, optimizer, loop, states=5, says=says)


@situation("loops", "a teacher that follows the student, inside the model")
def teacher(folder: Path) -> Verdict:
    model = nn.ModuleDict({"student": net(), "teacher": net().requires_grad_(False)})
    optimizer = sgd(model["student"])

    def loop(recorder: ls.Recorder) -> None:
        for _ in range(5):
            steps(model["student"], optimizer, 1)
            pairs = zip(model["teacher"].parameters(), model["student"].parameters(), strict=True)
            for slow, fast in pairs:
                slow.data.lerp_(fast.data, 0.1)

    says = r"teacher\.0\.weight and 3 more moved although it is not trained"
    return records(folder, model, optimizer, loop, states=6, says=says)


@situation("loops", "a teacher that follows the student, recorded beside it")
def teacher_beside(folder: Path) -> Verdict:
    model = nn.ModuleDict({"student": net(), "teacher": net().requires_grad_(False)})
    optimizer = sgd(model["student"])

    def loop(recorder: ls.Recorder) -> None:
        for _ in range(5):
            pairs = zip(model["teacher"].parameters(), model["student"].parameters(), strict=True)
            for slow, fast in pairs:
                slow.data.lerp_(fast.data, 0.1)
            steps(model["student"], optimizer, 1)

    beside = {f"teacher.{name}": p for name, p in model["teacher"].named_parameters()}
    return records(folder, model, optimizer, loop, states=6, beside=beside)


@situation("loops", "an unknown coefficient stepped beside the net")
def coefficient(folder: Path) -> Verdict:
    model, k = net(), nn.Parameter(torch.ones(()))
    optimizer = torch.optim.Adam([*model.parameters(), k])

    def loop(recorder: ls.Recorder) -> None:
        for _ in range(3):
            optimizer.zero_grad()
            (k * model(X) - Y).square().mean().backward()
            optimizer.step()

    says = "1 tensor.* that the optimizer steps are not the model's"
    verdict = records(folder, model, optimizer, loop, states=4, says=says)
    run = ls.Trajectory(folder / "run.h5")
    assert run.beside(0) == 1
    assert run.beside(-1) == k.item()
    return verdict


@situation("loops", "a loss with weights of its own (ArcFace, uncertainty), named")
def loss_with_weights(folder: Path) -> Verdict:
    model, loss = net(), nn.Linear(1, 3, bias=False)
    optimizer = torch.optim.AdamW([{"params": model.parameters()}, {"params": loss.parameters()}])

    def loop(recorder: ls.Recorder) -> None:
        for _ in range(3):
            optimizer.zero_grad()
            F.cross_entropy(loss(model(X)), torch.zeros(32, dtype=torch.long)).backward()
            optimizer.step()

    verdict = records(folder, model, optimizer, loop, states=4, beside={"centres": loss.weight})
    run = ls.Trajectory(folder / "run.h5")
    assert [entry.name for entry in run.beside_layout] == ["centres"]
    assert np.array_equal(run.beside(-1), loss.weight.detach().reshape(-1))
    return verdict


@situation("loops", "weights changed by hand after the last step")
def changed_by_hand(folder: Path) -> Verdict:
    model = net()
    optimizer = sgd(model)

    def loop(recorder: ls.Recorder) -> None:
        steps(model, optimizer, 3)
        model[2].bias.data.zero_()

    says = r"1 of 4 tensors \(first: 2\.bias\) moved after step 3.*stored as step 4"
    return records(folder, model, optimizer, loop, states=5, says=says)


@situation("loops", "the best weights loaded at the end, states every 4 steps")
def best_loaded(folder: Path) -> Verdict:
    model = net()
    optimizer = sgd(model)

    def loop(recorder: ls.Recorder) -> None:
        steps(model, optimizer, 3)
        best = copy.deepcopy(model.state_dict())
        steps(model, optimizer, 3)
        model.load_state_dict(best)

    says = "4 of 4 tensors.*moved after step 6"
    return records(folder, model, optimizer, loop, states=3, says=says, every=4)


@situation("loops", "the best weights loaded midway")
def best_loaded_midway(folder: Path) -> Verdict:
    model = net()
    optimizer = sgd(model)

    def loop(recorder: ls.Recorder) -> None:
        best = copy.deepcopy(model.state_dict())
        steps(model, optimizer, 3)
        model.load_state_dict(best)
        steps(model, optimizer, 2)

    return records(folder, model, optimizer, loop, states=6)


@situation("loops", "averaged weights copied in at the end")
def averaged_at_the_end(folder: Path) -> Verdict:
    model = nn.Sequential(nn.Linear(1, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    optimizer = sgd(model)
    average = torch.optim.swa_utils.AveragedModel(model)

    def loop(recorder: ls.Recorder) -> None:
        for _ in range(4):
            steps(model, optimizer, 1)
            average.update_parameters(model)
        torch.optim.swa_utils.update_bn([X], average)
        model.load_state_dict(average.module.state_dict())

    return records(folder, model, optimizer, loop, states=6, says="moved after step 4")


@situation("loops", "evaluated in training mode after the last step")
def statistics_after_the_end(folder: Path) -> Verdict:
    model = nn.Sequential(nn.Linear(1, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    optimizer = sgd(model)

    def loop(recorder: ls.Recorder) -> None:
        steps(model, optimizer, 3)
        model(X)

    return records(folder, model, optimizer, loop, states=4)


@situation("loops", "an optimizer that is never heard: the update is written in the loop")
def never_heard(folder: Path) -> Verdict:
    model = net()
    optimizer = sgd(model)

    def loop(recorder: ls.Recorder) -> None:
        for _ in range(5):
            back(model, optimizer)
            with torch.no_grad():
                for p in model.parameters():
                    p -= 0.1 * p.grad

    says = "moved after step 0. No step was heard: give the recorder every optimizer"
    return records(folder, model, optimizer, loop, states=2, says=says)


@situation("loops", "no step at all")
def no_step(folder: Path) -> Verdict:
    model = net()
    return records(folder, model, sgd(model), lambda _: None, states=1)


@situation("loops", "DataParallel")
def data_parallel(folder: Path) -> Verdict:
    model = nn.DataParallel(net())
    optimizer = sgd(model)
    return records(folder, model, optimizer, lambda _: steps(model, optimizer, 4), states=5)


@situation("loops", "a compiled model")
def compiled_model(folder: Path) -> Verdict:
    model = torch.compile(net(), backend="eager")
    optimizer = sgd(model)
    return records(folder, model, optimizer, lambda _: steps(model, optimizer, 4), states=5)


@situation("loops", "double precision, late and tiny steps")
def double_steps(folder: Path) -> Verdict:
    model = net().double()
    optimizer = sgd(model, lr=1e-8)
    places = []

    def loop(recorder: ls.Recorder) -> None:
        for _ in range(20):
            places.append(flat(model))
            optimizer.zero_grad()
            F.mse_loss(model(X.double()), Y.double()).backward()
            optimizer.step()

    verdict = records(folder, model, optimizer, loop, states=21)
    places.append(flat(model))
    moved = torch.diff(torch.stack(places), dim=0).norm(dim=1).numpy()
    run = ls.Trajectory(folder / "run.h5")
    np.testing.assert_allclose(ls.path_metrics(run).update_norm[1:], moved, rtol=1e-9)
    np.testing.assert_allclose(run.scalars["update_norm"], moved, rtol=1e-9)
    return verdict


@situation("loops", "bfloat16 weights")
def half_model(folder: Path) -> Verdict:
    model = net().bfloat16()
    optimizer = sgd(model)

    def loop(recorder: ls.Recorder) -> None:
        for _ in range(4):
            optimizer.zero_grad()
            F.mse_loss(model(X.bfloat16()), Y.bfloat16()).backward()
            optimizer.step()

    return records(folder, model, optimizer, loop, states=5)


@situation("loops", "one layer in double precision among others")
def mixed_model(folder: Path) -> Verdict:
    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.head = nn.Linear(1, 4), nn.Linear(4, 1).double()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.body(x).tanh().double()).float()

    model = Mixed()
    optimizer = sgd(model)
    return records(folder, model, optimizer, lambda _: steps(model, optimizer, 4), states=5)


@situation("loops", "the loop ends with an exception")
def exception(folder: Path) -> Verdict:
    model = net()
    optimizer = sgd(model)

    def loop(recorder: ls.Recorder) -> None:
        steps(model, optimizer, 3)
        raise ZeroDivisionError

    return records(folder, model, optimizer, loop, states=4, complete=False, ends=ZeroDivisionError)


@situation("loops", "Ctrl-C inside a sharpness-aware step")
def interrupted(folder: Path) -> Verdict:
    model = net()
    optimizer = ls.SAM(sgd(model))
    calls = 0

    def closure() -> torch.Tensor:
        nonlocal calls
        calls += 1
        if calls == 6:
            raise KeyboardInterrupt
        return back(model, optimizer)

    def loop(recorder: ls.Recorder) -> None:
        while True:
            optimizer.step(closure)

    return records(folder, model, optimizer, loop, states=3, complete=False, ends=KeyboardInterrupt)


@situation("loops", "resumed twice")
def resumed_twice(folder: Path) -> Verdict:
    model = net()
    optimizer = sgd(model)
    verdict = Verdict(False)
    for part in range(3):
        options: dict[str, Any] = {"resume": True} if part else {}
        verdict = records(
            folder,
            model,
            optimizer,
            lambda _: steps(model, optimizer, 3),
            states=4 + 3 * part,
            random_state=True,
            **options,
        )
    return verdict


@situation("loops", "a loader whose workers live on")
def persistent_workers(folder: Path) -> Verdict:
    model = net()
    optimizer = sgd(model)
    loader = DataLoader(TensorDataset(X, Y), batch_size=8, num_workers=1, persistent_workers=True)

    def loop(recorder: ls.Recorder) -> None:
        for x, y in loader:
            optimizer.zero_grad()
            F.mse_loss(model(x), y).backward()
            optimizer.step()

    return records(folder, model, optimizer, loop, states=5)


@situation("loops", "looked at from another process while it is recorded")
def looked_at(folder: Path) -> Verdict:
    model = net()
    optimizer = sgd(model)
    code = "import sys, landscape as ls; r = ls.Trajectory(sys.argv[1])"
    code += "; print(len(r), r.complete, r.live, r.final.shape)"

    def loop(recorder: ls.Recorder) -> None:
        steps(model, optimizer, 5)
        recorder.flush()
        done = subprocess.run(
            [sys.executable, "-c", code, str(folder / "run.h5")], capture_output=True, text=True
        )
        assert done.stdout == "6 False True (13,)\n", done.stdout + done.stderr
        steps(model, optimizer, 2)

    return records(folder, model, optimizer, loop, states=8)
