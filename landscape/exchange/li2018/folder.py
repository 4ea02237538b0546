"""Many files of the 2018 tool, found by kind and named so that those of one plane belong."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from landscape.base.files import SchemaError, expanded
from landscape.base.result import Result
from landscape.exchange.li2018 import arrays as raw
from landscape.exchange.li2018.arrays import FilePath
from landscape.exchange.li2018.reader import (
    Directions,
    read_directions,
    read_measured,
    read_projection,
)
from landscape.results.affine import Line, Plane
from landscape.results.profile import Profile
from landscape.results.surface import Surface

if TYPE_CHECKING:
    from torch import Tensor


def read_all(
    paths: Iterable[FilePath], *, state: Mapping[str, Tensor] | None = None
) -> dict[str, Result]:
    """Read files of the 2018 tool, and name the results so that those of one plane belong.

    Args:
        paths: Surfaces, lines, projected trajectories and directions, in any order, or folders
            of them. Directions given along with their surface tell its geometry.
        state: The network's state dict; needed where directions are to become planes.

    Returns:
        Group names (``surface/pca``, ``projection/pca/NAME``, ``line/random``, ...) to results;
        a second surface on one plane is ``surface/pca/30x30``; planes of several networks are
        called ``pca-NETWORK``. A warning names the files that could not be read.

    Raises:
        SchemaError: If no file can be read; each says why.
    """
    kinds: dict[Path, str] = {}
    broken: list[str] = []
    for path in _files(paths):
        with _collected(broken):
            kinds[path] = raw.kind_of(path)
    given: dict[tuple[str, str], Directions] = {}
    for path in (p for p, kind in kinds.items() if kind == "directions"):
        with _collected(broken):
            given[raw.directions_of(path)] = path if state is None else read_directions(path, state)
    planes = _plane_names(kinds)
    found: dict[str, Result] = {}
    for path, kind in kinds.items():
        key = raw.directions_of(path)
        known = given.get(key)
        with _collected(broken):
            if kind == "projection":
                result = read_projection(path, directions=known)
                name = f"projection/{planes[key]}/{result.name}"
            elif kind == "measured":
                result = read_measured(path, directions=known)
                name = f"{'surface' if isinstance(result, Surface) else 'line'}/{planes[key]}"
            elif isinstance(known, Plane | Line):
                result = known
                name = f"{'plane' if isinstance(known, Plane) else 'direction'}/{planes[key]}"
            else:
                continue
            if name in found and isinstance(result, Surface):
                name += f"/{len(result.alpha)}x{len(result.beta)}"
            elif name in found and isinstance(result, Profile):
                name += f"/{len(result.alpha)}"
            found[_unused(name, found)] = result
    if broken and not found:
        raise SchemaError(" ".join(broken))
    if broken:
        warnings.warn(f"Left out: {' '.join(broken)}", stacklevel=2)
    if not found:
        raise SchemaError("Directions alone are no result; give their surface or a checkpoint too.")
    return found


def _files(paths: Iterable[FilePath]) -> Iterator[Path]:
    """The files, and those in folders."""
    for path in map(expanded, paths):
        yield from sorted(p for p in path.glob("*.h5*") if p.is_file()) if path.is_dir() else [path]


def _plane_names(paths: Iterable[Path]) -> dict[tuple[str, str], str]:
    """What each plane or line is called: its kind and, to tell several apart, its network."""
    of_kind: dict[str, dict[tuple[str, str], str]] = {}
    for path in paths:
        kind = raw.settings(path)["kind"].lower()
        of_kind.setdefault(kind, {})[raw.directions_of(path)] = raw.network_of(path)
    names: dict[tuple[str, str], str] = {}
    for kind, networks in of_kind.items():
        for key, network in networks.items():
            name = kind if len(networks) == 1 else f"{kind}-{network}"
            names[key] = _unused(name, names.values())
    return names


@contextlib.contextmanager
def _collected(broken: list[str]) -> Iterator[None]:
    try:
        yield
    except SchemaError as error:
        broken.append(str(error))


def _unused(name: str, taken: Iterable[str]) -> str:
    known = set(taken)
    numbered = (f"{name}-{n}" for n in range(2, len(known) + 3))
    return name if name not in known else next(n for n in numbered if n not in known)
