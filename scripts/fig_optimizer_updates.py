"""Momentum, Adam, RAdam, LAMB and Lookahead against each other on two test functions.

Left: Rosenbrock's valley from (−1.2, 1); right: Beale's function from (0.5, −0.4). Stars: minima.
Below, the distance to the minimum. Every optimizer has the rate, of a geometric grid from 0.0001
to 0.2, with which it came nearest. RAdam's first five steps are plain momentum, which throws it
across Rosenbrock's valley; LAMB moves by a fixed share of ‖x‖ and cannot settle.

No original: animations of this kind are common and unpublished; here each optimizer has its best
rate of a stated grid, and the distance to the minimum is told.
"""

from __future__ import annotations

import numpy as np
import torch
from gallery import Script
from matplotlib.figure import Figure

import landscape as ls
from landscape.plots.style import looks

NAMES = ("momentum", "adam", "radam", "lamb", "lookahead-adam")
# function: start, minimum, box, rates in the order of the names
FUNCTIONS = {
    "rosenbrock": ((-1.2, 1), (1, 1), (-1.9, 1.9, -0.7, 2.1), (1e-3, 0.2, 5e-3, 0.2, 0.2)),
    "beale": ((0.5, -0.4), (3, 0.5), (-0.2, 4.2, -1.0, 1.8), (0.02, 0.1, 0.1, 0.02, 0.1)),
}
STEPS = 400


def walked(script: Script, function: str, place: int) -> ls.Trajectory:
    """The run of one optimizer on one function."""
    start, _, _, rates = FUNCTIONS[function]
    task = ls.load_task(f"function/{function}")
    with torch.no_grad():
        task.model.x.copy_(torch.tensor(start))
    return script.run_on(f"function/{function}", task, NAMES[place], steps=STEPS, lr=rates[place])


def main() -> None:
    script, said = Script("fig_optimizer_updates", __doc__), []
    with ls.style("neurips", columns=2):
        figure = Figure(figsize=(5.5, 3.6))
        grid = figure.subplots(2, 2, height_ratios=(3, 2))
        paths, handles = [], []
        for (above, below), (function, (_, minimum, box, rates)) in zip(
            grid.T, FUNCTIONS.items(), strict=True
        ):
            task = ls.load_task(f"function/{function}")
            plane = ls.plane_through(*np.eye(3, 2, -1, dtype=np.float32))  # the plane itself
            objective = ls.Objective(task.model, task.loss, task.train)
            surface = script.measured(
                f"surface/{function}",
                lambda o=objective, p=plane, b=box: ls.loss_surface(o, p, extent=b, resolution=121),
            )
            paths = [
                script.measured(
                    f"projection/{function}/{name}",
                    lambda k=k, f=function, p=plane: ls.project(walked(script, f, k), p),
                )
                for k, name in enumerate(NAMES)
            ]
            ls.plot_surface(surface, paths=paths, ax=above)
            above.plot(
                *minimum, "*", color="white", markeredgecolor="black", markersize=9, zorder=8
            )
            above.set(xlabel="x₁", ylabel="x₂", title=function.capitalize(), aspect="auto")
            above.set_title("", loc="left")
            handles = above.get_legend().legend_handles
            above.get_legend().remove()
            for name in [text for text in above.texts if text.get_gid() == "name"]:
                name.remove()  # ends lie on one another; the legend below has the names
            ends = []
            styles = looks([path.optimizer for path in paths])
            for path, rate, style in zip(paths, rates, styles, strict=True):
                away = np.linalg.norm(path.coordinates - minimum, axis=1)
                below.plot(path.step, away, **style.line)
                ends.append(f"{path.name} {away[-1]:.2g} (rate {rate:g})")
            below.set(xlabel="optimizer step", ylabel="distance to the minimum", yscale="log")
            if function == "rosenbrock":
                below.set_yticks((0.2, 0.5, 1, 2), ("0.2", "0.5", "1", "2"))
                below.minorticks_off()
            said.append(f"{function}: {', '.join(ends)}")
        names = [path.name for path in paths]
        figure.legend(handles, names, loc="outside lower center", ncols=len(names))
        script.save(figure, f"Distance to the minimum after {STEPS} steps: {'; '.join(said)}.")


if __name__ == "__main__":
    main()
