"""What the figure scripts share; run alone, it writes the gallery page figures/README.md."""

from __future__ import annotations

import argparse
import ast
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

import landscape as ls
from landscape.plots.save import save_figure
from landscape.store import Result

ROOT = Path(__file__).parent.parent
STARTED = time.perf_counter()


class Setting:
    """The command line of a figure script: full size, or the smallest with ``--smoke``.

    Full results are kept in ``data/NAME.results.h5`` and used again; smoke runs leave nothing in
    ``figures/`` and ``data/``.
    """

    def __init__(self, name: str, description: str | None) -> None:
        parser = argparse.ArgumentParser(description=description)
        parser.add_argument("--smoke", action="store_true", help="smallest setting, seconds")
        self.smoke: bool = parser.parse_args().smoke
        self.name = name
        below = ROOT / "data" / "smoke" if self.smoke else ROOT
        self.data, self.figures = below / "data" / name, below / "figures"
        self.file = self.data / f"{name}.results.h5"
        self.results: dict[str, Any] = {}
        if self.file.exists() and not self.smoke:
            self.results = ls.load_results(self.file)
            print(f"{self.file} is used again; delete it to measure anew.")

    def measured(self, name: str, measure: Callable[[], Result]) -> Any:
        """The result called `name`: the kept one, or a new one from `measure`."""
        if name not in self.results:
            self.results[name] = measure()
            self.results[name].save(self.file, name)
        return self.results[name]

    def run(self, task: str, optimizer: str, **options: Any) -> ls.Trajectory:
        """A recorded run, made when it is not there yet; options as for `Run`."""
        label = "-".join([optimizer, *(f"{k}{v}" for k, v in options.items() if k != "name")])
        path = self.data / f"{task.replace('/', '-')}-{label}.h5"
        if not path.exists() or self.smoke:
            ls.record_run(ls.Run(task, optimizer, **options), path, overwrite=True)
        return ls.Trajectory(path)

    def save(
        self, figure: Figure, caption: str, *, results: Mapping[str, Result] | None = None
    ) -> None:
        """Write the figure as PNG and PDF, and its caption beside them."""
        for kind in ("png", "pdf"):
            path = self.figures / f"{self.name}.{kind}"
            shown = self.results if results is None else results
            save_figure(figure, path, results=shown, title=caption, transparent=False)
            print(path)
        seconds = time.perf_counter() - STARTED
        (self.figures / f"{self.name}.txt").write_text(f"{caption}\n")
        print(f"{caption}\n{seconds:.0f} s")


def main() -> None:
    """Write figures/README.md from the scripts' first lines and the figures' captions."""
    page = [
        "# Gallery",
        "",
        "Each figure comes from one script, with the numbers it was drawn from in its caption. "
        "`python scripts/NAME.py` measures and draws it again, `--smoke` in seconds at the "
        "smallest setting.",
    ]
    for script in sorted((ROOT / "scripts").glob("fig_*.py")):
        name = script.stem
        caption = ROOT / "figures" / f"{name}.txt"
        if caption.exists():
            what = ast.get_docstring(ast.parse(script.read_text())) or ""
            page += ["", f"## {name}", "", f"![{name}]({name}.png)", "", what, ""]
            page += [caption.read_text().strip()]
            page += ["", f"`python scripts/{name}.py` · [PDF]({name}.pdf)"]
    (ROOT / "figures" / "README.md").write_text("\n".join(page) + "\n")


if __name__ == "__main__":
    main()
