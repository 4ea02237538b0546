"""Tasks by name, data/model: what is trained, on what, measured how.

Add a data set: one file, one line in `DATA`. Add a model: one file, one line in
`landscape.tasks.names`.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable
from pathlib import Path

import torch

from landscape.base.suggest import did_you_mean
from landscape.tasks.cifar import cifar10
from landscape.tasks.digits import digits
from landscape.tasks.functions import FUNCTIONS, function_task
from landscape.tasks.idx import fashion_mnist, mnist
from landscape.tasks.names import HELP, IMAGE_MODELS, POINT_MODELS, TEXT_MODELS, Builder, find_model
from landscape.tasks.shakespeare import tiny_shakespeare
from landscape.tasks.spirals import two_spirals
from landscape.tasks.task import Data, Task, classification_error, cross_entropy

__all__ = ["DATA", "HELP", "Task", "load_task", "task_names"]

DATA: dict[str, tuple[Callable[[], Data], dict[str, Builder]]] = {
    "digits": (digits, IMAGE_MODELS),
    "mnist": (mnist, IMAGE_MODELS),
    "fashion-mnist": (fashion_mnist, IMAGE_MODELS),
    "cifar10": (cifar10, IMAGE_MODELS),
    "tiny-shakespeare": (tiny_shakespeare, TEXT_MODELS),
    "two-spirals": (two_spirals, POINT_MODELS),
}


def task_names() -> list[str]:
    """Every name that `load_task` knows, without the models' options."""
    named = [f"{data}/{model}" for data, (_, models) in DATA.items() for model in models]
    return [*named, *(f"function/{name}" for name in FUNCTIONS)]


def load_task(name: str, *, seed: int = 0) -> Task:
    """The task called `name`, with a freshly initialised model.

    Args:
        name: ``data/model`` such as ``digits/mlp``, ``cifar10/resnet56-noskip`` or
            ``mnist/mlp-256-128-relu-bn`` (options: see `landscape.tasks.names`);
            ``function/rosenbrock`` for a closed-form function; or ``package.module:function``
            for your own: a function that takes `seed` and returns a `Task`.
        seed: Seed of the initialisation.

    Raises:
        ValueError: If the name is unknown or the function does not return a `Task`.
        FileNotFoundError: If the data set is not on this computer.

    >>> task = load_task("digits/mlp")
    >>> len(task.train[0]), sum(p.numel() for p in task.model.parameters())
    (1498, 8970)
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if ":" in name:
            return _users_task(name, seed)
        data, _, model = name.partition("/")
        if data == "function" and model in FUNCTIONS:
            return function_task(model)
        file = name.removesuffix(".py")
        if Path(f"{file}.py").is_file():
            raise ValueError(f"task {name!r} is a file; name the function in it too: {file}:task.")
        if data not in DATA or not model:
            raise ValueError(
                f"task must be one of {', '.join(task_names())} ({HELP}), or "
                f"package.module:function for your own; not {name!r}."
                f"{did_you_mean(name, task_names())}"
            )
        load, models = DATA[data]
        build = find_model(model, models)
        held = load()
        return Task(
            model=build(held),
            loss=cross_entropy,
            train=held.train,
            test=held.test,
            metrics={"error": classification_error},
        )


def _users_task(name: str, seed: int) -> Task:
    module, _, attribute = name.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        function = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        file = module.removesuffix(".py")
        without = f", without .py: {file.replace('/', '.')}:{attribute}" if file != module else ""
        raise ValueError(
            f"task {name!r} cannot be imported ({error}); give package.module:function, seen "
            f"from the working folder{without}."
        ) from error
    try:
        inspect.signature(function).bind(seed=seed)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{name} must be a function of seed: def {attribute}(seed): ..."
        ) from error
    task = function(seed=seed)
    if not isinstance(task, Task):
        raise ValueError(
            f"{name} returned a {type(task).__name__}; it must return landscape.Task(model=..., "
            "loss=..., train=...)."
        )
    return task
