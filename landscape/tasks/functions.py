"""Closed-form test functions as tasks: the parameter vector is the point itself.

Rosenbrock 1960 (Computer J. 3), Beale 1958, and a quadratic whose Hessian is known.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from landscape.tasks.task import Task

CURVATURES = tuple(100.0 ** (k / 9) for k in range(10))


class Point(nn.Module):
    """A point x that knows the value of a function there; `forward()` gives f(x), a scalar.

    Args:
        function: From a point, shape (n,), to its value.
        start: Where x begins.
    """

    def __init__(self, function: Callable[[Tensor], Tensor], start: tuple[float, ...]) -> None:
        super().__init__()
        self.function = function
        self.x: nn.Parameter = nn.Parameter(torch.tensor(start))

    def forward(self) -> Tensor:
        """The function's value at x."""
        return self.function(self.x)


def rosenbrock(x: Tensor) -> Tensor:
    """(1 - x₁)² + 100 (x₂ - x₁²)²; its minimum is 0 at (1, 1).

    >>> rosenbrock(torch.ones(2)).item()
    0.0
    """
    return (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2


def beale(x: Tensor) -> Tensor:
    """Σ_k (c_k - x₁ (1 - x₂^k))² with c = 1.5, 2.25, 2.625; its minimum is 0 at (3, ½).

    >>> beale(torch.tensor([3.0, 0.5])).item()
    0.0
    """
    terms = [(c - x[0] * (1 - x[1] ** k)) ** 2 for k, c in enumerate((1.5, 2.25, 2.625), 1)]
    return terms[0] + terms[1] + terms[2]


def quadratic(x: Tensor) -> Tensor:
    """½ Σ_i h_i x_i²; the Hessian is diag(h), h from 1 to 100 in ten geometric steps.

    >>> torch.autograd.functional.hessian(quadratic, torch.ones(10)).diagonal()[[0, -1]]
    tensor([  1., 100.])
    """
    return (x.square() * x.new_tensor(CURVATURES)).sum() / 2


FUNCTIONS: dict[str, tuple[Callable[[Tensor], Tensor], tuple[float, ...]]] = {
    "rosenbrock": (rosenbrock, (-1.2, 1.0)),
    "beale": (beale, (1.0, 1.0)),
    "quadratic": (quadratic, (1.0,) * len(CURVATURES)),
}


def function_task(name: str) -> Task:
    """The function `name` of `FUNCTIONS` as a task; its one sample is never looked at."""
    function, start = FUNCTIONS[name]
    return Task(model=Point(function, start), loss=_value, train=torch.zeros(1, 1))


def _value(model: nn.Module, _: Any) -> Tensor:
    return model()
