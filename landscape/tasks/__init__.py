"""Tasks by name, data/model: what is trained, on what, measured how.

Add a data set or a model: one file, one line in `DATA` or `MODELS`.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path

import torch

from landscape.tasks.digits import digits
from landscape.tasks.models import conv, mlp
from landscape.tasks.task import Data, Task, classification_error, cross_entropy

__all__ = ["DATA", "MODELS", "Task", "load_task", "task_names"]

DATA: dict[str, Callable[[], Data]] = {"digits": digits}
MODELS: dict[str, Callable[[Data], torch.nn.Module]] = {"mlp": mlp, "conv": conv}


def task_names() -> list[str]:
    """Every name that `load_task` knows."""
    return [f"{data}/{model}" for data in DATA for model in MODELS]


def load_task(name: str, *, seed: int = 0) -> Task:
    """The task called `name`, with a freshly initialised model.

    Args:
        name: ``data/model`` such as ``digits/mlp``, or ``package.module:function`` for your own:
            a function that takes `seed` and returns a `Task`.
        seed: Seed of the initialisation.

    Raises:
        ValueError: If the name is unknown or the function does not return a `Task`.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if ":" in name:
            return _users_task(name, seed)
        data, _, model = name.partition("/")
        if data not in DATA or model not in MODELS:
            raise ValueError(
                f"task must be one of {', '.join(task_names())}, or package.module:function for "
                f"your own; not {name!r}."
            )
        held = DATA[data]()
        return Task(
            model=MODELS[model](held),
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
        raise ValueError(
            f"task {name!r} cannot be imported ({error}); give package.module:function, seen "
            "from the working folder."
        ) from error
    task = function(seed=seed)
    if not isinstance(task, Task):
        raise ValueError(
            f"{name} returned a {type(task).__name__}; it must return landscape.Task(model=..., "
            "loss=..., train=...)."
        )
    return task
