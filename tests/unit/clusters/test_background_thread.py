"""Errors of threads reach whoever waits, and a busy head is not a lost one."""

from __future__ import annotations

import os
import signal
import threading
import time
from types import SimpleNamespace

import pytest
import ray

from raykd import waiting
from raykd.clusters import autoscaling
from raykd.clusters.background_thread import BackgroundThread
from raykd.errors import SetupError
from raykd.trial.coordinator import RAY_THREAD

SOON_S = 30.0


def test_the_error_of_a_thread_is_raised_where_it_is_waited_for():
    def fail():
        raise SetupError("the disk is full")

    work = BackgroundThread(fail, "work")
    with pytest.raises(SetupError, match="the disk is full"):
        work.wait(SOON_S)
    with pytest.raises(SetupError, match="the disk is full"):
        work.check()
    work.end(SOON_S)  # has no more to say


def test_a_wait_is_bounded():
    over = threading.Event()
    work = BackgroundThread(lambda: over.wait(SOON_S) and None, "work")
    began = time.monotonic()
    assert not work.wait(0.05)
    work.check()
    over.set()
    assert work.wait(SOON_S)
    assert time.monotonic() - began < SOON_S


def test_threads_that_call_ray_are_known_by_their_name():
    over = threading.Event()
    work = BackgroundThread(lambda: over.wait(SOON_S) and None, "work")
    names = {t.name for t in threading.enumerate()}
    assert f"{RAY_THREAD} work" in names
    over.set()
    work.end(SOON_S)


class Nodes:
    """A head that answers some looks with an error."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.looks = 0

    def alive(self):
        self.looks += 1
        if self.looks <= self.failures:
            raise ray.exceptions.RaySystemError("the head does not answer")
        return ()

    def request_nodes(self, *wanted):
        """Nothing is added here."""


def watched(monkeypatch, failures, emit=lambda event, **what: None, slots=1, count=lambda: 0):
    nodes = Nodes(failures)
    monkeypatch.setattr(autoscaling, "nodes", nodes)
    monkeypatch.setattr(autoscaling, "POLL_S", 0.002)
    cluster = SimpleNamespace(nodes=(), elastic=True, slots=slots, shape=SimpleNamespace(
        workers=1, labels={}, cpus=1.0, gpus=0.0))  # fmt: skip
    agents = SimpleNamespace(count=count, close=lambda: True, on=lambda node: [])
    log = SimpleNamespace(emit=emit)
    return autoscaling.SlotAutoscaler(cluster, agents, None, {}, log), nodes


def test_nodes_are_followed_on_after_a_head_did_not_answer(monkeypatch):
    made, nodes = watched(monkeypatch, failures=autoscaling.MAX_FAILED_POLLS - 1)
    made.start()
    until = time.monotonic() + SOON_S
    while nodes.looks < autoscaling.MAX_FAILED_POLLS + 5 and time.monotonic() < until:
        made.watcher.check()
        time.sleep(0.005)
    assert nodes.looks >= autoscaling.MAX_FAILED_POLLS + 5
    made.close()


def test_a_head_that_never_answers_ends_the_sweep(monkeypatch):
    made, _ = watched(monkeypatch, failures=10**6)
    made.start()
    with pytest.raises(SetupError, match="cannot be seen any more"):
        made.watcher.wait(SOON_S)
    made.close()


def test_nodes_that_never_come_are_spoken_of_and_end_the_sweep_at_last(monkeypatch):
    said = []
    made, _ = watched(monkeypatch, 0, lambda event, **what: said.append((event, what)))
    monkeypatch.setattr(waiting, "FIRST_S", 0.02)
    monkeypatch.setattr(autoscaling, "NODES_S", 0.2)
    made.start()
    with pytest.raises(SetupError, match="no node that holds a slot has come within"):
        made.watcher.wait(SOON_S)
    made.close()
    (first, *_) = [
        what["message"] for event, what in said
        if event == "waiting" and what["message"].startswith("still waiting")
    ]  # fmt: skip
    assert "nodes for slots that are missing" in first
    assert "ray status" in first


def test_the_limit_counts_from_when_the_last_slot_was_lost(monkeypatch):
    said, now, count = [], [1000.0], [1]

    def emit(event, message, **what):
        said.append(message)

    made, _ = watched(monkeypatch, 0, emit, slots=8, count=lambda: count[0])
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def look(after_h, slots):
        now[0] += 3600.0 * after_h
        count[0] = slots
        made._look_for_missing()

    look(0, slots=4)
    look(20, slots=4)
    assert "still waiting for nodes" in said[-1]
    assert "at most" not in said[-1]
    look(0, slots=0)
    look(11, slots=0)
    assert "at most 720 min" in said[-1]
    look(0, slots=1)
    look(0, slots=0)
    look(11, slots=0)
    with pytest.raises(SetupError, match="within 12 h"):
        look(1, slots=0)


def test_a_wait_that_a_signal_broke_off_does_not_take_the_thread_for_ended():
    over = threading.Event()
    work = BackgroundThread(lambda: over.wait(SOON_S) and None, "work")
    threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        work.wait(SOON_S)
    assert not work.wait(0.05)
    over.set()
    assert work.wait(SOON_S)
