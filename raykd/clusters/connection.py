"""Connects to Ray: a cluster that runs, or a local one that is started."""

from __future__ import annotations

import atexit
import contextlib
import logging
import math
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import ray

from raykd.clusters import local_cluster, watched
from raykd.clusters.auth_token import read_token
from raykd.clusters.environment import RayEnvironment
from raykd.clusters.given_cluster import GivenCluster
from raykd.clusters.watched import WatchedCluster
from raykd.errors import ClusterLost, SetupError
from raykd.ray_private import (
    RAY,
    SWEEP,
    cluster_of_job,
    on_loopback,
    read_environment_again,
    require_head,
    words_to,
)
from raykd.trial.coordinator import RAY_THREAD

log = logging.getLogger(__name__)

_LOOPBACK = ("127.0.0.1", "localhost")

ANSWER_S = 2.0
"""A machine has this long to accept a connection to its own address."""

LEAVE_S = 10.0
"""Threads that call Ray have this long to end before it is left."""

_LEAVING = f"{RAY_THREAD} leave"

LOST_S = 3.0
"""Leaving Ray may take so long once the cluster is lost."""


class Connection:
    """A connection to Ray.

    Args:
        cluster: What watches the cluster; None where nobody does.
    """

    def __init__(self, cluster: WatchedCluster | None = None) -> None:
        self._cluster = cluster

    @property
    def lost(self) -> str:
        """What of the cluster has ended; empty while all is well, and where nobody can know."""
        return "" if self._cluster is None else self._cluster.lost

    def check(self) -> None:
        """Look whether the cluster is there.

        Raises:
            ClusterLost: It is not; calls to Ray may never come back.
        """
        if self._cluster is not None and self._cluster.notice():
            raise self._cluster.error()

    @contextmanager
    def unneeded(self, *, is_over: bool = False) -> Iterator[None]:
        """A block that needs no cluster: the loss of it interrupts nothing.

        Args:
            is_over: Whether nothing after the block needs it either, if the block succeeds.
        """
        cluster = self._cluster
        before = cluster is not None and cluster.interrupts
        if cluster is not None:
            cluster.interrupts = False
        try:
            yield
            if cluster is not None:
                cluster.is_over = is_over
        finally:
            if cluster is not None:
                cluster.interrupts = before


@contextmanager
def connected(address: str | None) -> Iterator[Connection]:
    """A connection to Ray: a local cluster of its own unless an address is given.

    A connection that exists already is used and left open. What is set in the environment is taken
    back at the end.

    Raises:
        SetupError: The cluster cannot be reached, or none can be started, or raykd does not work
            with this version of Ray, or the cluster cannot give its processes the environment that
            the job asks for.
    """
    RAY.require(SWEEP)
    if _is_leaving():
        raise ClusterLost(
            "an earlier cluster of this process was lost, and Ray has not left it yet",
            hint="start again in another process: Ray would mix up both",
        )
    environment = RayEnvironment(local=address is None)
    try:
        if ray.is_initialized():
            connection = Connection(watched.staying())
            connection.check()
            require_head()
            with _as_setup_error():
                yield connection
        elif address is None:
            with _local_cluster() as connection:
                yield connection
        else:
            if address == "auto":
                address = cluster_of_job(os.environ) or address
            with _given_cluster(address) as connection:
                yield connection
    finally:
        environment.restore()
        if not ray.is_initialized():
            read_environment_again()


@contextmanager
def _local_cluster() -> Iterator[Connection]:
    """A connection to a local cluster, which ends with the block.

    Where a thread is still in a call to Ray, both stay, and end with the process.
    """
    cluster = local_cluster.take()
    try:
        with _loss([cluster]), _connection(cluster.address(), lambda: cluster) as connection:
            yield connection
    except Exception:
        if not cluster.is_over:
            cluster.keep_logs()
        raise
    finally:
        if ray.is_initialized() or _is_leaving():
            cluster.stay()
        else:
            cluster.end()


@contextmanager
def _given_cluster(address: str) -> Iterator[Connection]:
    """A connection to a cluster that others started, and that stays."""
    clusters: list[GivenCluster] = []

    def connected_to() -> GivenCluster:
        clusters.append(GivenCluster())
        return clusters[0]

    try:
        with _loss(clusters), _connection(address, connected_to) as connection:
            yield connection
    finally:
        for cluster in clusters:
            if ray.is_initialized() or _is_leaving():
                cluster.stay()
            else:
                cluster.leave()


