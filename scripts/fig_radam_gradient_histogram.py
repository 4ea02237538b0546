"""Sizes of the gradients in the first hundred steps: Adam, Adam with warm-up, RAdam.

After Liu et al. 2020 (arXiv:1908.03265, figure 2): without warm-up Adam's first adaptive rates
rest on few gradients; in their translation network the gradients then collapse to tiny values.
Gradients of the training loss at the recorded states of a small network, which need not collapse.
"""

from __future__ import annotations

import numpy as np
from gallery import Script
from matplotlib.figure import Figure

import landscape as ls
from landscape.plots.style import look, styled
from landscape.recording.restored import restore

LR, STEPS = 0.03, 100
RUNS = {
    "Adam": ("adam", "constant"),
    "Adam, warm-up": ("adam", "warmup"),
    "RAdam": ("radam", "constant"),
}


def gradient_sizes(task: ls.Task, run: ls.Trajectory, index: int) -> np.ndarray:
    """|∂ loss / ∂ θ_i| on the task's training images, at one recorded state."""
    restore(task.model, run, index)
    task.model.zero_grad()
    task.loss(task.model, task.train).mean().backward()
    grads = [p.grad.abs().flatten() for p in task.model.parameters() if p.grad is not None]
    return np.concatenate([grad.numpy() for grad in grads])


def main() -> None:
    script = Script("fig_radam_gradient_histogram", __doc__)
    _, task = script.task("mlp", images=1000)
    bins, said = np.linspace(-9, 1, 81), []
    with styled("paper", columns=2):
        figure = Figure(figsize=(7, 2.6))
        grid = figure.subplots(1, len(RUNS), sharey=True)
        for ax, (name, (optimizer, schedule)) in zip(grid, RUNS.items(), strict=True):
            run = script.run("mlp", optimizer, steps=STEPS, lr=LR, schedule=schedule, name=name)
            steps = [int(s) for s in np.unique(np.geomspace(1, run.steps[-1], 12).round())]
            sizes = [gradient_sizes(task, run, run.nearest(s)) for s in steps]
            logs = [np.log10(np.maximum(size, 1e-30)) for size in sizes]
            counts = np.array([np.histogram(log, bins)[0] / log.size for log in logs])
            for row in range(len(steps)):
                ax.fill_between(
                    bins[:-1], row, row + 14 * counts[row], color=look(optimizer).color, alpha=0.6,
                    zorder=-row,
                )  # fmt: skip
            ax.set(title=name, xlabel="log₁₀ |gradient|", yticks=range(len(steps)))
            ax.set_yticklabels([str(s) for s in steps])
            said.append(f"{name} {np.median(sizes[0]):.1e} → {np.median(sizes[-1]):.1e}")
        grid[0].set_ylabel("optimizer step")
        script.save(
            figure, f"Learning rate {LR}. Median |gradient|, first → last: {'; '.join(said)}."
        )


if __name__ == "__main__":
    main()
