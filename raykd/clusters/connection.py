"""Connects to Ray: a cluster that runs, or a local one that is started."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray

from raykd.clusters.auth_token import make_private
from raykd.clusters.processes import descendants, kill
from raykd.errors import SetupError
from raykd.ray_private import (
    RAY,
    SWEEP,
    cluster_of_job,
    on_loopback,
    require_head,
    without_job_server,
)
from raykd.trial.coordinator import RAY_THREAD

START_TRIES = 3
"""Times that a local cluster is started before it is given up."""

START_PAUSE_S = 5.0
"""Between two tries, longer each time."""

LEAVE_S = 10.0
"""Threads that call Ray have this long to end before it is left."""

DELETE_TRIES, DELETE_PAUSE_S = 5, 0.2
"""Of the folder of a cluster that has ended."""

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


@contextmanager
def connected(address: str | None) -> Iterator[None]:
    """A connection to Ray: a local cluster of its own unless an address is given.

    A connection that exists already is used and left open.

    Raises:
        SetupError: The cluster cannot be reached, or none can be started, or raykd does not work
            with this version of Ray, or the cluster cannot give its processes the environment that
            the job asks for.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    if address is None:
        # One process less for every slot: this machine announces no preemption.
        os.environ.setdefault("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "0")
    RAY.require(SWEEP)
    if ray.is_initialized():
        require_head()
        with _told_as_setup():
            yield
        return
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    session = _connect(address)
    # Ray puts handlers of its own in place, whose SIGTERM ends the process in the middle of things.
    if threading.current_thread() is threading.main_thread():
        for number, handler in handlers.items():
            if handler is not None:
                signal.signal(number, handler)
    try:
        require_head()
        with _told_as_setup():
            yield
    except Exception:
        session = None  # what Ray's logs say of it may be wanted
        raise
    finally:
        _disconnect(session)


@contextmanager
def _told_as_setup() -> Iterator[None]:
    """Tell what Ray raises where it cannot start a process as the job asks.

    Raises:
        SetupError: It was raised.
    """
    try:
        yield
    except ray.exceptions.RuntimeEnvSetupError as exc:
        raise SetupError(
            f"the cluster cannot set up the environment of the job: {' '.join(str(exc).split())}",
            hint="it is the runtime_env of ray job submit or ray.init; every node must be able to "
            "reach what it names",
        ) from exc


def _connect(address: str | None) -> Path | None:
    """Connect to a cluster, or start a local one; a start that takes too long is tried again.

    Ray gives its own processes half a minute, which a busy machine may need for reading them from
    disk; the next try finds them in memory.

    Returns:
        The folder of Ray's logs and sockets, for a cluster that was started here.

    Raises:
        SetupError: The cluster cannot be reached, or none can be started.
    """
    if address == "auto":
        address = cluster_of_job(os.environ) or address
    for attempt in range(1, START_TRIES + 1):
        before = descendants(os.getpid())
        try:
            with contextlib.nullcontext() if address else _closed():
                context: Any = ray.init(  # of a type that says nothing of clusters
                    address=address or "local",
                    include_dashboard=False,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                )
            return None if address else _own_session(getattr(context, "address_info", {}))
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
    raise AssertionError("the last try returns or raises")


def _own_session(address_info: Mapping[str, str]) -> Path | None:
    """The folder of a cluster that was started here, closed to other users, if it is told."""
    if "session_dir" not in address_info:
        return None
    session = Path(address_info["session_dir"])
    with contextlib.suppress(OSError):
        session.chmod(0o700)
    return session


@contextmanager
def _closed() -> Iterator[None]:
    """Clusters that are started in the block are this user's and this machine's alone."""
    make_private()
    with without_job_server(), on_loopback(os.environ):
        yield


def _disconnect(session: Path | None) -> None:
    """Leave Ray, unless a thread is still in a call to it: Ray would end the whole process for it.

    What was started here then ends with the process.

    Args:
        session: The folder of a cluster that ends with it, which is deleted.
    """
    until = time.monotonic() + LEAVE_S
    while _calls_ray() and time.monotonic() < until:
        time.sleep(0.05)
    if _calls_ray():
        atexit.unregister(ray.shutdown)
        return
    ray.shutdown()
    if session is not None:
        # Ray's agents write until they notice, and may put a file back meanwhile.
        for _ in range(DELETE_TRIES):
            shutil.rmtree(session, ignore_errors=True)
            if not session.exists():
                break
            time.sleep(DELETE_PAUSE_S)


def _calls_ray() -> bool:
    return any(thread.name.startswith(RAY_THREAD) for thread in threading.enumerate())