@contextmanager
def _loss(clusters: Sequence[WatchedCluster]) -> Iterator[None]:
    """What ends the block may follow from the loss of a cluster, also as an interruption.

    Raises:
        ClusterLost: It does.
    """
    try:
        yield
    except BaseException as exc:
        for cluster in clusters:
            if cluster.lost and not isinstance(exc, ClusterLost):
                raise cluster.error() from exc
        raise


@contextmanager
def _connection(address: str, connected_to: Callable[[], WatchedCluster]) -> Iterator[Connection]:
    """The connection, made and left.

    Args:
        address: Of the cluster.
        connected_to: The cluster, asked for when Ray is connected to it.
    """
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    with on_loopback() if _listens_here_alone(address) else contextlib.nullcontext():
        _connect(address)
    # Ray puts handlers of its own in place, whose SIGTERM ends the process in the middle of things.
    if threading.current_thread() is threading.main_thread():
        for number, handler in handlers.items():
            if handler is not None:
                signal.signal(number, handler)
    cluster: WatchedCluster | None = None
    try:
        require_head()
        cluster = connected_to()
        with _as_setup_error(), words_to(log.debug):
            yield Connection(cluster)
    finally:
        if cluster is not None:
            cluster.interrupts = False  # the work is over
        _disconnect(Connection(cluster))


def _listens_here_alone(address: str) -> bool:
    """Whether a cluster is on the loopback address alone, where another address is in vain.

    Ray itself takes the loopback address for another name of this machine's own.
    """
    host, _, port = address.rpartition(":")
    if host not in _LOOPBACK or not port.isdigit():
        return False
    own = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]
    try:
        with socket.create_connection((own, int(port)), timeout=ANSWER_S):
            return False
    except OSError:
        return True


@contextmanager
def _as_setup_error() -> Iterator[None]:
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


def _connect(address: str) -> None:
    """Connect to a cluster.

    Raises:
        SetupError: It cannot be reached.
    """
    read_environment_again()
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except BaseException as exc:
        ray.shutdown()  # Ray leaves what it began, and raises bare exceptions, too
        if not isinstance(exc, Exception):
            raise
        raise SetupError(
            f"cannot connect to the cluster at '{address}': {exc}",
            hint=f"see what runs with: ray status --address {address}{_about_the_token()}",
        ) from exc


def _about_the_token() -> str:
    """What to do where a cluster wants a token, and this process is not set to send one.

    Ray starts a cluster with it wherever there is one, and shows it only where the mode is set.
    """
    if "RAY_AUTH_MODE" in os.environ or not read_token():
        return ""
    return "; if it wants a token: export RAY_AUTH_MODE=token"


def _disconnect(connection: Connection) -> None:
    """Leave Ray, unless a thread is still in a call to it: Ray would end the whole process for it.

    Then everything stays until the process ends. So it does where the cluster is lost while it is
    left: Ray would wait for it for a minute, and then end the process.
    """
    try:
        _wait_for_threads(connection, LEAVE_S, 0.0)
        if not _calls_ray():
            threading.Thread(target=_shut_down, daemon=True, name=_LEAVING).start()
            _wait_for_threads(connection, math.inf, LOST_S)
    finally:  # an interruption leaves the thread where it is
        if _calls_ray():
            watched.abandoned.set()
            atexit.unregister(ray.shutdown)


def _shut_down() -> None:
    try:
        ray.shutdown()
    except Exception:  # of a cluster that is lost; what it was used for is over
        log.debug("Ray could not be left", exc_info=True)


def _wait_for_threads(connection: Connection, patience_s: float, lost_s: float) -> None:
    """Wait until no thread calls Ray.

    Args:
        connection: The connection.
        patience_s: At most so long.
        lost_s: At most so long after the loss of the cluster.
    """
    until = time.monotonic() + patience_s
    while _calls_ray() and time.monotonic() < until:
        if connection.lost:
            until = min(until, time.monotonic() + lost_s)
            lost_s = math.inf
        time.sleep(0.05)


def _is_leaving() -> bool:
    return any(thread.name == _LEAVING for thread in threading.enumerate())


def _calls_ray() -> bool:
    return any(thread.name.startswith(RAY_THREAD) for thread in threading.enumerate())
