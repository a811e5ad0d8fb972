"""The Ray cluster of a sweep: connecting, what it holds, the board and the slots."""

from __future__ import annotations

import logging
import math
import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray

from raykd.errors import SetupError, SpecError
from raykd.spec.resources import check_resources
from raykd.spec.schema import ResourceSpec, SweepSpec
from raykd.trial.board import open_board
from raykd.trial.slot import SlotPool, SlotShape

_QUIET = {
    # Tune: raykd keeps its own records, and the study is the only state to resume from.
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "86400",
    "TUNE_WARN_INSUFFICENT_RESOURCE_THRESHOLD_S": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    # Train: a slot reports to the board; its own health is polled rarely.
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    # A slot is several small processes; Ray warns when more than this start at once.
    "RAY_worker_maximum_startup_concurrency": "8",
    # Do not let Ray hide the GPUs from tasks that asked for none.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Cluster:
    """What a sweep runs on.

    Attributes:
        nodes: CPUs and GPUs of each node: ``{"cpus": 2.0, "gpus": 0.0}``.
        store_bytes: Capacity of the object stores together.
        shape: What a slot holds.
        slots: How many run at the same time.
    """

    nodes: tuple[Mapping[str, float], ...]
    store_bytes: int
    shape: SlotShape
    slots: int


@contextmanager
def connected(address: str | None) -> Iterator[None]:
    """A connection to Ray: a local cluster of its own unless an address is given.

    A connection that exists already is used and left open.

    Raises:
        SetupError: The cluster cannot be reached.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    if address is None:
        # One process less for every slot: this machine announces no preemption.
        os.environ.setdefault("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "0")
    if ray.is_initialized():
        yield
        return
    try:
        ray.init(
            address=address or "local",
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except Exception as exc:
        # Ray raises bare exceptions, too, e.g. when a node takes too long to start.
        place = f"the cluster at '{address}'" if address else "a local Ray cluster"
        raise SetupError(
            f"cannot connect to {place}: {exc}",
            hint="see what runs with: ray status --address ADDRESS",
        ) from exc
    try:
        yield
    finally:
        ray.shutdown()


def survey(spec: SweepSpec) -> Cluster:
    """What the connected cluster holds and how many slots fit.

    Raises:
        SpecError: No node can hold what a trial asks for.
    """
    everything = ray.nodes()  # type: ignore[no-untyped-call]
    alive = [n for n in everything if n["Alive"]]
    nodes = tuple(
        {"cpus": n["Resources"].get("CPU", 0.0), "gpus": n["Resources"].get("GPU", 0.0)}
        for n in alive
    )
    shape = slot_shape(spec.resources, nodes)
    problem = check_resources(spec.resources, nodes)
    if problem is not None:
        raise SpecError(found=[problem])
    slots = max(1, sum(_fitting(node, shape) for node in nodes) // shape.workers)
    if spec.search.max_concurrent != "auto":
        slots = min(slots, spec.search.max_concurrent)
    runs = max(spec.search.trials * len(spec.methods), len(spec.tasks))
    return Cluster(
        nodes=nodes,
        store_bytes=int(sum(n["Resources"].get("object_store_memory", 0.0) for n in alive)),
        shape=shape,
        slots=min(slots, runs),
    )


def slot_shape(resources: ResourceSpec, nodes: tuple[Mapping[str, float], ...]) -> SlotShape:
    """What a slot holds; ``gpus_per_worker: auto`` is one GPU where there are any, else none."""
    gpus = resources.gpus_per_worker
    if gpus == "auto":
        gpus = 1.0 if any(n["gpus"] for n in nodes) else 0.0
    return SlotShape(
        workers=resources.workers, cpus=float(resources.cpus_per_worker), gpus=float(gpus)
    )


def _fitting(node: Mapping[str, float], shape: SlotShape) -> int:
    """Ranks that fit on a node."""
    by_gpu = math.floor(node["gpus"] / shape.gpus + 1e-9) if shape.gpus else math.inf
    return int(min(by_gpu, math.floor(node["cpus"] / shape.cpus + 1e-9)))


@contextmanager
def slots(spec: SweepSpec, cluster: Cluster, run: Path) -> Iterator[tuple[Any, Mapping[str, str]]]:
    """A board and started slots; gives the board's handle and how workers find it."""
    name = f"board-{run.name}-{uuid.uuid4().hex[:8]}"
    where = {"board": name, "namespace": ray.get_runtime_context().namespace}
    board = open_board(name, where["namespace"])
    pool = SlotPool(
        board,
        name,
        where["namespace"],
        cluster.shape,
        str((run / "ray").resolve()),
        recycle_after=1 if spec.resources.isolate else None,
    )
    pool.start(cluster.slots)
    try:
        yield board, where
    finally:
        pool.close()
        ray.kill(board)
