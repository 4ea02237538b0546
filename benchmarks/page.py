"""What a page costs in Chromium: size, time until it is ready, a slider step, frames, memory.

    python benchmarks/page.py PAGE.html ...        pages of your own
    python benchmarks/page.py --large OUT.html     writes and measures 12 runs of 5,000 steps over
                                                   three surfaces of 101 x 101 points

Needs playwright and Chromium (from ``$CHROMIUM`` or the path). Times are CPU times of the page's
main thread, by Chromium's own counters; frames are the intervals between the callbacks that the
browser gives a page while it plays, so they count everything: this thread, the renderer, the
screen. Where WebGL runs in software the renderer's name says so.
"""

from __future__ import annotations

import argparse
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Page, sync_playwright

RENDERER = """() => { const gl = document.createElement('canvas').getContext('webgl2');
  const info = gl?.getExtension('WEBGL_debug_renderer_info');
  return gl ? gl.getParameter(info ? info.UNMASKED_RENDERER_WEBGL : gl.RENDERER) : 'no WebGL'; }"""
REST = """async () => { explorer.cancelFirstLook?.(); explorer.player?.stop();
  const frame = () => new Promise(requestAnimationFrame); await frame(); await frame();
  await Promise.all(explorer.lands.map((l) => l.drawing)); }"""
PLAY = """async (seconds) => { const times = [];
  explorer.setState({ step: explorer.firstStep ?? 0 });
  await new Promise(requestAnimationFrame);
  explorer.player.play();
  await new Promise((done) => { const look = (now) => { times.push(now);
    if (now - times[0] < 1000 * seconds && explorer.player.isPlaying()) requestAnimationFrame(look);
    else done(); }; requestAnimationFrame(look); });
  explorer.player.stop(); return times; }"""


class Counters:
    """Chromium's counters of one page."""

    def __init__(self, page: Page) -> None:
        self.session = page.context.new_cdp_session(page)
        self.session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def now(self) -> dict[str, float]:
        metrics = self.session.send("Performance.getMetrics")["metrics"]
        return {metric["name"]: metric["value"] for metric in metrics}

    def busy(self) -> float:
        """Milliseconds of CPU that the main thread has used."""
        return 1e3 * self.now()["TaskDuration"]

    def heap(self) -> float:
        """Megabytes of live JavaScript objects."""
        self.session.send("HeapProfiler.collectGarbage")
        return self.now()["JSHeapUsedSize"] / 1e6


