"""The walk of gradient descent and of SGD at the same learning rate, step by step.

After Xing et al. 2018 (arXiv:1802.08770, figures 1 and 2): the training loss on the straight line
from each step to the next, and the cosine of consecutive updates. A small network with batch norm,
not their VGG-11.

Against the original: the same loss along the straight steps, the same floor below and the same
sign of the cosine; a small net instead of VGG-11, and both algorithms on one scale.
"""

from __future__ import annotations

import numpy as np
from gallery import Script
from matplotlib.figure import Figure

import landscape as ls

MODEL, LR, FIRST, LAST = "mlp-bn", 0.1, 100, 140


def main() -> None:
    script = Script("fig_walk_gd_vs_sgd", __doc__)
    first, last = (2, 10) if script.smoke else (FIRST, LAST)
    objective = script.objective(MODEL, batch_norm="batch")
    with ls.style("neurips", columns=2):
        figure = Figure(figsize=(5.5, 3.0))
        grid = figure.subplots(2, 2, sharex=True, sharey="row")
        said = []
        for column, (name, batch) in enumerate((("gd", 5000), ("sgd", 100))):
            run = script.run(MODEL, name, steps=LAST, lr=LR, batch_size=batch)
            walk = script.measured(
                f"walk/{name}", lambda run=run: ls.walk(objective, run, windows=[(first, last)])
            )
            path = script.measured(f"path/{name}", lambda run=run: ls.path_metrics(run))
            ls.plot_walk(walk, ax=grid[0, column])
            ls.plot_path(path, quantity="cosine", smooth=1, ax=grid[1, column])
            grid[0, column].set_xlim(first, last)
            within = (path.step >= first) & (path.step <= last)
            said.append(
                f"{run.name}: {int(walk.barrier.sum())} of {len(walk.step)} segments rise above "
                f"both ends, {walk.interior_minimum.mean():.0%} have their minimum inside, mean "
                f"cosine {np.nanmean(path.cosine[within]):+.2f}, distance at step {last} "
                f"{path.distance[path.step == last][0]:.2f}"
            )
        for ax in grid.flat:
            ax.label_outer()
        script.save(figure, f"Learning rate {LR}, batch 100 for SGD. {'. '.join(said)}.")


if __name__ == "__main__":
    main()
