"""A cluster that was given by its address: who is noticed to be gone, and after how long."""

from __future__ import annotations

import errno
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest
import ray

from raykd.clusters import given_cluster, watched
from raykd.clusters.given_cluster import GivenCluster


class Context:
    def __init__(self, head: str) -> None:
        self.gcs_address = head

    def get_node_id(self) -> str:
        return "own"


class Places:
    """A head and a raylet that accept connections."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.head, self.raylet = (socket.create_server(("127.0.0.1", 0)) for _ in range(2))
        own: dict[str, Any] = {
            "NodeID": "own", "NodeManagerAddress": "127.0.0.1",
            "NodeManagerPort": self.raylet.getsockname()[1],
        }  # fmt: skip
        other = {**own, "NodeID": "other", "NodeManagerPort": 1}
        self.address = f"127.0.0.1:{self.head.getsockname()[1]}"
        monkeypatch.setattr(ray, "get_runtime_context", lambda: Context(self.address))
        monkeypatch.setattr(ray, "nodes", lambda: [other, own])


@pytest.fixture
def places(monkeypatch: pytest.MonkeyPatch) -> Iterator[Places]:
    monkeypatch.delenv(given_cluster.ENDS_AFTER, raising=False)
    monkeypatch.setattr(given_cluster, "LOOK_S", 0.05)
    monkeypatch.setattr(given_cluster, "HEAD_S", 0.4)
    monkeypatch.setattr(watched, "NOTICE_S", 60.0)  # nobody is interrupted here
    both = Places(monkeypatch)
    yield both
    for cluster in [c for c in watched.used if isinstance(c, GivenCluster)]:
        cluster.leave()
    both.head.close()
    both.raylet.close()


def test_a_head_is_lost_when_it_accepts_nothing_for_some_time(places: Places) -> None:
    cluster = GivenCluster()
    time.sleep(0.3)
    assert not cluster.lost
    places.head.close()
    began = time.monotonic()
    while not watched.lost():
        time.sleep(0.01)
        assert time.monotonic() - began < 10
    assert time.monotonic() - began >= 0.3
    error = cluster.error()
    assert f"the Ray cluster at {places.address} is lost: its head" in error.message
    assert "raykd sweep --resume continues" in (error.hint or "")
    assert cluster.notice()
    cluster.leave()
    assert not watched.lost()


def test_a_head_that_comes_back_is_not_lost_and_the_own_raylet_is_at_once(places: Places) -> None:
    cluster = GivenCluster()
    port = places.head.getsockname()[1]
    places.head.close()
    time.sleep(0.15)
    places.head = socket.create_server(("127.0.0.1", port))
    time.sleep(0.6)
    assert not cluster.lost
    places.raylet.close()
    began = time.monotonic()
    while not cluster.lost:
        time.sleep(0.01)
        assert time.monotonic() - began < 10
    assert cluster.lost == "the raylet of this machine"
    cluster.leave()


def test_what_says_nothing_of_the_cluster_is_no_loss(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too many open files here; an address that was never reached from here."""
    places.head.close()
    cluster = GivenCluster()

    def short_of_files(*address: Any, timeout: float) -> socket.socket:
        raise OSError(errno.EMFILE, "Too many open files")

    time.sleep(0.2)
    monkeypatch.setattr(socket, "create_connection", short_of_files)
    monkeypatch.setattr(given_cluster, "NODE_S", 0.1)
    time.sleep(0.7)
    assert not cluster.lost
    cluster.leave()


@pytest.mark.parametrize(("set_to", "wait"), [("", 30), ("45", 30), ("600", 585), ("x", 30)])
def test_a_head_that_may_come_back_later_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, set_to: str, wait: float
) -> None:
    monkeypatch.setenv(given_cluster.ENDS_AFTER, set_to or "0")
    assert given_cluster._head_s() == wait


def test_nothing_is_watched_after_it_was_left(places: Places) -> None:
    cluster = GivenCluster()
    cluster.leave()
    places.raylet.close()
    time.sleep(0.2)
    assert not cluster.lost