def measured(
    browser: Any, address: str, size: tuple[int, int], view: str, count: int
) -> dict[str, str]:
    """One page at one size in one view, `count` steps of its slider."""
    context = browser.new_context(
        offline=True, viewport={"width": size[0], "height": size[1]}, has_touch=size[0] < 900
    )
    page = context.new_page()
    counters = Counters(page)
    before = counters.busy()
    page.goto(f"{address}#view={view}&step=1")
    page.wait_for_selector("html[data-ready]", timeout=120_000)
    ready = counters.busy() - before
    page.evaluate(REST)
    times = page.evaluate(PLAY, 6)
    frames = np.diff(times[3:])
    page.evaluate(REST)
    last = int(page.evaluate("Number(document.getElementById('step').max)"))
    for step in range(10):
        page.evaluate("step => explorer.setState({step})", step)
        page.evaluate(REST)
    costs, still, heaps = [], [], [counters.heap()]
    for k in range(count):
        step = 1 + (k * max(1, last // 300)) % (last - 1)
        start = counters.busy()
        page.evaluate("step => explorer.setState({step})", step)
        page.evaluate(REST)
        costs.append(counters.busy() - start)
        start = counters.busy()
        page.evaluate("step => explorer.setState({step})", step)  # nothing changes
        page.evaluate(REST)
        still.append(counters.busy() - start)
        if k + 1 in (count // 2, count):
            heaps.append(counters.heap())
    context.close()
    return {
        "ready": f"{ready / 1e3:.2f} s",
        "slider step": f"{np.median(costs):.1f} ms ({np.percentile(costs, 90):.1f}), of which "
        f"measuring {np.median(still):.1f}",
        "frames": f"{np.median(frames):.1f} ms, 95 % within {np.percentile(frames, 95):.1f} ms, "
        f"{100 * np.mean(frames <= 20):.0f} % within 20 ms",
        "heap": ", ".join(f"{heap:.2f}" for heap in heaps) + " MB before, half through, after",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pages", nargs="*", type=Path)
    parser.add_argument("--large", type=Path, help="write the large page here and measure it")
    parser.add_argument("--size", default="1440x900", help="of the window, in CSS pixels")
    parser.add_argument("--steps", type=int, default=500, help="of the slider that are timed")
    args = parser.parse_args()
    if args.large:
        args.pages.append(large_page(args.large))
    width, height = (int(part) for part in args.size.split("x"))
    chromium = shutil.which(os.environ.get("CHROMIUM", "chromium"))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        blank = browser.new_page()
        print(f"Chromium {browser.version}, {blank.evaluate(RENDERER)}, {width} x {height}")
        for path in args.pages:
            print(f"{path.name}: {path.stat().st_size / 1e6:.2f} MB")
            for view in ("contour", "3d"):
                size, address = (width, height), path.resolve().as_uri()
                found = measured(browser, address, size, view, args.steps)
                for name, text in found.items():
                    print(f"  {view:8} {name:12} {text}")
        browser.close()


def large_page(out: Path) -> Path:
    """Twelve made-up runs of 5,000 steps on three made-up surfaces of 101 x 101 points."""
    import landscape as ls
    from landscape.results.path import PathMetrics
    from landscape.results.projection import Projection
    from landscape.results.surface import Surface

    def loss(x: Any, y: Any) -> Any:
        return 0.05 + 0.4 * (x - 1) ** 2 + 0.15 * (y + 0.5) ** 2 + 0.3 * np.exp(0.4 * x)

    x, y = np.linspace(-2, 3, 101), np.linspace(-2, 2, 101)
    noise, results = np.random.default_rng(0), {}
    for plane in "abc":
        values = loss(x[None, :], y[:, None]) * (1 + 0.02 * noise.standard_normal((101, 101)))
        results[f"surface/{plane}"] = Surface(
            alpha=x, beta=y, metrics=("loss",), values=values[None],
            standard_error=np.full((1, 101, 101), 0.01), computed=np.ones((101, 101), bool),
            gram=np.eye(2), labels=("PC 1", "PC 2"), settings={"kind": "joint PCA"},
            provenance={"plane_hash": plane * 16},
        )  # fmt: skip
    step = np.arange(5001)
    t = step / 5000
    for k in range(12):
        wander = np.cumsum(noise.standard_normal((2, 5001)), axis=1) / 700
        places = np.stack([-1.5 + 2.3 * t, 1.5 * np.cos(0.1 * k + 2 * t) * (1 - t)]) + wander
        at = 1.1 * loss(*places)
        results[f"projection/a/{k}"] = Projection(
            name=f"run {k}", optimizer="", step=step, coordinates=places.T, residual=0.5 * t,
            loss=at, in_plane_loss=loss(*places), shown=0.9, provenance={"plane_hash": "a" * 16},
        )  # fmt: skip
        cosine = np.cos(3 * t + noise.standard_normal(5001) / 9)
        results[f"path/{k}"] = PathMetrics(
            name=f"run {k}", optimizer="", step=step, update_norm=0.1 + t, cosine=cosine,
            cosine_to_final=cosine, distance=np.sqrt(t), path_length=2 * t,
            losses=at * np.exp(0.2 * noise.standard_normal(5001)),
            learning_rate=np.full(5001, 0.01),
        )  # fmt: skip
    return ls.explore(results, out, title="Twelve runs, 5,000 steps")


if __name__ == "__main__":
    main()
