"""Pictures and a film of an explorer page, in Chromium: what the README shows, and what to look at.

    python scripts/page_pictures.py                     the quickstart's page, into figures/
    python scripts/page_pictures.py PAGE.html --all DIR every view, on four screens, in both themes

The film is the page's own clip (*Save*, *Clip*) while its camera moves, turned into a moving
picture by ffmpeg. Needs playwright, Chromium (from ``$CHROMIUM`` or the path) and ffmpeg.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

import landscape as ls
from landscape.explorer import build

ROOT = Path(__file__).parent.parent
SCREENS = [(390, 844), (1440, 900), (1920, 1080), (3840, 2160)]
VIEWS: dict[str, dict[str, Any]] = {
    "map": {},
    "terrain": {"view": "3d"},
    "talk": {"talk": "on"},
    "compare": {"compare": 1, "curves": "off"},  # as the button does
    "story": {"scene": 3, "curves": "on"},
}
REST = """async (patch) => { explorer.cancelFirstLook?.();
  const { scene, ...rest } = patch;
  if (scene === undefined) explorer.setState({ ...explorer.initial, ...rest });
  else { explorer.story.tell(scene); explorer.setState(rest); }
  const frame = () => new Promise(requestAnimationFrame); await frame(); await frame();
  await Promise.all(explorer.lands.map((land) => land.drawing)); await frame(); }"""
# The map for four seconds, then over into the terrain, which turns slowly.
FLIGHT = """async () => {
  const wait = (ms) => new Promise((done) => { setTimeout(done, ms); });
  await wait(4000);
  explorer.setState({ view: '3d' });
  await wait(1500);
  const [azimuth, elevation] = [explorer.lands[0].camera.azimuth, 38];
  for (const start = performance.now(); performance.now() - start < 6500; await wait(30)) {
    const t = (performance.now() - start) / 6500;
    explorer.setState({ camera: [azimuth + 30 * t * t * (3 - 2 * t), elevation, 1, 0, 0] });
  }
}"""


def opened(
    browser: Browser, page: Path, size: tuple[int, int], hash_: str = "", **more: Any
) -> Page:
    """The page in a window of its own, ready."""
    found = browser.new_context(
        offline=True,
        viewport={"width": size[0], "height": size[1]},
        has_touch=size[0] < 900,
        **more,
    )
    window = found.new_page()
    window.goto(f"{page.resolve().as_uri()}#{hash_}")
    window.wait_for_selector("html[data-ready]", timeout=120_000)
    return window


def pictures(browser: Browser, page: Path, folder: Path, screens: list[tuple[int, int]]) -> None:
    """Every view on every screen in both themes."""
    folder.mkdir(parents=True, exist_ok=True)
    for size in screens:
        window = opened(browser, page, size, "step=0", reduced_motion="reduce")
        for theme in ("light", "dark"):
            for name, view in VIEWS.items():
                step = window.evaluate("explorer.initial.step")
                window.evaluate(REST, {"theme": theme, "step": step, **view})
                window.screenshot(path=folder / f"{size[0]}-{theme}-{name}.png")
        window.context.close()


def still(browser: Browser, page: Path, out: Path, size: tuple[int, int]) -> None:
    """The first view in 256 colours, among them those of the runs, which cover few pixels."""
    window = opened(browser, page, size, reduced_motion="reduce")
    window.evaluate(REST, {"theme": "light"})
    runs = window.evaluate("explorer.runs.map((run) => explorer.colour(run))")
    picture = Image.open(io.BytesIO(window.screenshot())).convert("RGB")
    most = 256 - len(runs)
    colours = (picture.quantize(most).getpalette() or [])[: 3 * most]
    palette = Image.new("P", (1, 1))
    palette.putpalette([*colours, *bytes.fromhex("".join(runs).replace("#", ""))])
    picture.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG).save(out, optimize=True)
    window.context.close()


def film(browser: Browser, page: Path, out: Path, size: tuple[int, int]) -> None:
    """Ten seconds: the page's clip of the whole run, while its camera moves into the terrain."""
    window = opened(browser, page, size, "step=1&curves=off&time=log")
    window.add_style_tag(content=".over { display: none !important }")  # the stage is all map
    window.wait_for_timeout(500)
    with tempfile.TemporaryDirectory() as folder, window.expect_download(timeout=120_000) as clip:
        window.evaluate(f"() => {{ document.querySelector('#save-webm').click(); ({FLIGHT})(); }}")
        raw = Path(folder) / "clip.webm"
        clip.value.save_as(raw)
        look = f"setpts={10 / seconds(raw)}*PTS,fps=15,scale=840:-1:flags=lanczos"
        command = ["ffmpeg", "-y", "-v", "error", "-i", str(raw), "-vf", look, "-loop", "0"]
        subprocess.run([*command, "-c:v", "libwebp_anim", "-quality", "80", str(out)], check=True)
    window.context.close()


def seconds(clip: Path) -> float:
    """How long a clip is; browsers leave that out of its head."""
    asked = ["ffprobe", "-v", "error", "-show_entries", "packet=pts_time", "-of", "csv=p=0"]
    told = subprocess.run([*asked, str(clip)], check=True, capture_output=True, text=True).stdout
    return float(told.split()[-1].strip(","))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    quick = ROOT / "figures" / "quickstart" / "explorer.html"
    parser.add_argument("page", nargs="?", type=Path, default=quick)
    parser.add_argument("--all", type=Path, metavar="DIR", help="every view on every screen")
    parser.add_argument("--smoke", action="store_true", help="smallest setting; nothing is kept")
    args = parser.parse_args()
    chromium = shutil.which(os.environ.get("CHROMIUM", "chromium"))
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        if args.smoke:
            demo = Path(build.__file__).with_name("demo.results.h5")
            page = ls.explore(demo, Path(folder) / "demo.html")
            pictures(browser, page, Path(folder), [(390, 844)])
        elif args.all:
            pictures(browser, args.page, args.all, SCREENS)
        else:
            still(browser, args.page, ROOT / "figures" / "explorer.png", (1440, 900))
            film(browser, args.page, ROOT / "figures" / "explorer.webp", (960, 640))
        browser.close()


if __name__ == "__main__":
    main()
