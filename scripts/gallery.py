"""What the figure scripts share; run alone, it writes the gallery page figures/README.md.

``python scripts/gallery.py --again`` makes the whole set anew, from nothing: it runs every figure
script in a folder of its own, ``data/again`` or the one of ``--data``, and says what each took.
Ctrl-C keeps what is done, and a script that fails is named and stops no other: the same command
goes on. Only when all are done do their figures take the place of those in ``figures/``. The hero
is measured from fewer points and images, and the figure that is there stays, unless ``--units``
names a folder of units of ``fig_landscape_hero.py --full``: that takes hours.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image
from PIL.PngImagePlugin import PngInfo

import landscape as ls
from landscape.base.result import Result
from landscape.base.runs.trajectory import NoStateError
from landscape.plots.latex import latex
from landscape.plots.room import touching
from landscape.plots.save import save_figure
from landscape.plots.venues import LEAST, SHEETS

ROOT = Path(__file__).parent.parent
LARGEST = 300_000  # bytes of a committed picture
VENUE = "neurips"
HERO = "fig_landscape_hero"
STARTED = time.perf_counter()


class Script:
    """One figure script: its command line, its recorded runs, its results and its figure.

    Runs and results are kept in ``data/gallery/`` and used again; delete them to measure anew.
    With ``--data`` they are in another folder, and the figures in its ``figures/``. With
    ``--smoke`` everything is tiny and goes to ``data/smoke/`` instead.

    Args:
        name: Name of the figure.
        description: For ``--help``.
        parser: One with more options, which `args` then holds.
    """

    def __init__(
        self, name: str, description: str | None, parser: argparse.ArgumentParser | None = None
    ) -> None:
        parser = parser or argparse.ArgumentParser()
        parser.description = description
        parser.add_argument("--smoke", action="store_true", help="smallest setting, seconds")
        parser.add_argument("--data", type=Path, metavar="DIR", help="measure, keep and draw there")
        parser.add_argument(
            "--seeds", type=int, default=5, metavar="N",
            help="repeats of each run, where a figure compares runs (default: 5)",
        )  # fmt: skip
        self.args = args = parser.parse_args()
        self.smoke: bool = args.smoke
        self.seeds = range(2 if args.smoke else args.seeds)
        self.name = name
        self.new = False  # whether anything was recorded or measured
        self.before = ""  # what was there of it, to be said where the time is
        self.data = args.data or ROOT / "data" / ("smoke" if self.smoke else "gallery")
        self.figures = self.data if self.smoke else (args.data or ROOT) / "figures"
        self.file = self.data / f"{name}.results.h5"
        if self.smoke:
            self.file.unlink(missing_ok=True)
        self.results: dict[str, Any] = ls.load_results(self.file) if self.file.exists() else {}

    def task(self, model: str, *, images: int = 5000, seed: int = 0) -> tuple[str, ls.Task]:
        """The first `images` of Fashion-MNIST with a new model; digits where they are absent."""
        try:
            name = f"{'digits' if self.smoke else 'fashion-mnist'}/{model}"
            task = ls.load_task(name, seed=seed)
        except FileNotFoundError as error:
            print(f"{error}\nUsing digits instead.")
            name = f"digits/{model}"
            task = ls.load_task(name, seed=seed)
        train = tuple(part[:images] for part in task.train)
        return f"{name}, {len(train[0])} images", replace(task, train=train)

    def objective(self, model: str, *, images: int = 5000, **options: Any) -> ls.Objective:
        """The loss on the images that `run` trains on."""
        name, task = self.task(model, images=images)
        if self.smoke:
            options["samples"] = 32
        options.setdefault("metrics", task.metrics)
        settings = {"task": name}
        return ls.Objective(task.model, task.loss, task.train, settings=settings, **options)

    def run(
        self, model: str, optimizer: str, *, images: int = 5000, steps: int, **options: Any
    ) -> ls.Trajectory:
        """A recorded run, made when it is not there yet; options as for `Run`.

        The seed is that of the weights at the start and of the order of the data.
        """
        task = self.task(model, images=images, seed=options.get("seed", 0))
        return self.run_on(*task, optimizer, steps=steps, **options)

    def repeats(self, model: str, optimizer: str, **options: Any) -> list[ls.Trajectory]:
        """The same run from every seed."""
        first = [self.run(model, optimizer, **options)]  # seed 0, as other figures use it
        return first + [self.run(model, optimizer, seed=s, **options) for s in self.seeds[1:]]

    def run_on(
        self, name: str, task: ls.Task, optimizer: str, /, *, steps: int, **options: Any
    ) -> ls.Trajectory:
        """The same on a task of one's own, from its model as it stands."""
        steps = min(steps, 12) if self.smoke else steps
        told = [f"{key}={value}" for key, value in options.items() if key != "name"]
        label = "-".join([name, optimizer, f"steps={steps}", *told])
        path = self.data / f"{re.sub(r'[^A-Za-z0-9.=]+', '-', label).strip('-')}.h5"
        if not is_recorded(path):
            self.new = True
            run = ls.Run(name, optimizer, steps=steps, **options)
            ls.record_run(run, path, task=task, overwrite=True)
        return ls.Trajectory(path)

    def measured(self, name: str, measure: Callable[[], Result]) -> Any:
        """The result called `name`: the kept one, or a new one from `measure`."""
        if name not in self.results:
            self.new = True
            measure().save(self.file, name)
            self.results = ls.load_results(self.file)
        return self.results[name]

    def save(self, figure: Figure, caption: str, *, table: str = "") -> None:
        """Write the figure as PNG and PDF, and its caption beside them, with a table if given.

        Raises:
            ValueError: If a reviewer would send it back; see `faults`.
        """
        found = faults(figure)
        if self.smoke:  # ticks of toy data may touch
            found = [fault for fault in found if not fault.endswith(" touch")]
        if found:
            raise ValueError(f"{self.name}: {'; '.join(found)}.")
        for kind in ("png", "pdf"):
            path = self.figures / f"{self.name}.{kind}"
            with ls.style(VENUE):  # fonts are found when a figure is written
                save_figure(figure, path, results=self.results, title=caption)
            if kind == "png" and path.stat().st_size > LARGEST:
                reduce_colors(path)
        text = self.figures / f"{self.name}.txt"
        took = f"Took {time.perf_counter() - STARTED:.0f} s{self.before}."
        if not self.new and text.exists():  # only drawn again: what measuring took stays true
            took = text.read_text().splitlines()[-1]
        parts = (caption, f"\n{table}\n", took) if table else (caption, took)
        text.write_text("\n".join(parts) + "\n")
        write_latex(text)
        print(f"{self.figures / self.name}.png\n{caption}\n{took}")


