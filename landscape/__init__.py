"""Landscape: what did the optimizer walk through?

Record the parameters an optimizer visits, measure the loss around and between them, draw what was
measured. Names are loaded when first used, so ``import landscape`` is fast and needs no torch.
"""

from __future__ import annotations

import importlib
from typing import Any

from landscape.base.distribution import VERSION

__version__ = VERSION

_HOMES = {
    "Recorder": "recording.recorder",
    "RecordingStopped": "recording.stream",
    "MovedUnseen": "recording.watch",
    "import_checkpoints": "exchange.checkpoints.run",
    "restore": "recording.restore",
    "LightningRecorder": "recording.callbacks.lightning",
    "TransformersRecorder": "recording.callbacks.huggingface",
    "SketchedPath": "recording.numbers.sketch",
    "Run": "training.run",
    "record_run": "training.loop",
    "record_runs": "training.many",
    "outcomes": "training.outcome",
    "outcome_table": "training.outcome",
    "LARS": "optim.lars",
    "LAMB": "optim.lamb",
    "Lookahead": "optim.lookahead",
    "SAM": "optim.sam",
    "AdamToSGD": "optim.switch",
    "MuonAdamW": "optim.muon",
    "WeightAverage": "optim.average",
    "build_schedule": "training.schedules",
    "Trajectory": "base.runs.trajectory",
    "TrajectoryWriter": "base.runs.writer",
    "Layout": "base.layout",
    "Objective": "objective.objective",
    "SumAndWeight": "objective.returned",
    "onloaded": "objective.onloaded",
    "Processes": "objective.workers.processes",
    "RayActors": "objective.workers.ray_actors",
    "Task": "tasks",
    "load_task": "tasks",
    "language_task": "tasks.language",
    "Line": "results.affine",
    "Plane": "results.affine",
    "SeededLine": "results.seeded",
    "SeededPlane": "results.seeded",
    "random_line": "analysis.planes.random",
    "random_plane": "analysis.planes.random",
    "line_between": "analysis.planes.through",
    "line_along": "analysis.planes.through",
    "adapter_line": "analysis.planes.adapters",
    "adapter_plane": "analysis.planes.adapters",
    "merged_space": "analysis.planes.adapters",
    "plane_through": "analysis.planes.through",
    "pca_plane": "analysis.planes.pca",
    "CheckpointLine": "results.checkpoints",
    "CheckpointPlane": "results.checkpoints",
    "checkpoint_line": "analysis.planes.checkpoints",
    "checkpoint_plane": "analysis.planes.checkpoints",
    "checkpoint_pca": "analysis.planes.checkpoints",
    "Surface": "results.surface",
    "loss_surface": "analysis.surface",
    "merge_surfaces": "analysis.surface",
    "surfaces_along": "analysis.evolution",
    "Profile": "results.profile",
    "loss_line": "analysis.line",
    "Walk": "results.walk",
    "walk": "analysis.walk",
    "WalkStatistics": "results.walk_statistics",
    "walk_statistics": "analysis.walk_statistics",
    "PathMetrics": "results.path",
    "path_metrics": "analysis.motion.path",
    "recorded_path": "results.recorded",
    "LayerMetrics": "results.layers",
    "layer_metrics": "analysis.motion.layers",
    "GradientHistogram": "results.gradients",
    "gradient_histogram": "analysis.motion.gradients",
    "AdaptiveRate": "results.adaptive_rate",
    "adaptive_rate_variance": "analysis.adaptive_rate",
    "Projection": "results.projection",
    "project": "analysis.motion.projection",
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
    "Alignment": "results.alignment",
    "align": "analysis.connectivity.alignment",
    "align_many": "analysis.connectivity.alignment",
    "repair": "analysis.connectivity.repair",
    "second_moment": "recording.second_moment",
    "eigen_plane": "analysis.curvature.eigen_plane",
    "second_differences": "analysis.curvature.eigen_plane",
    "Barriers": "results.barriers",
    "barriers": "analysis.connectivity.barriers",
    "Curve": "results.curve",
    "find_curve": "training.curve",
    "curve_profile": "analysis.connectivity.curve",
    "project_curve": "analysis.connectivity.curve",
    "Soup": "results.soup",
    "average": "analysis.connectivity.soup",
    "greedy_soup": "analysis.connectivity.soup",
    "task_plane": "analysis.connectivity.soup",
    "Diagnosis": "results.diagnosis",
    "diagnose": "analysis.diagnosis",
    "load_results": "results.registry",
    "SchemaError": "base.files",
    "Interrupted": "base.progress",
    "style": "plots.venues",
    "plot_surface": "plots.surface",
    "plot_profile": "plots.profile",
    "plot_walk": "plots.walk",
    "plot_path": "plots.path",
    "plot_layers": "plots.layers",
    "plot_gradient_histogram": "plots.gradients",
    "plot_walk_statistics": "plots.walk_statistics",
    "plot_diagnosis": "plots.diagnosis",
    "plot_adaptive_rate": "plots.adaptive_rate",
    "plot_barriers": "plots.barriers",
    "plot_spectrum": "plots.spectrum",
    "plot_density": "plots.density",
    "plot_curvature_map": "plots.curvature_map",
    "plot_sharpness": "plots.sharpness",
    "plot_gradient_share": "plots.sharpness",
    "plot_predicted_change": "plots.sharpness",
    "plot_results": "plots.results",
    "plot": "plots.anything",
    "render_surface": "plots.render",
    "surface_mesh": "plots.triangulated",
    "write_mesh": "plots.mesh",
    "walk_frames": "plots.animate",
    "orbit_frames": "plots.animate",
    "evolution_frames": "plots.animate",
    "write_animation": "plots.animate",
    "explore": "explorer.build",
    "gallery": "explorer.gallery",
    "OnDemand": "notebook.on_demand",
    "log_to": "live.trackers",
    "NotTracked": "recording.tracking",
    "figure": "plots.interactive",
}

_ROOMS = {"losses": "objective.losses"}  # modules with names of their own

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return importlib.import_module(f"landscape.{_ROOMS[name]}")
    if name not in _HOMES:
        raise AttributeError(f"module 'landscape' has no attribute {name!r}")
    return getattr(importlib.import_module(f"landscape.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*__all__, *_ROOMS])
