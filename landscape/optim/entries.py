"""The table of optimizers: what each is, where it comes from, how it is drawn. No torch here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Evaluation = Literal["", "slow", "x"]


@dataclass(frozen=True)
class OptimizerEntry:
    """One named optimizer.

    Attributes:
        name: What the command line and the files call it.
        title: What legends call it.
        target: ``module:Class`` that implements it.
        lr: A learning rate that works on the shipped tasks.
        source: The paper.
        color: Its colour in every figure (Okabe & Ito; Tol's muted scheme for the extra ones).
        dash: Its dash, as a matplotlib line style.
        options: Fixed arguments besides the learning rate.
        full_batch: Whether it sees the whole data set at every step.
        inner: Name of the optimizer it is built around, if any.
        closure: Whether its step needs a closure.
        evaluation: What to evaluate where that is not the model's parameters: ``slow`` weights
            (Lookahead) or the averaged point ``x`` (Schedule-Free).
        elementwise: Whether it steps every weight by itself, whatever tensor that is part of.
        extra: Which extra of this package must be installed, if any.
        note: Where the implementation departs from the paper, if its docstring does not say.
    """

    name: str
    title: str
    target: str
    lr: float
    source: str
    color: str
    dash: str
    options: Mapping[str, Any] = field(default_factory=dict)
    full_batch: bool = False
    inner: str = ""
    closure: bool = False
    evaluation: Evaluation = ""
    elementwise: bool = False
    extra: str = ""
    note: str = ""


_E = OptimizerEntry
BLACK, BLUE, SKY, GREEN = "#000000", "#0072B2", "#56B4E9", "#009E73"
ORANGE, RED, PINK = "#E69F00", "#D55E00", "#CC79A7"

SHIPPED = (
    _E("gd", "GD (full batch)", "torch.optim:SGD", 0.2, "Cauchy 1847", BLACK, "-",
       full_batch=True, elementwise=True),
    _E("sgd", "SGD", "torch.optim:SGD", 0.2, "Robbins & Monro 1951", BLUE, "-",
       elementwise=True),
    _E("momentum", "SGD + momentum", "torch.optim:SGD", 0.05, "Polyak 1964", SKY, "--",
       {"momentum": 0.9}, elementwise=True),
    _E("nesterov", "Nesterov", "torch.optim:SGD", 0.05, "Nesterov 1983; Sutskever et al. 2013",
       BLUE, "--", {"momentum": 0.9, "nesterov": True}, elementwise=True),
    _E("adagrad", "Adagrad", "torch.optim:Adagrad", 0.02, "Duchi et al., JMLR 2011", GREEN, "-.",
       elementwise=True),
    _E("adadelta", "Adadelta", "torch.optim:Adadelta", 1.0, "arXiv:1212.5701", GREEN, "--",
       elementwise=True),
    _E("rmsprop", "RMSprop", "torch.optim:RMSprop", 0.001, "Tieleman & Hinton 2012", GREEN, "-",
       elementwise=True),
    _E("adam", "Adam", "torch.optim:Adam", 0.002, "arXiv:1412.6980", RED, "-", elementwise=True),
    _E("adamw", "AdamW", "torch.optim:AdamW", 0.002, "arXiv:1711.05101", RED, "--",
       elementwise=True),
    _E("adamax", "Adamax", "torch.optim:Adamax", 0.005, "arXiv:1412.6980", RED, "-.",
       elementwise=True),
    _E("nadam", "NAdam", "torch.optim:NAdam", 0.002, "Dozat 2016", ORANGE, ":", elementwise=True),
    _E("radam", "RAdam", "torch.optim:RAdam", 0.005, "arXiv:1908.03265", PINK, "--",
       elementwise=True,
       note="adapts from ρ > 5, as the authors' code does; the paper says ρ > 4"),
    _E("adafactor", "Adafactor", "torch.optim:Adafactor", 0.02, "arXiv:1804.04235", ORANGE, "-"),
    _E("muon", "Muon + AdamW", "landscape.optim.muon:MuonAdamW", 0.01,
       "Jordan 2024; arXiv:2502.16982", PINK, "-"),
    _E("lbfgs", "L-BFGS", "torch.optim:LBFGS", 1.0, "Liu & Nocedal 1989", BLACK, "--",
       {"max_iter": 1, "max_eval": 26, "history_size": 10,
        "line_search_fn": "strong_wolfe"},
       full_batch=True, closure=True, note="one iteration with its line search per step"),
    _E("lars", "LARS", "landscape.optim.lars:LARS", 0.0025, "arXiv:1708.03888", SKY, "-",
       {"trust": 1.0}),
    _E("lamb", "LAMB", "landscape.optim.lamb:LAMB", 0.01, "arXiv:1904.00962", ORANGE, "-."),
    _E("lookahead", "Lookahead (momentum)", "landscape.optim.lookahead:Lookahead", 0.05,
       "arXiv:1907.08610", SKY, ":", inner="momentum", evaluation="slow"),
    _E("lookahead-adam", "Lookahead (Adam)", "landscape.optim.lookahead:Lookahead", 0.004,
       "arXiv:1907.08610", RED, ":", inner="adam", evaluation="slow"),
    _E("sam", "SAM", "landscape.optim.sam:SAM", 0.05, "arXiv:2010.01412", BLUE, "-.",
       {"rho": 0.05}, inner="momentum", closure=True),
    _E("asam", "ASAM", "landscape.optim.sam:SAM", 0.05, "arXiv:2102.11600", SKY, "-.",
       {"rho": 0.5, "adaptive": True}, inner="momentum", closure=True),
    _E("adam-sgd", "Adam → SGD", "landscape.optim.switch:AdamToSGD", 0.002, "arXiv:1712.07628",
       PINK, "-.", {"switch_at": 100, "sgd_lr": 0.1}),
    _E("swats", "SWATS", "landscape.optim.switch:AdamToSGD", 0.002, "arXiv:1712.07628", PINK, ":",
       {"tolerance": 0.01}),
    _E("shampoo", "Shampoo", "landscape.optim.shampoo:Shampoo", 0.1, "arXiv:1802.09568",
       "#117733", "-"),
)  # fmt: skip


def _more(
    name: str, title: str, attribute: str, lr: float, source: str, look: str, **more: Any
) -> OptimizerEntry:
    color, _, dash = look.partition(" ")
    target = f"pytorch_optimizer:{attribute}"
    return _E(name, title, target, lr, source, color, dash, extra="optimizers", **more)


FROM_PYTORCH_OPTIMIZER = (
    _more("lion", "Lion", "Lion", 0.001, "arXiv:2302.06675", "#332288 -"),
    _more("adan", "Adan", "Adan", 0.005, "arXiv:2208.06677", "#332288 --"),
    _more("soap", "SOAP", "SOAP", 0.006, "arXiv:2409.11321", "#332288 -."),
    _more("prodigy", "Prodigy", "Prodigy", 1.0, "arXiv:2306.06101", "#117733 :"),
    _more("adabelief", "AdaBelief", "AdaBelief", 0.002, "arXiv:2010.07468", "#117733 -."),
    _more("schedulefree-sgd", "Schedule-Free SGD", "ScheduleFreeSGD", 1.0, "arXiv:2405.15682",
          "#882255 -", evaluation="x"),
    _more("schedulefree-adamw", "Schedule-Free AdamW", "ScheduleFreeAdamW", 0.005,
          "arXiv:2405.15682", "#882255 --", evaluation="x"),
    _more("ademamix", "AdEMAMix", "AdEMAMix", 0.001, "arXiv:2409.03137", "#882255 -."),
    _more("adopt", "ADOPT", "ADOPT", 0.002, "arXiv:2411.02853", "#44AA99 -"),
    _more("yogi", "Yogi", "Yogi", 0.005, "Zaheer et al., NeurIPS 2018", "#44AA99 --"),
    _more("madgrad", "MADGRAD", "MADGRAD", 0.002, "arXiv:2101.11075", "#44AA99 -."),
    _more("adabound", "AdaBound", "AdaBound", 0.002, "arXiv:1902.09843", "#AA4499 -"),
    _more("novograd", "NovoGrad", "NovoGrad", 0.005, "arXiv:1905.11286", "#AA4499 --"),
)  # fmt: skip

REFUSED = {
    name: f"{name} is left out: its licence (CC BY-NC-SA 4.0) forbids commercial use"
    for name in ("fromage", "nero")
}
