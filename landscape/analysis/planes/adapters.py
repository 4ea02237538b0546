"""Lines and planes of low-rank adapters, W + s · B A (Hu et al. 2022, arXiv:2106.09685).

Adapters are known by the names of their tensors, ``lora_A`` and ``lora_B``, as peft and loralib
have them; neither is needed. The adapter's own space is that of A and B, a few numbers, and the
base stays where it is.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from landscape.analysis.planes.random import Normalization, random_plane
from landscape.base.layout import Entry, Layout
from landscape.base.names import plain_name
from landscape.base.vector import Vector
from landscape.results.affine import Line, Plane, affine
from landscape.results.construction import Construction

if TYPE_CHECKING:
    from landscape.objective.objective import Objective

_UP = re.compile(r"(?:^|\.)lora_(?:embedding_)?B(?=\.|$)")
_MAGNITUDE = re.compile(r"(?:^|\.)lora_magnitude_vector(?=\.|$)")


def adapter_line(model: nn.Module, *, adapter: str | None = None) -> Line:
    """The line from the base model (0) to the adapted one (1): the weights W + α s B A.

    Beyond 1 the adapter is exaggerated, below 0 reversed. It is the line (A, α B) in the space of
    the trainable parameters: linear in the weights, exact at both ends, and no weight of the base
    is touched. Modules that were trained as a whole beside it (``modules_to_save``) go from the
    base's values to the trained ones.

    Args:
        model: With its adapter in place and trainable, and not merged.
        adapter: Its name, where the model has several; default: all trainable ones together.

    Returns:
        The line, for `loss_line(objective, line, extent=(-0.5, 1.5))`.

    Raises:
        ValueError: If there is no trainable adapter, or it is merged, or it has trained something
            else (the magnitudes of DoRA), or does nothing yet (B = 0).

    >>> class Adapted(nn.Module):  # 3 x + 2 · 0.5 x, with an adapter as loralib makes it
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.weight = nn.Parameter(torch.full((1, 1), 3.0), requires_grad=False)
    ...         self.lora_A = nn.Parameter(torch.full((1, 1), 0.5))
    ...         self.lora_B = nn.Parameter(torch.full((1, 1), 2.0))
    ...     def forward(self, x):
    ...         return x @ self.weight.T + x @ self.lora_A.T @ self.lora_B.T
    >>> line = adapter_line(Adapted())
    >>> line.origin.tolist(), line.directions.tolist()
    ([0.5, 0.0], [[0.0, 2.0]])
    """
    layout = Layout.of(model)
    up = _up(model, layout, adapter)
    _check_apart(model)
    named = dict(model.named_parameters())
    double = any(parameter.dtype == torch.float64 for parameter in named.values())
    start, end = np.zeros((2, layout.size), np.float64 if double else np.float32)
    saved = dict(_replaced(model))
    for entry in layout:
        own = _flat(named[entry.name])
        end[entry.slice] = own
        if entry in up:
            continue
        base = saved.get(id(named[entry.name]))
        start[entry.slice] = own if base is None else _flat(base)
    if not (end - start).any():
        raise ValueError(
            "The adapter does nothing yet (B = 0), so there is no line from the base to it; train "
            "it first, or take adapter_plane for a surface around it."
        )
    made = Construction(kind="adapter", adapter=adapter or "all", normalization="none")
    labels = ["α, of W + α·BA"]
    return Line(**affine(Vector(start, layout), [end - start], labels, made.settings()))


def adapter_plane(
    objective: Objective, *, seed: int = 0, normalization: Normalization = "filter"
) -> Plane:
    """Two random directions in the space of the adapter's own parameters, A and B.

    As `random_plane`, but a fresh adapter (B = 0), of which a normalized direction would move
    nothing, moves too: such a B gets the norm of its A, shared evenly among its filters.

    Args:
        objective: Of a model with a trainable adapter.
        seed: Seed of the directions.
        normalization: ``filter`` or ``layer``, as for `random_plane`.

    Raises:
        ValueError: If there is no trainable adapter, or it is merged.

    >>> import landscape as ls
    >>> class Fresh(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.lora_A, self.lora_B = nn.Linear(3, 2, False), nn.Linear(2, 3, False)
    ...         nn.init.zeros_(self.lora_B.weight)
    ...     def forward(self, x):
    ...         return x + self.lora_B(self.lora_A(x))
    >>> objective = ls.Objective(Fresh(), lambda m, b: m(b).square().mean(1), torch.ones(8, 3))
    >>> plane = adapter_plane(objective)
    >>> bool((plane.directions != 0).all()), plane.settings["fresh"]
    (True, 1)
    """
    layout, model = objective.layout, objective.model
    up = _up(model, layout, None)
    _check_apart(model)
    centre = objective.parameters()
    size, fresh = np.array(centre), []
    for entry in up:
        if not size[entry.slice].any():
            down = _down(entry, layout)
            norm = np.linalg.norm(size[down.slice].astype(np.float64))
            size[entry.slice] = norm / np.sqrt(entry.size)
            fresh.append(entry.name)
    plane = random_plane(size, layout, seed=seed, normalization=normalization)
    made = Construction(kind="random, of an adapter", fresh=len(fresh))
    settings = {**plane.settings, **made.settings()}
    return replace(plane, origin=Vector(np.asarray(centre), layout), settings=settings)


def merged_space(model: nn.Module) -> nn.Module:
    """The same model with the weights that its adapter changes as its parameters.

    Around W + s B A, which is what the adapted model computes with, the loss may be sharp where it
    is flat in A and B (Li et al. 2025, arXiv:2409.14396). A surface of the model that is returned
    moves W by directions in the whole space while B A stays, so it is the one around the merged
    weights. All tensors are the given model's own: nothing is copied, nor is the model changed.

    Args:
        model: With its adapter in place, and not merged.

    Returns:
        A model for `Objective`; its trainable parameters are the base weights under the adapter.

    Raises:
        ValueError: If there is no adapter over weights in floating-point numbers, or it is merged.

    >>> class Adapted(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.base_layer = nn.Linear(3, 3).requires_grad_(False)
    ...         self.lora_A, self.lora_B = nn.Linear(3, 2, False), nn.Linear(2, 3, False)
    >>> [name for name, p in merged_space(Adapted()).named_parameters() if p.requires_grad]
    ['base_layer.weight']
    """
    _check_apart(model)
    bases = {id(weight) for weight in _bases(model)}
    if not bases:
        raise ValueError(
            "The model has no adapter (lora_A and lora_B) over weights in floating-point numbers, "
            "so there are no merged weights to move."
        )
    memo: dict[int, Any] = {id(buffer): buffer for buffer in model.buffers()}
    for parameter in model.parameters():
        real = parameter.is_floating_point()
        memo[id(parameter)] = (
            nn.Parameter(parameter.data, requires_grad=id(parameter) in bases)
            if real
            else parameter
        )
    return copy.deepcopy(model, memo)


def _up(model: nn.Module, layout: Layout, adapter: str | None) -> list[Entry]:
    """The trainable tensors B, of one adapter or of all."""
    found = [entry for entry in layout if _UP.search(entry.name)]
    if adapter is not None:
        mine = [entry for entry in found if adapter in entry.name.split(".")]
        if found and not mine:
            raise ValueError(f"No trainable adapter is called {adapter!r} ({found[0].name}, …).")
        found = mine
    if not found:
        frozen = any(_UP.search(name) for name, _ in model.named_parameters())
        raise ValueError(
            "The adapter is not trainable; load it with is_trainable=True, or call "
            "requires_grad_(True) on its tensors."
            if frozen
            else "The model has no adapter: no parameter is called lora_B."
        )
    if any(_MAGNITUDE.search(entry.name) for entry in layout):
        raise ValueError(
            "The adapter has trained magnitudes too (DoRA), so its weights are not W + α·BA; take "
            "a line between its states (line_between), or a random plane."
        )
    return found


def _check_apart(model: nn.Module) -> None:
    """Refuse adapters that were added to the weights already."""
    for name, module in model.named_modules():
        if getattr(module, "merged", False) is True:
            raise ValueError(f"The adapter is merged into the weights ({name}); call unmerge().")


def _down(entry: Entry, layout: Layout) -> Entry:
    """The tensor A that belongs to a tensor B."""
    wanted = _UP.sub(lambda found: f"{found[0][:-1]}A", entry.name)
    found = next((other for other in layout if other.name == wanted), None)
    if found is None:
        raise ValueError(f"{entry.name} is trainable, and {wanted} is not; let both be.")
    return found


def _replaced(model: nn.Module) -> Iterator[tuple[int, Tensor]]:
    """Parameters that were trained as a whole, by identity, and what the base has instead."""
    for module in model.modules():
        original, saved = (getattr(module, n, None) for n in ("original_module", "modules_to_save"))
        if isinstance(original, nn.Module) and isinstance(saved, nn.ModuleDict):
            base = dict(original.named_parameters())
            for trained in saved.values():
                for name, parameter in trained.named_parameters():
                    if plain_name(name) in base:
                        yield id(parameter), base[plain_name(name)]


def _bases(model: nn.Module) -> Iterator[Tensor]:
    """Weights under an adapter."""
    for module in model.modules():
        if not any(_has(module, name) for name in ("lora_B", "lora_embedding_B")):
            continue
        base = getattr(module, "base_layer", module)
        weight = getattr(base, "weight", None)
        if isinstance(weight, nn.Parameter) and weight.is_floating_point():
            yield weight


def _has(module: nn.Module, name: str) -> bool:
    found = getattr(module, name, None)
    return isinstance(found, Tensor) or (
        isinstance(found, nn.Module) and any(True for _ in found.parameters())
    )


def _flat(parameter: Tensor) -> np.ndarray:
    found = parameter.detach().cpu().reshape(-1)
    return (found if found.dtype == torch.float64 else found.float()).numpy()
