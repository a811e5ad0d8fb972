"""Starts the coordinator and the slots of a sweep on a cluster."""

from __future__ import annotations

import contextlib
import functools
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import ray

from raykd.clusters import watched
from raykd.clusters.autoscaling import SlotAutoscaler
from raykd.clusters.capacity import Cluster
from raykd.clusters.node_agents import NodeAgents
from raykd.results.event_log import EventLog
from raykd.spec.schema import SweepSpec
from raykd.training.device import built_for_gpus
from raykd.trial.coordinator import start_coordinator
from raykd.trial.slot_pool import SlotPool


@contextmanager
def slots(
    spec: SweepSpec,
    cluster: Cluster,
    run: Path,
    log: EventLog,
    closing: threading.Event | None = None,
) -> Iterator[SlotAutoscaler]:
    """A coordinator and started slots, which follow the nodes as they come and go.

    Args:
        spec: The sweep.
        cluster: What it runs on.
        run: The run folder.
        log: Told of nodes and slots.
        closing: Set when the block is left: the coordinator is gone after that; None for nobody to
            tell.
    """
    name = f"coordinator-{run.name}-{uuid.uuid4().hex[:8]}"
    where = {"coordinator": name, "namespace": ray.get_runtime_context().namespace}
    coordinator = start_coordinator(name, where["namespace"])
    pool = functools.partial(
        SlotPool,
        coordinator,
        name,
        where["namespace"],
        cluster.shape,
        1 if spec.resources.isolate else None,
    )
    if not cluster.shape.gpus and not built_for_gpus():
        count = sum(n.gpus for n in cluster.nodes)
        message = f"torch was built without CUDA: {count:g} GPUs are not used"
        if count:
            log.emit("note", message=message)
    agents = NodeAgents(coordinator, pool, str((run / "ray").resolve()))
    autoscaler = SlotAutoscaler(cluster, agents, coordinator, where, log)
    try:
        autoscaler.start()
        yield autoscaler
    finally:
        if closing is not None:
            closing.set()
        if not watched.lost():  # nobody would answer
            # The coordinator may be lost: that was reported, or is what ended the block.
            with contextlib.suppress(ray.exceptions.RayError):
                autoscaler.close()
            with contextlib.suppress(ray.exceptions.RayError):
                ray.kill(coordinator)
