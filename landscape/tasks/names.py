"""Names of models: a base and options after dashes, as in ``resnet56-noskip``."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from functools import partial
from typing import Any

from torch import nn

from landscape.tasks.models import ACTIVATIONS, conv, lenet, mlp
from landscape.tasks.resnet import resnet
from landscape.tasks.task import Data
from landscape.tasks.transformers import gpt, vit
from landscape.tasks.vgg import vgg

Builder = Callable[..., nn.Module]

IMAGE_MODELS: dict[str, Builder] = {
    "mlp": mlp,
    "conv": conv,
    "lenet": lenet,
    "vgg9": partial(vgg, depth=9),
    "vgg11": partial(vgg, depth=11),
    "resnet20": partial(resnet, depth=20),
    "resnet56": partial(resnet, depth=56),
    "resnet110": partial(resnet, depth=110),
    "vit": vit,
}
TEXT_MODELS: dict[str, Builder] = {"gpt": gpt}
POINT_MODELS: dict[str, Builder] = {"mlp": mlp}

OPTIONS: dict[str, dict[str, Any]] = {
    "noskip": {"shortcut": "none"},
    "padding": {"shortcut": "padding"},
    "bn": {"batch_norm": True},
    "nobn": {"batch_norm": False},
    **{name: {"activation": name} for name in ACTIVATIONS},
}
HELP = (
    "options follow after dashes: noskip, padding (resnet), bn, nobn (mlp, vgg), "
    f"{', '.join(ACTIVATIONS)} (mlp, lenet), w32 for a width of 32 (resnet, vit, gpt), numbers for "
    "the hidden widths of mlp; for example resnet20-noskip-w8, mlp-256-128-relu-bn"
)


def find_model(name: str, models: dict[str, Builder]) -> Callable[[Data], nn.Module]:
    """The builder that `name` stands for, with its options.

    Args:
        name: Such as ``mlp-256-128-relu-bn``, ``resnet56-noskip``, ``resnet20-w32``.
        models: Base names that are allowed.

    Raises:
        ValueError: If the base or an option is unknown, or the model does not take the option.

    >>> find_model("mlp-8-bn", IMAGE_MODELS).keywords
    {'batch_norm': True, 'widths': [8]}
    """
    base, *words = name.split("-")
    if base not in models:
        raise ValueError(f"model must be one of {', '.join(models)} for this data; not {base!r}.")
    options: dict[str, Any] = {}
    widths: list[int] = []
    for word in words:
        if word in OPTIONS:
            options.update(OPTIONS[word])
        elif re.fullmatch(r"w[1-9]\d*", word):
            options["width"] = int(word[1:])
        elif re.fullmatch(r"[1-9]\d*", word):
            widths.append(int(word))
        else:
            raise ValueError(f"{name}: unknown option {word!r}; {HELP}.")
    if widths:
        options["widths"] = widths
    allowed = inspect.signature(models[base]).parameters
    refused = [option for option in options if option not in allowed]
    if refused:
        raise ValueError(f"{name}: {base} takes no option {', '.join(refused)}; {HELP}.")
    return partial(models[base], **options)
