"""Ray actors as workers: the same units, on this machine or on a cluster.

Ray keeps the actors alive: one that dies is restarted, gets model and data from Ray's object store
again, and goes on. Needs the extra ``cluster``.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import numpy as np

from landscape.base.distribution import install
from landscape.objective.evaluation import Evaluation
from landscape.objective.workers.engine import Measured, packed, unpacked


@dataclass(frozen=True)
class RayActors:
    """An engine of Ray actors, each with its own model and data.

    Modules of one's own must be importable where the actors run; what is defined in the script
    itself is sent along.

    Args:
        workers: Number of actors.
        address: Of a running cluster, such as ``auto`` or ``ray://head:10001``; None uses one this
            process has joined, or starts one on this machine for the time of the measurement.
        gpus_per_worker: Share of a GPU that an actor reserves, such as 0.5 for two on each; 0
            measures on processors.
        cpus_per_worker: Processors that an actor reserves, and so the threads it computes with.

    Raises:
        ValueError: If there is no worker or a share is negative.

    >>> engine = RayActors(workers=8, gpus_per_worker=0.5)  # loss_surface(..., engine=engine)
    >>> engine.workers
    8
    """

    workers: int = 2
    address: str | None = None
    gpus_per_worker: float = 0.0
    cpus_per_worker: float = 1.0

    def __post_init__(self) -> None:
        if self.workers < 1 or min(self.gpus_per_worker, self.cpus_per_worker) < 0:
            raise ValueError(
                "workers must be at least 1 and shares not negative; got "
                f"{self.workers} workers, {self.gpus_per_worker} GPUs and {self.cpus_per_worker} "
                "processors each."
            )

    @contextlib.contextmanager
    def start(self, measured: Measured) -> Iterator[list[_Actor]]:
        """Start the actors; afterwards end them, and Ray if it was started here."""
        try:
            ray: Any = importlib.import_module("ray")
        except ImportError as problem:
            raise ValueError(f"Ray is not installed: {install('cluster')}.") from problem
        data = packed(measured, pickler=ray.cloudpickle)
        joined = ray.is_initialized()
        if not joined:
            # Reserved, not used: more workers than processors share them, as processes do.
            most = {} if self.address else {"num_cpus": max(1, self.workers * self.cpus_per_worker)}
            ray.init(address=self.address, include_dashboard=False, log_to_driver=False, **most)
        try:
            self._check_room(ray)
            actor = ray.remote(
                num_cpus=self.cpus_per_worker, num_gpus=self.gpus_per_worker, max_restarts=-1
            )(_Measurer)
            device = "cuda" if self.gpus_per_worker else "cpu"
            held = ray.put(data)
            actors = [actor.remote(held, device) for _ in range(self.workers)]
            try:
                yield [_Actor(one) for one in actors]
            finally:
                for one in actors:
                    ray.kill(one)
        finally:
            if not joined:
                ray.shutdown()

    def _check_room(self, ray: Any) -> None:
        for kind, each in (("CPU", self.cpus_per_worker), ("GPU", self.gpus_per_worker)):
            there = ray.cluster_resources().get(kind, 0.0)
            if self.workers * each > there:
                raise ValueError(
                    f"{self.workers} workers with {each:g} {kind} each need "
                    f"{self.workers * each:g}; the Ray cluster has {there:g}. Ask for fewer "
                    "workers, or for a smaller share each."
                )


class _Actor:
    """A worker that is an actor."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle

    def submit(self, points: np.ndarray, samples: np.ndarray | None) -> Future[Evaluation]:
        """Measure points once the actor lives: Ray refuses calls while it is being restarted."""
        alive = self._handle.alive.options(max_task_retries=-1).remote()
        return self._handle.measure.remote(points, samples, alive).future()


class _Measurer:
    """What runs in an actor."""

    def __init__(self, data: bytes, device: str) -> None:
        self._measured = unpacked(data, device)

    def alive(self) -> None:
        """Answer."""

    def measure(self, points: np.ndarray, samples: np.ndarray | None, alive: None) -> Evaluation:
        """Every metric at points."""
        return self._measured(points, samples, checks=0)
