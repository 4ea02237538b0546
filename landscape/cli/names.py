"""Names of tasks, checked before anything slow is imported, and names for completion."""

from __future__ import annotations

from pathlib import Path

import typer

from landscape.base.suggest import did_you_mean

_IMAGES = ("mlp", "conv", "lenet", "vgg9", "vgg11", "resnet20", "resnet56", "resnet110", "vit")
# The models of each data set; a test holds them against those that are built.
MODELS: dict[str, tuple[str, ...]] = {
    "digits": _IMAGES,
    "mnist": _IMAGES,
    "fashion-mnist": _IMAGES,
    "cifar10": _IMAGES,
    "tiny-shakespeare": ("gpt",),
    "two-spirals": ("mlp",),
    "function": ("rosenbrock", "beale", "quadratic"),
}
TASKS = [f"{data}/{model}" for data, models in MODELS.items() for model in models]


def check_task(name: str | None) -> str | None:
    """A name, if it is a task of this package or a function of the user's.

    Raises:
        ValueError: If it is neither; the message says what it was probably meant to be.
    """
    if name is None or ":" in name:
        return name
    file = name.removesuffix(".py")
    if name.endswith(".py") or Path(f"{file}.py").is_file():
        raise ValueError(f"task {name!r} is a file; name the function in it too: {file}:task.")
    data, _, model = name.partition("/")
    base = model.partition("-")[0]
    if base not in MODELS.get(data, ()):
        meant = did_you_mean(f"{data}/{base}", TASKS)
        known = f" Models for {data}: {', '.join(MODELS[data])}." if data in MODELS else ""
        raise ValueError(
            f"task must be data/model, such as digits/mlp or cifar10/resnet20 (`landscape list "
            f"tasks` shows all), or package.module:function; not {name!r}.{known}{meant}"
        )
    return name


def tasks(incomplete: str) -> list[str]:
    """Tasks that begin so, for completion."""
    return [name for name in TASKS if name.startswith(incomplete)]


def optimizers(incomplete: str) -> list[str]:
    """Optimizers that begin so, for completion."""
    from landscape.optim.registry import OPTIMIZERS

    return [name for name in OPTIMIZERS if name.startswith(incomplete)]


def results(context: typer.Context, incomplete: str) -> list[str]:
    """Results of the file on the command line that begin so, for completion."""
    return [name for name in _held(context) if name.startswith(incomplete)]


def surfaces(context: typer.Context, incomplete: str) -> list[str]:
    """Surfaces of the file on the command line that begin so, for completion."""
    return [name for name in results(context, incomplete) if name.startswith("surface/")]


def _held(context: typer.Context) -> list[str]:
    from landscape.base.files import groups, opened

    file = context.params.get("file")
    if file is None:  # not named yet
        return []
    try:
        with opened(file) as held:
            return sorted(groups(held))
    except (TypeError, OSError, ValueError):  # not there, or something else
        return []
