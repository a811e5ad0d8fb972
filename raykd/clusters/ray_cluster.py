"""The Ray cluster of a sweep: the connection, its capacity, the coordinator and the slots."""

from __future__ import annotations

import atexit
import contextlib
import functools
import logging
import os
import signal
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import ray

from raykd.clusters import nodes
from raykd.clusters.autoscaling import SlotAutoscaler
from raykd.clusters.node_agents import NodeAgents
from raykd.clusters.nodes import Node
from raykd.clusters.processes import descendants, kill
from raykd.errors import Problem, SetupError, SpecError
from raykd.results.event_log import EventLog
from raykd.spec.resources import check_resources
from raykd.spec.schema import ResourceSpec, SweepSpec
from raykd.training.device import built_for_gpus
from raykd.trial.coordinator import RAY_THREAD, start_coordinator
from raykd.trial.slot_pool import SlotPool, SlotShape

START_TRIES = 3
"""Times that a local cluster is started before it is given up."""

START_PAUSE_S = 5.0
"""Between two tries, longer each time."""

LEAVE_S = 10.0
"""Threads that call Ray have this long to end before it is left."""

_QUIET = {
    # Tune: raykd keeps its own records, and the study is the only state to resume from.
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "86400",
    "TUNE_WARN_INSUFFICENT_RESOURCE_THRESHOLD_S": "0",
    # Tune would start the processes that follow trials one after another, and ask for no further
    # trial meanwhile; how many there are at a time is bounded by the searcher.
    "TUNE_MAX_PENDING_TRIALS_PG": "64",
    "RAY_AIR_NEW_OUTPUT": "0",
    # Train: a slot reports to the coordinator; its own health is polled rarely.
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    # A slot is several small processes; Ray warns when more than this start at once.
    "RAY_worker_maximum_startup_concurrency": "8",
    # On a busy machine Ray's own processes take longer to find each other.
    "RAY_raylet_start_wait_time_s": "180",
    # Do not let Ray hide the GPUs from tasks that asked for none.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Cluster:
    """What a sweep runs on.

    Attributes:
        nodes: Those that may hold slots.
        store_bytes: Capacity of the object stores together.
        shape: What a slot holds.
        slots: How many run at the same time, once the cluster is as large as it may become.
        elastic: Whether nodes may come and go.
    """

    nodes: tuple[Node, ...]
    store_bytes: int
    shape: SlotShape
    slots: int
    elastic: bool


@contextmanager
def connected(address: str | None) -> Iterator[None]:
    """A connection to Ray: a local cluster of its own unless an address is given.

    A connection that exists already is used and left open.

    Raises:
        SetupError: The cluster cannot be reached, or none can be started.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    if address is None:
        # One process less for every slot: this machine announces no preemption.
        os.environ.setdefault("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "0")
    if ray.is_initialized():
        yield
        return
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    _connect(address)
    # Ray puts handlers of its own in place, whose SIGTERM ends the process in the middle of things.
    if threading.current_thread() is threading.main_thread():
        for number, handler in handlers.items():
            if handler is not None:
                signal.signal(number, handler)
    try:
        yield
    finally:
        _disconnect()


def _connect(address: str | None) -> None:
    """Connect to a cluster, or start a local one; a start that takes too long is tried again.

    Ray gives its own processes half a minute, which a busy machine may need for reading them from
    disk; the next try finds them in memory.

    Raises:
        SetupError: The cluster cannot be reached, or none can be started.
    """
    for attempt in range(1, START_TRIES + 1):
        before = descendants(os.getpid())
        try:
            ray.init(
                address=address or "local",
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
            return
        except BaseException as exc:
            # Ray leaves what it began to start, and raises bare exceptions, too.
            ray.shutdown()
            kill([process for process in descendants(os.getpid()) if process not in before])
            if not isinstance(exc, Exception):
                raise
            if address is not None:
                raise SetupError(
                    f"cannot connect to the cluster at '{address}': {exc}",
                    hint=f"see what runs with: ray status --address {address}",
                ) from exc
            if attempt == START_TRIES:
                raise SetupError(
                    f"cannot start a local Ray cluster, tried {START_TRIES} times: {exc}",
                    hint="this machine may be busy, or short of memory or of room in /tmp/ray: try "
                    "again when it has less to do; Ray's own words are in "
                    "/tmp/ray/session_latest/logs",
                ) from exc
            time.sleep(START_PAUSE_S * attempt)


def _disconnect() -> None:
    """Leave Ray, unless a thread is still in a call to it: Ray would end the whole process for it.

    What was started here then ends with the process.
    """
    until = time.monotonic() + LEAVE_S
    while _calls_ray() and time.monotonic() < until:
        time.sleep(0.05)
    if _calls_ray():
        atexit.unregister(ray.shutdown)
    else:
        ray.shutdown()


def _calls_ray() -> bool:
    return any(thread.name.startswith(RAY_THREAD) for thread in threading.enumerate())


def survey(spec: SweepSpec, *, elastic: bool = False) -> Cluster:
    """What the connected cluster holds and how many slots fit.

    Args:
        spec: The sweep.
        elastic: Whether nodes may come and go, which those of a local cluster do not.

    Raises:
        SpecError: No node can hold what a trial asks for.
        SetupError: What an autoscaler could add cannot be read.
    """
    labels = spec.resources.labels
    everything = nodes.alive()
    here = tuple(n for n in everything if n.has(labels))
    more = tuple(n for n in nodes.addable() if n.has(labels)) if elastic else ()
    shape = slot_shape(spec.resources, here + more)
    wanted = spec.search.max_concurrent
    could_hold = here + more
    if not could_hold:
        found = Problem(
            path="resources.labels",
            message=f"no node of the cluster has the labels {dict(labels)}",
            hint="start nodes with ray start --labels KEY=VALUE, or leave resources.labels out",
        )
        raise SpecError(found=[found])
    problem = check_resources(
        spec.resources, [{"cpus": n.cpus, "gpus": n.gpus} for n in could_hold]
    )
    if problem is not None:
        raise SpecError(found=[problem])
    fitting = max(1, sum(n.ranks(shape) for n in could_hold) // shape.workers)
    if wanted != "auto":
        # On a cluster that grows, more may be asked for than it holds now.
        fitting = wanted if elastic else min(fitting, wanted)
    runs = max(spec.search.trials * len(spec.methods), len(spec.tasks))
    return Cluster(
        nodes=here,
        store_bytes=sum(n.store_bytes for n in everything),
        shape=shape,
        slots=min(fitting, runs),
        elastic=elastic,
    )


def slot_shape(resources: ResourceSpec, found: Sequence[Node]) -> SlotShape:
    """What a slot holds.

    ``gpus_per_worker: auto`` is one GPU where there are any, else none. Ray counts GPUs whether or
    not PyTorch can use them; if it was built for them here, it was on every node.

    Raises:
        SpecError: GPUs are asked for, and PyTorch was built without.
    """
    built = built_for_gpus()
    gpus = resources.gpus_per_worker
    if gpus == "auto":
        gpus = 1.0 if built and any(n.gpus for n in found) else 0.0
    if gpus and not built:
        problem = Problem(
            path="resources.gpus_per_worker",
            message=f"{gpus:g} asked for, but torch was built without CUDA",
            hint="install a torch with CUDA on every node, or set gpus_per_worker: 0",
        )
        raise SpecError(found=[problem])
    return SlotShape(
        workers=resources.workers,
        cpus=float(resources.cpus_per_worker),
        gpus=float(gpus),
        labels=dict(resources.labels),
    )


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
        # The coordinator or the head may be lost: that has been told, or is what ended the block.
        with contextlib.suppress(ray.exceptions.RayError):
            autoscaler.close()
        ray.kill(coordinator)
