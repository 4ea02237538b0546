"""Record six optimizers on handwritten digits, measure what they walked through, draw it."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

import landscape as ls
from landscape.plots.results import plot_results

OPTIMIZERS = ("gd", "sgd", "momentum", "adagrad", "adam", "radam")
HERE = Path(__file__).parent.parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="smallest setting, seconds")
    parser.add_argument("--data", type=Path, help="default: data/quickstart")
    parser.add_argument("--figures", type=Path, default=HERE / "figures" / "quickstart")
    args = parser.parse_args()
    args.data = args.data or HERE / "data" / ("quickstart-smoke" if args.smoke else "quickstart")
    torch.set_num_threads(1)  # a network this small is no faster on more, and slower when busy
    steps, resolution, window = (30, (9, 7), 5) if args.smoke else (300, (51, 41), 20)

    print(f"1. Record: {len(OPTIMIZERS)} optimizers, {steps} steps each, on digits/mlp")
    wanted = {args.data / f"{n}.h5": ls.Run("digits/mlp", n, steps=steps) for n in OPTIMIZERS}
    for _ in ls.record_runs(wanted):
        pass
    runs = [ls.Trajectory(file) for file in wanted]

    print("2. Measure: a joint PCA plane, a random plane, the walk, angles and distances")
    task = ls.load_task("digits/mlp")
    objective = ls.Objective(
        task.model, task.loss, task.train, metrics=task.metrics, settings={"task": "digits/mlp"}
    )
    out = args.data / "quickstart.results.h5"
    plane = ls.pca_plane(runs)
    ls.loss_surface(objective, plane, extent="trajectory", resolution=resolution).save(
        out, "surface/pca"
    )
    adam = runs[OPTIMIZERS.index("adam")]
    around = ls.random_plane(adam.final, adam.layout, seed=0)
    ls.loss_surface(objective, around, resolution=resolution).save(out, "surface/random-adam")
    for name, run in zip(OPTIMIZERS, runs, strict=True):
        ls.project(run, plane, objective=objective).save(out, f"projection/pca/{name}")
        ls.path_metrics(run).save(out, f"path/{name}")
        middle = steps // 2
        windows = [(0, window), (middle, middle + window), (steps - window, steps)]
        ls.walk(objective, run, windows=windows).save(out, f"walk/{name}")
    ls.loss_line(
        objective,
        [ls.line_between(run.initial, run.final) for run in runs],
        names=[run.name for run in runs],
    ).save(out, "line/initial-final")

    print("3. Look:")
    for figure, sentence in plot_results(ls.load_results(out), args.figures):
        print(f"   {figure}\n      {sentence}")
    page = ls.explore(out, args.figures / "explorer.html", title="Six optimizers on digits/mlp")
    print(f"   {page}\n      Everything on one page: open it in a browser and press play.")


if __name__ == "__main__":
    main()
