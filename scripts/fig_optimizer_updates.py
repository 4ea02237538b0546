"""Adam, RAdam, LAMB and Lookahead on two test functions, where the plane is everything there is.

Left: Rosenbrock's valley from (−1.2, 1); right: Beale's function from (1, 1). Circles: minima.
RAdam needs a smaller rate: its first five steps are plain momentum, and at the rate of the others
they throw it out of the valley.
"""

from __future__ import annotations

import numpy as np
from gallery import Script
from matplotlib.figure import Figure

import landscape as ls
from landscape.plots.style import styled

RATES = {"momentum": 2e-4, "adam": 0.05, "radam": 0.001, "lamb": 0.03, "lookahead-adam": 0.05}
FUNCTIONS = {
    "rosenbrock": ((1.0, 1.0), (-1.8, 1.8, -0.7, 1.9)),
    "beale": ((3.0, 0.5), (-0.2, 4.2, -0.6, 1.8)),
}


def main() -> None:
    script = Script("fig_optimizer_updates", __doc__)
    steps, said = (20 if script.smoke else 600), []
    paths, handles = [], []
    with styled("paper", columns=2):
        figure = Figure(figsize=(7, 2.7))
        for place, (function, (minimum, box)) in enumerate(FUNCTIONS.items(), 1):
            task = ls.load_task(f"function/{function}")
            axes = np.eye(3, 2, -1, dtype=np.float32)
            plane = ls.plane_through(*axes)
            objective = ls.Objective(task.model, task.loss, task.train)
            surface = script.measured(
                f"surface/{function}",
                lambda o=objective, p=plane, b=box: ls.loss_surface(o, p, extent=b, resolution=91),
            )
            ends, paths = [], []
            for name, rate in RATES.items():
                file = script.data / f"{function}-{name}-{steps}.h5"
                if not file.exists():
                    ls.record_run(ls.Run(f"function/{function}", name, lr=rate, steps=steps), file)
                run = ls.Trajectory(file)
                paths.append(
                    script.measured(
                        f"projection/{function}/{name}", lambda r=run, p=plane: ls.project(r, p)
                    )
                )
                ends.append(f"{run.name} {float(np.linalg.norm(run.final - minimum)):.2g}")
            ax = ls.plot_surface(surface, paths=paths, ax=figure.add_subplot(1, 2, place))
            ax.plot(*minimum, "o", color="none", markeredgecolor="white")
            ax.set(xlabel="x₁", ylabel="x₂", title=function)
            ax.set_title("", loc="left")
            if legend := ax.get_legend():
                handles = legend.legend_handles
                legend.remove()
            said.append(f"{function}: {', '.join(ends)}")
        names = [path.name for path in paths]
        figure.legend(handles, names, loc="outside lower center", ncols=len(names))
        script.save(figure, f"Distance to the minimum after {steps} steps: {'; '.join(said)}.")


if __name__ == "__main__":
    main()
