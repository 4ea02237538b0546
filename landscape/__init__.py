"""Landscape: what did the optimizer walk through?

Record the parameters an optimizer visits, measure the loss around and between them, draw what was
measured. Names are loaded when first used, so ``import landscape`` is fast and needs no torch.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "Recorder": "recording.recorder",
    "RecordingStopped": "recording.stream",
    "MovedUnseen": "recording.watch",
    "import_checkpoints": "recording.imported",
    "restore": "recording.restored",
    "SketchedPath": "recording.sketch",
    "Run": "recording.run",
    "record_run": "recording.training",
    "record_runs": "recording.many",
    "outcomes": "recording.outcome",
    "outcome_table": "recording.outcome",
    "LARS": "optim.lars",
    "LAMB": "optim.lamb",
    "Lookahead": "optim.lookahead",
    "SAM": "optim.sam",
    "AdamToSGD": "optim.switch",
    "MuonAdamW": "optim.muon",
    "WeightAverage": "optim.average",
    "build_schedule": "schedules",
    "Trajectory": "trajectory",
    "TrajectoryWriter": "recording.writer",
    "Layout": "layout",
    "Objective": "objective",
    "SumAndWeight": "evaluation.returned",
    "Processes": "evaluation.processes",
    "RayActors": "evaluation.ray_actors",
    "Task": "tasks",
    "load_task": "tasks",
    "Line": "directions",
    "Plane": "directions",
    "random_line": "directions",
    "random_plane": "directions",
    "line_between": "directions",
    "line_along": "directions",
    "plane_through": "directions",
    "pca_plane": "pca",
    "Surface": "analysis.surface",
    "loss_surface": "analysis.surface",
    "merge_surfaces": "analysis.surface",
    "surfaces_along": "analysis.evolution",
    "Profile": "analysis.line",
    "loss_line": "analysis.line",
    "Walk": "analysis.walk",
    "walk": "analysis.walk",
    "WalkStatistics": "analysis.walk_statistics",
    "walk_statistics": "analysis.walk_statistics",
    "PathMetrics": "analysis.path",
    "path_metrics": "analysis.path",
    "recorded_path": "analysis.path",
    "LayerMetrics": "analysis.layers",
    "layer_metrics": "analysis.layers",
    "GradientHistogram": "analysis.gradients",
    "gradient_histogram": "analysis.gradients",
    "AdaptiveRate": "analysis.adaptive_rate",
    "adaptive_rate_variance": "analysis.adaptive_rate",
    "Projection": "analysis.projection",
    "project": "analysis.projection",
    "Spectrum": "results.spectrum",
    "hessian_spectrum": "analysis.curvature.spectrum",
    "HessianTrace": "results.hessian_trace",
    "hessian_trace": "analysis.curvature.trace",
    "SpectralDensity": "results.spectral_density",
    "spectral_density": "analysis.curvature.density",
    "CurvatureMap": "results.curvature_map",
    "curvature_map": "analysis.curvature.map",
    "CurvaturePath": "results.curvature_path",
    "curvature_path": "analysis.curvature.path",
    "second_moment": "recording.second_moment",
    "eigen_plane": "analysis.curvature.eigen_plane",
    "second_differences": "analysis.curvature.eigen_plane",
    "load_results": "analysis",
    "SchemaError": "files",
    "Interrupted": "progress",
    "plot_surface": "plots.surface",
    "plot_profile": "plots.profile",
    "plot_walk": "plots.walk",
    "plot_path": "plots.path",
    "plot_layers": "plots.layers",
    "plot_gradient_histogram": "plots.gradients",
    "plot_walk_statistics": "plots.walk_statistics",
    "plot_adaptive_rate": "plots.adaptive_rate",
    "plot_spectrum": "plots.spectrum",
    "plot_density": "plots.density",
    "plot_curvature_map": "plots.curvature_map",
    "plot_sharpness": "plots.sharpness",
    "plot_gradient_share": "plots.sharpness",
    "plot_predicted_change": "plots.sharpness",
    "plot_results": "plots.results",
    "render_surface": "plots.render",
    "surface_mesh": "plots.mesh",
    "write_mesh": "plots.mesh",
    "walk_frames": "plots.animate",
    "orbit_frames": "plots.animate",
    "evolution_frames": "plots.animate",
    "write_animation": "plots.animate",
    "explore": "explorer.build",
    "figure": "plots.interactive",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'landscape' has no attribute {name!r}")
    return getattr(importlib.import_module(f"landscape.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
