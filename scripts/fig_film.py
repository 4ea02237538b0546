"""A film: eight optimizers walk over their joint plane, all at the same step.

Uses what `fig_optimizers_on_plane.py` measured. `orbit_frames` and `evolution_frames` make the
flight around a relief and the surface along training in the same way.

No original: the paper that has paths of optimizers on a plane stops at stills.
"""

from __future__ import annotations

from fig_optimizers_on_plane import measure
from gallery import Script

import landscape as ls
from landscape.plots.animate import walk_frames, write_animation


def main() -> None:
    script = Script("fig_optimizers_on_plane", __doc__)
    surface, paths = measure(script)
    with ls.style("screen"):
        frames = list(walk_frames(surface, paths, count=4 if script.smoke else 40))
    path = write_animation(frames, script.figures / "fig_film.gif")
    caption = (
        f"{len(frames)} frames, {paths[0].step[-1]} steps, {path.stat().st_size / 1e6:.2f} MB."
    )
    (script.figures / "fig_film.txt").write_text(caption + "\n")
    print(f"{path}: {caption}")


if __name__ == "__main__":
    main()
