"""Record a run, measure it, save and load the results: the whole line on real data."""

from __future__ import annotations

import numpy as np

import landscape as ls


def test_two_runs_on_one_plane(runs, tmp_path):
    trajectories = [ls.Trajectory(path) for path in runs.values()]
    assert [len(t) for t in trajectories] == [41, 41]
    task = ls.load_task("digits/mlp")
    objective = ls.Objective(task.model, task.loss, task.train, metrics=task.metrics)
    plane = ls.pca_plane(trajectories)
    surface = ls.loss_surface(objective, plane, extent="trajectory", resolution=(5, 4))
    assert surface.loss.shape == (4, 5)
    out = tmp_path / "two.results.h5"
    surface.save(out, "surface/pca")
    for t in trajectories:
        path = ls.project(t, plane, objective=objective, every=10)
        np.testing.assert_allclose(path.loss[0], objective.at(t.initial).mean[0, 0], rtol=1e-12)
        path.save(out, f"projection/pca/{t.name}")
    loaded = ls.load_results(out)
    np.testing.assert_array_equal(loaded["surface/pca"].values, surface.values)
    assert set(loaded) == {"surface/pca", "projection/pca/SGD", "projection/pca/Adam"}
