"""Barriers between networks from different seeds: before, after matching, after repair, by width.

After Entezari et al. 2022 (arXiv:2110.06296, figure 2), Ainsworth et al. 2023 (arXiv:2209.04836,
figure 5) and Jordan et al. 2023 (arXiv:2211.08403, figure 4): the training loss on the straight
line between two networks rises above the chord, less so when the units of one are permuted onto
those of the other, and still less when the statistics of the units are restored along the line.
Every pair is aligned by itself. Thin: the pairs; bold: their mean; dotted: the mean loss of the
networks themselves.

Against the originals: the same order of as trained, matched and repaired, and the same fall with
the width; small nets on digits instead of ResNets on CIFAR-10, all pairs instead of one, and no
width at which the barrier is gone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from gallery import Script
from matplotlib.figure import Figure

import landscape as ls
from landscape.results.barriers import Barriers

DEPTHS, WIDTHS = (2, 3), (32, 128, 512)
IMAGES, STEPS, LR, BATCH = 1437, 500, 5e-4, 128
WAYS = {
    "as trained": {},
    "repaired": {"repair": True},
    "matched by weights": {"align": "weights"},
    "matched by weights, repaired": {"align": "weights", "repair": True},
    "matched by activations": {"align": "activations"},
    "matched by activations, repaired": {"align": "activations", "repair": True},
}
DRAWN = dict(zip(list(WAYS)[:4], ("#000000", "#E69F00", "#0072B2", "#D55E00"), strict=True))


def main() -> None:
    script = Script("fig_alignment", __doc__)
    depths, widths = ((2,), (8, 16)) if script.smoke else (DEPTHS, WIDTHS)
    table = [
        "Means over the pairs of the height above the chord, loss / error:",
        "",
        "| layers × width | loss of the networks | " + " | ".join(WAYS) + " |",
        "|---" * (2 + len(WAYS)) + "|",
    ]
    below = pairs = 0
    with ls.style("neurips", columns=2):
        figure = Figure(figsize=(5.5, 2.4))
        axes = figure.subplots(1, len(depths), sharey=True, squeeze=False)[0]
        for depth, ax in zip(depths, axes, strict=True):
            found = [dict(measured(script, depth, width)) for width in widths]
            for way, color in DRAWN.items():
                heights = np.array([each[way].height("entezari2022") for each in found])
                ax.plot(widths, heights, color=color, alpha=0.2, linewidth=0.6)
                ax.plot(widths, heights.mean(1), "o-", color=color, label=way)
            ends = [each["as trained"].ends().mean() for each in found]
            ax.plot(widths, ends, ":", color="0.4", label="loss of the networks")
            ax.set(xscale="log", yscale="log", xlabel="width", title=f"{depth} hidden layers")
            ax.set_xticks(widths, [str(width) for width in widths], minor=False)
            ax.minorticks_off()
            for width, each, end in zip(widths, found, ends, strict=True):
                cells = [
                    f"{b.height('entezari2022').mean():.3g} / "
                    f"{b.height('entezari2022', metric='error').mean():.2%}"
                    for b in each.values()
                ]
                table.append(f"| {depth} × {width} | {end:.3g} | " + " | ".join(cells) + " |")
                first, matched, both = (
                    each[way].height("entezari2022")
                    for way in ("as trained", "matched by weights", "matched by weights, repaired")
                )
                below += int(((first > matched) & (matched > both)).sum())
                pairs += len(both)
        axes[0].set_ylabel("loss barrier")
        axes[-1].legend(fontsize="small")
        script.save(
            figure,
            f"{IMAGES} images of digits, ReLU, Adam at {LR} with batches of {BATCH}, {STEPS} "
            f"steps; all pairs of {len(script.seeds)} networks, 25 places on each line. Matching "
            f"by weights lowers the barrier and repair lowers it further for {below} of {pairs} "
            "pairs.",
            table="\n".join(table),
        )


def measured(script: Script, depth: int, width: int) -> Iterator[tuple[str, Barriers]]:
    """The barriers between networks of all seeds, in every way."""
    model = "mlp-" + "-".join([str(width)] * depth) + "-relu"
    name = f"digits/{model}, {IMAGES} images"
    tasks = [ls.load_task(f"digits/{model}", seed=seed) for seed in script.seeds]
    tasks = [replace(t, train=tuple(part[:IMAGES] for part in t.train)) for t in tasks]
    runs = [
        script.run_on(
            *(name, task, "adam"), steps=STEPS, lr=LR, batch_size=BATCH, seed=seed, every=None,
            name=f"seed {seed}",
        )
        for seed, task in zip(script.seeds, tasks, strict=True)
    ]  # fmt: skip
    task = tasks[-1]
    objective = ls.Objective(
        task.model, task.loss, task.train, metrics=task.metrics, settings={"task": name}
    )
    for way, how in WAYS.items():
        key = f"barriers/{model}/{way}"
        yield way, script.measured(key, lambda how=how: ls.barriers(objective, runs, **how))


if __name__ == "__main__":
    main()