def is_recorded(path: Path) -> bool:
    """Whether there is a recording that came to its end; one that was cut short is no run."""
    if not path.exists():
        return False
    try:
        return ls.Trajectory(path).complete
    except NoStateError:
        return False


def write_latex(caption: Path) -> None:
    """Beside a caption, the LaTeX that includes its figure with its first paragraph."""
    said = caption.read_text().splitlines()[0]
    caption.with_suffix(".tex").write_text(latex(f"{caption.stem}.pdf", said))


def faults(figure: Figure) -> list[str]:
    """What is wrong with a figure as it is printed: too wide, too small, texts that touch.

    >>> figure = Figure(figsize=(7, 2))
    >>> label = figure.add_subplot().set_xlabel("PC 1 (90 % of variation)", fontsize=4)
    >>> for fault in faults(figure):
    ...     print(fault)
    7 in wide, the page has 5.5 in
    'PC 1 (90 % of variation)' has 4 pt, at least 6 pt are legible
    'PC 1 (90 % of variation)' does not say what a random walk has
    """
    found, widest = [], SHEETS[VENUE].widths[1]
    if (width := figure.get_size_inches()[0]) > widest + 1e-6:
        found.append(f"{width:g} in wide, the page has {widest:g} in")
    for text in figure.findobj(Text):
        said, size = text.get_text().strip(), float(text.get_fontsize())
        if said and text.get_visible() and size < LEAST - 1e-6:
            found.append(f"{said!r} has {size:g} pt, at least {LEAST:g} pt are legible")
        if "of variation" in said and "random walk" not in said:
            found.append(f"{said!r} does not say what a random walk has")
    with ls.style(VENUE):
        for _ in range(2):  # the layout is solved before equal axes shrink
            figure.draw_without_rendering()
    return found + [f"{one!r} and {other!r} touch" for one, other in touching(figure)]


def reduce_colors(path: Path) -> None:
    """Write a PNG again with 256 colours; its texts are kept."""
    with Image.open(path) as image:
        texts, dots = PngInfo(), image.info["dpi"]
        for key in ("Title", "Software", "Description"):
            texts.add_itxt(key, str(image.info[key]))
        colors = image.convert("RGB")
        # Rare colours count as well; dithering wants a palette that is given.
        palette = colors.quantize(256, Image.Quantize.MAXCOVERAGE)
        reduced = colors.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG)
    reduced.save(path, pnginfo=texts, optimize=True, dpi=dots)


