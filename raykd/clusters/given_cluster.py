"""A cluster that was given by its address, as the driver sees it: is its head still there?"""

from __future__ import annotations

import errno
import os
import socket
import threading
import time
from typing import Any

import ray

from raykd.clusters.watched import WatchedCluster, used
from raykd.errors import ClusterLost

LOOK_S = 0.3
"""How often a connection is tried."""

HEAD_S = 30.0
"""A head that accepts no connection for so long is lost."""

NODE_S = 1.0
"""The same of the node that the driver is on, without which Ray ends the process very soon."""

BEFORE_S = 15.0
"""A head is lost so long before Ray ends the whole process for it, at the latest."""

ENDS_AFTER = "RAY_gcs_rpc_server_reconnect_timeout_s"
"""Where it says when that is; who lets heads come back (KubeRay does) sets it higher."""

_HERE = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
"""What this process, or this machine, is short of: it says nothing of the other side."""


class GivenCluster(WatchedCluster):
    """Watches the cluster that Ray is connected to, until `leave`."""

    def __init__(self) -> None:
        super().__init__()
        context = ray.get_runtime_context()
        self._head: str = context.gcs_address
        own = context.get_node_id()
        node = next((n for n in _nodes() if n["NodeID"] == own), None)
        self._left = threading.Event()
        watched = [(f"its head at {self._head}", self._head, _head_s())]
        if node is not None:
            address = f"{node['NodeManagerAddress']}:{node['NodeManagerPort']}"
            watched.append(("the raylet of this machine", address, NODE_S))
        self.use()
        threading.Thread(target=self._watch, args=(watched,), daemon=True).start()

    def error(self) -> ClusterLost:
        """What to raise where it is lost."""
        return ClusterLost(
            f"the Ray cluster at {self._head} is lost: {self.lost} accepts no connection",
            hint=f"see what runs with: ray status --address {self._head}; "
            "raykd sweep --resume continues, on this cluster or on another one",
        )

    def leave(self) -> None:
        """Watch it no longer."""
        self._left.set()
        self.interrupts = False
        if self in used:
            used.remove(self)

    def _watch(self, watched: list[tuple[str, str, float]]) -> None:
        # An address that cannot be reached from here, though Ray is connected, says nothing.
        looked_at = [(what, address, s) for what, address, s in watched if _accepts(address)]
        since: dict[str, float] = {}
        while not self._left.wait(LOOK_S):
            for what, address, patience_s in looked_at:
                now = time.monotonic()
                if _accepts(address):
                    since.pop(what, None)
                elif now - since.setdefault(what, now) >= patience_s:
                    self.lose(what)
                    return


def _head_s() -> float:
    """How long a head may accept nothing."""
    try:
        ends_after = float(os.environ.get(ENDS_AFTER, "0"))
    except ValueError:
        return HEAD_S
    return max(HEAD_S, ends_after - BEFORE_S)


def _nodes() -> list[dict[str, Any]]:
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    return nodes


def _accepts(address: str) -> bool:
    """Whether somebody listens there."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=LOOK_S).close()
    except OSError as exc:
        return exc.errno in _HERE
    return True
