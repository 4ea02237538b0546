"""What was measured of the runs that are watched: the files of results beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from landscape.base.files import SchemaError
from landscape.base.result import Result
from landscape.explorer.content import page_content
from landscape.live.follower import Follower
from landscape.results.path import PathMetrics
from landscape.results.registry import load_results
from landscape.results.surface import Surface


class Measured:
    """Results of watched runs, read again when a file changes; `RUN.results.h5` beside `RUN.h5`."""

    def __init__(self) -> None:
        self._known: dict[Path, tuple[int, dict[str, Result]]] = {}

    def version(self, followers: Sequence[Follower]) -> tuple[int, ...]:
        """Changes when one of the files does."""
        return tuple(_changed(results_of(follower.path)) for follower in followers)

    def content(self, followers: Sequence[Follower], names: Sequence[str]) -> dict[str, Any]:
        """What the page shows, in which the runs are laid out but hold no numbers yet.

        The numbers of the recorder come by themselves; so metrics of paths are left out.
        """
        sources: dict[str, dict[str, Result]] = {
            "": {
                f"path/{n}": _blank(f, name)
                for n, (f, name) in enumerate(zip(followers, names, strict=True))
            }
        }
        for follower, name in zip(followers, names, strict=True):
            found = self._results(results_of(follower.path))
            stem = follower.path.stem
            alone = [f.path.stem for f in followers].count(stem) == 1
            sources[stem if alone else str(follower.path.with_suffix(""))] = {
                key: _named(result, follower.name, name)
                for key, result in found.items()
                if not isinstance(result, PathMetrics) and not key.startswith("unfinished/")
            }
        try:
            content = page_content(sources)
        except ValueError:  # results that do not go together on one page
            content = page_content({"": sources[""]})
        for run in content["runs"]:
            run["path"] = None
        content["sources"] = [s for s in content["sources"] if s["kind"] != "PathMetrics"]
        return content

    def surface_on(self, followers: Sequence[Follower], plane: str) -> tuple[Follower, str]:
        """The run and the name of a surface that was measured on the plane of this fingerprint.

        Raises:
            ValueError: If there is none.
        """
        for follower in followers:
            for key, result in self._results(results_of(follower.path)).items():
                known = isinstance(result, Surface) and result.provenance.get("plane_hash") == plane
                if known and plane and not key.startswith("unfinished/"):
                    return follower, key
        raise ValueError("No surface is on this plane any more; ask again on one that is shown.")

    def _results(self, path: Path) -> dict[str, Result]:
        changed = _changed(path)
        if self._known.get(path, (0, {}))[0] != changed:
            try:
                self._known[path] = (changed, load_results(path))
            except (SchemaError, OSError):  # not of this package, or just being replaced
                self._known[path] = (changed, {})
        return self._known[path][1] if changed else {}


def results_of(run: Path) -> Path:
    """Where the results of a run are saved."""
    return run.with_name(f"{run.stem}.results.h5")


def _changed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _blank(follower: Follower, name: str) -> PathMetrics:
    nothing = np.full(1, np.nan)
    return PathMetrics(
        name=name, optimizer=follower.optimizer, step=np.zeros(1, np.int64), update_norm=nothing,
        cosine=nothing, cosine_to_final=nothing, distance=nothing, path_length=nothing,
        losses=nothing, learning_rate=nothing,
    )  # fmt: skip


def _named(result: Any, recorded: str, shown: str) -> Any:
    """A result of a run under the name that the run has on the page."""
    same = recorded != shown and getattr(result, "name", None) == recorded
    return replace(result, name=shown) if same else result
