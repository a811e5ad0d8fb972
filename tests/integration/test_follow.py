"""Following jobs on a coordinator that is a real actor."""

from __future__ import annotations

import threading
import time
import uuid

import pytest
import ray

from raykd.trial.coordinator import answer, start_coordinator
from raykd.trial.follow import follow


@pytest.fixture
def coordinator(cluster: None):
    actor = start_coordinator(f"follow-{uuid.uuid4().hex[:8]}", ray.get_runtime_context().namespace)
    yield actor
    answer(actor.close.remote())
    ray.kill(actor)


def report(coordinator, job: str, epoch: int) -> str:
    return answer(coordinator.push.remote(job, 1, {"kind": "evaluation", "epoch": epoch}))


def test_every_event_of_every_job_arrives_in_order_until_all_are_over(coordinator) -> None:
    jobs = ("a", "b", "c")
    for job in jobs:
        answer(coordinator.submit.remote(job, None, 0))
        answer(coordinator.take.remote(0, "node", 0.0))
    report(coordinator, "a", 1)

    def work() -> None:
        report(coordinator, "b", 1)
        report(coordinator, "a", 2)
        answer(coordinator.push.remote("a", 1, {"kind": "done"}))
        time.sleep(0.2)
        report(coordinator, "b", 2)
        answer(coordinator.push.remote("b", 1, {"kind": "failed", "error": "no"}))
        answer(coordinator.cancel.remote("c"))

    worker = threading.Thread(target=work)
    worker.start()
    actual: dict[str, list[object]] = {job: [] for job in jobs}
    follow(coordinator, jobs, lambda job, e: actual[job].append(e.get("epoch", e["kind"])))
    worker.join()
    assert actual == {"a": [1, 2, "done"], "b": [1, 2, "failed"], "c": ["cancelled"]}


def test_following_ends_when_the_coordinator_is_closed(coordinator) -> None:
    answer(coordinator.submit.remote("a", None, 0))
    closing = threading.Timer(0.2, lambda: answer(coordinator.close.remote()))
    closing.start()
    actual: list[str] = []
    follow(coordinator, ["a"], lambda job, event: actual.append(event["kind"]))
    assert actual == ["cancelled"]
    answer(coordinator.submit.remote("late", None, 0))
    follow(coordinator, ["late"], lambda job, event: actual.append(event["kind"]))
    assert actual == ["cancelled", "cancelled"]
    closing.join()
