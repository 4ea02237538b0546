"""Sharpness rises to the optimizer's threshold and stays there: the edge of stability.

After Cohen et al. 2021 (arXiv:2103.00065): gradient descent at three learning rates, momentum and
Nesterov; and 2022 (arXiv:2207.14484): Adam, by the preconditioned Hessian. Full batch, squared
error, a tanh net on 300 digits. Below: share of the gradient in the top ten eigenvectors, before
and at the edge; and what single updates of one run should and did change.

Against the original: the same two thin rows and the one dashed threshold that is the message; a
tanh net on 300 digits instead of CIFAR-10, momentum and Adam beside it, and the share of the
gradient below.
"""

from __future__ import annotations

import numpy as np
import torch
from claims.edge import EVERY, IMAGES, descended, late
from gallery import Script
from matplotlib.figure import Figure

import landscape as ls

RUNS = {  # name: optimizer, options, steps
    "GD, lr 0.25": ("gd", {"lr": 0.25}, 4000),
    "GD, lr 0.35": ("gd", {"lr": 0.35}, 4000),
    "GD, lr 0.5": ("gd", {"lr": 0.5}, 4000),
    "momentum 0.9, lr 0.4": ("momentum", {"lr": 0.4, "momentum": 0.9}, 2000),
    "Nesterov 0.9, lr 0.15": (
        "nesterov",
        {"lr": 0.15, "momentum": 0.9, "nesterov": True},
        2000,
    ),
    "Adam, lr 0.003": ("adam", {"lr": 0.003}, 2000),
}


def main() -> None:
    script = Script("fig_edge_of_stability", __doc__)
    torch.set_num_threads(1)
    found = {}
    for name in RUNS:
        found[name] = script.measured(f"curvature/{name}", lambda name=name: measured(script, name))
    with ls.style("neurips", columns=2):
        figure = Figure()
        figure.set_size_inches(5.5, 4.2)
        (a, b), (c, d) = figure.subplots(2, 2)
        descents = [p for p in found.values() if p.optimizer == "gd"]
        others = [p for p in found.values() if p.optimizer != "gd"]
        ls.plot_sharpness(descents, ax=a)
        ls.plot_sharpness([descents[-1], *others], relative=True, ax=b)
        ls.plot_gradient_share(descents, ax=c)
        ls.plot_predicted_change(descents[-1], ax=d)
        thresholds = [text.get_text() for text in b.get_legend().get_texts()]
        for ax, place in ((a, "center right"), (b, "lower right"), (c, "lower right")):
            handles, labels = ax.get_legend_handles_labels()
            short = [label.split(":")[0].removesuffix(", top 10") for label in labels]
            ax.legend(handles, short, loc=place, fontsize=6, handlelength=1.5)
        a.get_legend().set_bbox_to_anchor((1, 0.3))
    thirds = ", ".join(f"{name} {late(path):.3f}" for name, path in found.items())
    last = descents[-1]
    edge = int(np.argmax(last.relative_sharpness > 0.98))
    script.save(
        figure,
        f"Full-batch runs on {IMAGES} digits, squared error. Mean of sharpness over threshold in "
        f"the last third: {thirds}. Thresholds: {'; '.join(thresholds)}. {last.name}: the "
        f"top {last.value.shape[1]} hold {last.top_share[max(edge - 1, 0)]:.0%} of the gradient "
        f"before the edge (step {last.step[max(edge - 1, 0)]}) and {last.top_share[-1]:.0%} at the "
        "end: because the steps oscillate there; training along them alone fails (Song et al. "
        "2024, arXiv:2405.16002). Sharpness depends on the parametrisation (Dinh et al. 2017).",
    )


def measured(script: Script, name: str) -> ls.CurvaturePath:
    """Train, and measure the Hessian along the run."""
    optimizer, options, steps = RUNS[name]
    path = script.data / f"edge-{name.replace(' ', '-').replace(',', '')}.h5"
    steps, every = (20, 10) if script.smoke else (steps, EVERY)
    top = 10 if optimizer == "gd" else 1
    return descended(path, name, optimizer, options, steps=steps, every=every, top=top)


if __name__ == "__main__":
    main()
