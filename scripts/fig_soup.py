"""Soups: averages of networks fine-tuned from one start, and merging coefficients as a landscape.

After Wortsman et al. 2022 (arXiv:2203.05482, figure 2) and Ilharco et al. 2023 (arXiv:2212.04089):
error on the plane through a pretrained network and two fine-tuned with other rates and orders of
the data. The coordinates are the coefficients with which their task vectors are added, so (½, ½) is
the mean of the two. A network tuned at too large a rate has left the basin: it spoils the mean of
all, and the greedy soup leaves it out. Right: the greedy soup of eight, chosen on one half of the
test data and measured on the other.

Against the original: the same plane of a pretrained network and two tuned ones, which lie in one
basin with their mean, here at its true angle; a small net instead of CLIP, for which the mean is
better than the pretrained network but not than the two, and a soup that leaves out what harms.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from gallery import Script
from matplotlib.figure import Figure

import landscape as ls
from landscape.plots.frame import plane_transform

MODEL, BEFORE, AFTER = "mlp-128-128-relu", 300, 600
RATES = (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
SHOWN = 0.2, 0.4  # on the plane: task vectors of like length


def main() -> None:
    script = Script("fig_soup", __doc__)
    rates = RATES[:2] if script.smoke else RATES
    name, task = script.task(MODEL)
    start = script.run_on(name, task, "sgd", steps=BEFORE, lr=0.1, batch_size=50, every=None)
    tuned = []
    for seed, rate in enumerate(rates):
        ls.restore(task.model, start, -1)
        run = script.run_on(
            name, task, "sgd", steps=AFTER, lr=rate, batch_size=50, seed=seed + 1, every=None
        )
        tuned.append(run.final)
    chosen, held = (
        ls.Objective(
            task.model, task.loss, tuple(part[half::2] for part in task.test),
            metrics=task.metrics, settings={"task": f"{name}, half {half + 1} of the test data"},
        )
        for half in (0, 1)
    )  # fmt: skip
    two = rates if script.smoke else SHOWN
    ends = [tuned[rates.index(rate)] for rate in two]
    plane = ls.task_plane(start.final, *ends, names=[f"rate {rate}" for rate in two])
    surface = script.measured(
        f"surface/{two[0]}-{two[1]}",
        lambda: ls.loss_surface(
            held, plane, extent=(-0.5, 1.7, -0.5, 1.7), resolution=5 if script.smoke else 41
        ),
    )
    soup = script.measured("soup", lambda: ls.greedy_soup(chosen, tuned, names=map(str, rates)))
    each, greedy, uniform = (
        [float(held.at(theta).mean[1, 0]) for theta in thetas]
        for thetas in (tuned, [soup.vector], [ls.average(tuned)])
    )
    with ls.style("neurips", columns=2):
        figure = Figure(figsize=(5.5, 2.5))
        left, right = figure.subplots(1, 2)
        ls.plot_surface(surface, metric="error", ax=left)
        star: Any = {"color": "#D55E00", "markersize": 10, "markeredgecolor": "white", "zorder": 9}
        left.plot(0.5, 0.5, "*", **star, transform=plane_transform(surface, left))
        kept = soup.kept
        right.plot(np.array(rates)[kept], np.array(each)[kept], "o", color="#0072B2",
                   label="in the greedy soup")  # fmt: skip
        right.plot(np.array(rates)[~kept], np.array(each)[~kept], "o", color="#0072B2",
                   markerfacecolor="white", label="not in it")  # fmt: skip
        for values, dash, label in ((greedy, "-", "greedy soup"), (uniform, "--", "uniform soup")):
            right.axhline(values[0], color="#D55E00", linestyle=dash, label=label)
        right.set(xlabel="learning rate of fine-tuning", ylabel="error on the other half")
        right.legend()
        script.save(
            figure,
            f"{name}, {BEFORE} steps, then {AFTER} of SGD at {len(rates)} rates. Error on the "
            f"other half of the test data: {min(each):.2%} to {max(each):.2%} of single networks, "
            f"{uniform[0]:.2%} of their mean, {greedy[0]:.2%} of the greedy soup of {kept.sum()}. "
            f"Left: the plane of two of them, {two[0]} and {two[1]}; star: their mean.",
        )


if __name__ == "__main__":
    main()
