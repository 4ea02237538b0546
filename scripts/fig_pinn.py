"""Why a physics-informed network fails to train: its loss around the end of training.

After Krishnapriyan et al. 2021 (arXiv:2109.01050, figures 1 and 3): a network u(x, t) learns the
convection equation u_t + β u_x = 0 with u(x, 0) = sin x and a periodic boundary, from the residual
of the equation alone. For a small β that works; for a larger one training ends far from the
solution, where the surface along the two largest eigenvectors of the Hessian is rough and steep.
The loss differentiates the network; it is measured as it is trained.

Against the original: the same equation, the same eigenvector plane and the same contrast between a
small and a large β; a smaller net, Adam instead of L-BFGS, one seed, and levels with values
instead of a relief without.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from gallery import Script
from matplotlib.figure import Figure
from torch import Tensor, nn

import landscape as ls

BETAS, STEPS, WIDTH, POINTS = (1.0, 30.0), 3000, 40, (256, 64, 64)
EXTENT = 0.25  # of both directions, which are of unit length: beyond, a small β is only steep
INSIDE, START, EDGE = range(3)  # what a sample asks for


def main() -> None:
    script, said = Script("fig_pinn", __doc__), []
    size = 5 if script.smoke else 51
    with ls.style("neurips", columns=2):
        figure = Figure(figsize=(5.5, 2.5))
        for place, beta in enumerate(BETAS):
            task = task_of(beta)
            run = script.run_on(
                f"convection, β = {beta:g}", task, "adam", steps=STEPS, lr=1e-3, batch_size=9999,
                every=None,
            )  # fmt: skip
            ls.restore(task.model, run, -1)
            objective = ls.Objective(
                task.model, task.loss, task.train, settings={"task": f"convection, β = {beta:g}"}
            )
            spectrum = script.measured(
                f"spectrum/{beta:g}",
                lambda o=objective, r=run: ls.hessian_spectrum(o, r.final, top=2, bottom=1),
            )
            plane = ls.eigen_plane(spectrum)
            surface = script.measured(
                f"surface/{beta:g}, within {EXTENT:g}",
                lambda o=objective, p=plane: ls.loss_surface(o, p, extent=EXTENT, resolution=size),
            )
            ax = figure.add_subplot(1, 2, place + 1)
            ls.plot_surface(surface, ax=ax)
            ax.plot(0, 0, "o", color="white", markeredgecolor="black")
            off = error_of(task.model, beta)
            said.append(
                f"β = {beta:g}: loss {objective.at(run.final).mean[0, 0]:.2g}, relative error of "
                f"the solution {off:.1%}, largest eigenvalues "
                f"{spectrum.value[0]:.3g} and {spectrum.value[1]:.3g}, loss up to "
                f"{np.nanmax(surface.loss):.3g} on the plane"
            )
        script.save(
            figure,
            f"{'; '.join(said)}. {STEPS} full-batch steps of Adam, {' + '.join(map(str, POINTS))} "
            "points inside, at t = 0 and at the edge; circles: the trained weights. One seed.",
        )


def task_of(beta: float) -> ls.Task:
    """A network from (x, t) in [0, 2π] x [0, 1] to u, and the points at which it is asked."""
    torch.manual_seed(0)
    layers: list[nn.Module] = [nn.Linear(2, WIDTH), nn.Tanh()]
    for _ in range(3):
        layers += [nn.Linear(WIDTH, WIDTH), nn.Tanh()]
    draw = torch.Generator().manual_seed(0)
    places = torch.rand(sum(POINTS), 2, generator=draw) * torch.tensor([2 * math.pi, 1.0])
    kinds = torch.repeat_interleave(torch.arange(3), torch.tensor(POINTS))
    places[kinds == START, 1] = 0.0
    places[kinds == EDGE, 0] = 0.0
    weights = sum(POINTS) / torch.tensor(POINTS, dtype=torch.float32)[kinds]

    def convection(model: nn.Module, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        """What is wrong at every point; its mean is the sum of three mean squares."""
        with torch.enable_grad():
            place, kind, weight = batch
            at = place.detach().requires_grad_()
            u = model(at)[:, 0]
            (slope,) = torch.autograd.grad(u.sum(), at, create_graph=True)
            opposite = model(at + torch.tensor([2 * math.pi, 0.0]))[:, 0]
            wrong = torch.where(kind == START, u - torch.sin(at[:, 0]), u - opposite)
            wrong = torch.where(kind == INSIDE, slope[:, 1] + beta * slope[:, 0], wrong)
            return weight * wrong.square()

    model = nn.Sequential(*layers, nn.Linear(WIDTH, 1))
    return ls.Task(model=model, loss=convection, train=(places, kinds, weights))


def error_of(model: nn.Module, beta: float) -> float:
    """‖u - sin(x - β t)‖ / ‖sin(x - β t)‖ on a grid."""
    x, t = torch.meshgrid(
        torch.linspace(0, 2 * math.pi, 64), torch.linspace(0, 1, 64), indexing="xy"
    )
    true = torch.sin(x - beta * t)
    with torch.no_grad():
        found = model(torch.stack([x, t], dim=-1).reshape(-1, 2)).reshape(true.shape)
    return float((found - true).norm() / true.norm())


if __name__ == "__main__":
    main()