def main() -> None:
    """Write figures/README.md from the scripts' docstrings and the captions, and the LaTeX."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--smoke", action="store_true", help="make the page, do not write it")
    parser.add_argument("--again", action="store_true", help="first measure and draw all anew")
    parser.add_argument(
        "--data", type=Path, metavar="DIR", default=ROOT / "data" / "again",
        help="of --again: where to measure (default: data/again)",
    )  # fmt: skip
    parser.add_argument("--units", type=Path, metavar="DIR", help="of --again: the hero in full")
    args = parser.parse_args()
    if args.again:
        make_again(args.data.resolve(), args.units)
    page = make_page()
    if not args.smoke:
        (ROOT / "figures" / "README.md").write_text("\n".join(page) + "\n")
        for caption in (ROOT / "figures").glob("fig_*.txt"):
            if caption.with_suffix(".pdf").exists():
                write_latex(caption)


def make_again(folder: Path, units: Path | None = None) -> None:
    """Run every figure script in a folder, or go on where that stopped; then take its figures.

    Args:
        folder: A new one, or one where this was interrupted.
        units: Of the hero in full.

    Raises:
        SystemExit: If the folder holds other things, or a script failed: then no figure is taken.
    """
    done = folder / "again.json"  # what each script took so far, in seconds on the clock, of cores
    if not done.exists():
        if folder.exists() and any(folder.iterdir()):
            raise SystemExit(f"{folder} is not empty: delete it, or give --data another.")
        folder.mkdir(parents=True, exist_ok=True)
        done.write_text("{}")
    took: dict[str, list[float]] = json.loads(done.read_text())
    failed: list[str] = []
    for script in in_order():
        if script.stem in took:
            continue
        clock, cores = time.perf_counter(), _of_children()
        command = [sys.executable, f"scripts/{script.name}", "--data", _from_root(folder)]
        if units is not None and script.stem == HERO:
            command += ["--full", "--units", _from_root(units.resolve())]
        if (code := subprocess.run(command, cwd=ROOT).returncode) != 0:
            failed.append(script.stem)
            print(f"{script.stem}: failed with code {code}; the others go on", flush=True)
            continue
        took[script.stem] = [time.perf_counter() - clock, _of_children() - cores]
        done.write_text(json.dumps(took))
        print(f"{script.stem}: {took[script.stem][0]:.0f} s", flush=True)
    clock, cores = (sum(both[k] for both in took.values()) / 60 for k in (0, 1))
    said = f"{len(took)} scripts: {clock:.1f} min, of processor cores {cores:.1f} min."
    print(said)
    if failed:
        raise SystemExit(f"Failed: {', '.join(failed)}. The same command tries these again.")
    take_figures(folder / "figures", [name for name in took if units is not None or name != HERO])
    told = f"The whole set was last made anew in one command on {time.strftime('%Y-%m-%d')}: {said}"
    if units is None:
        told += f" {HERO} was then drawn from fewer points and images than the figure below."
    else:
        told += f" Most points of {HERO} were there from before, see its time."
    (ROOT / "figures" / "again.txt").write_text(told + "\n")
    done.unlink()


def in_order() -> list[Path]:
    """The figure scripts; those that build on another come last."""
    scripts = (ROOT / "scripts").glob("fig_*.py")
    return sorted(scripts, key=lambda path: ("\nfrom fig_" in path.read_text(), path.stem))


def take_figures(new: Path, names: list[str]) -> None:
    """Put the figures that were made anew in the place of those that are there."""
    for name in names:
        for file in new.glob(f"{name}.*"):
            shutil.copyfile(file, ROOT / "figures" / file.name)


def _from_root(folder: Path) -> str:
    """A folder as scripts are told of it: pictures hold their command, and nobody's home."""
    return str(folder.relative_to(ROOT) if folder.is_relative_to(ROOT) else folder)


def _of_children() -> float:
    """Seconds of processor cores that finished child processes used."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def make_page() -> list[str]:
    """The lines of the gallery page."""
    page = [
        "# Gallery",
        "",
        "Each figure comes from one script and has the numbers it shows in its caption. "
        "`python scripts/NAME.py` measures and draws it; `--smoke` does so in seconds at the "
        "smallest setting, and `python scripts/gallery.py --again` makes all of them anew. Times "
        "are those of one processor core, with work on the other. Figures are 5.5 inches wide "
        "and have no text below 6 points, and no text on another; beside each PDF lies its LaTeX, "
        "which pdfTeX sets at that width. Colours belong to optimizers and are the same "
        "everywhere. Surfaces are those of one seed.",
    ]
    if (again := ROOT / "figures" / "again.txt").exists():
        page += ["", again.read_text().strip()]
    for script in sorted((ROOT / "scripts").glob("fig_*.py")):
        name = script.stem
        caption = ROOT / "figures" / f"{name}.txt"
        if caption.exists():
            what = ast.get_docstring(ast.parse(script.read_text())) or ""
            film, still = ((ROOT / "figures" / f"{name}.{k}").exists() for k in ("gif", "pdf"))
            page += ["", f"## {name}", "", what, ""]
            page += [f"![{name}]({name}.{'gif' if film else 'png'})", ""]
            page += [*caption.read_text().strip().splitlines(), ""]
            files = f" · [PDF]({name}.pdf) · [LaTeX]({name}.tex)" if still else ""
            page += [f"`python scripts/{name}.py`{files}"]
    return page


if __name__ == "__main__":
    main()
