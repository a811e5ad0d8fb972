"""Following jobs on a board that is a real actor."""

from __future__ import annotations

import threading
import time
import uuid

import pytest
import ray

from raykd.trial.board import answer, open_board
from raykd.trial.follow import follow


@pytest.fixture
def board(cluster: None):
    actor = open_board(f"follow-{uuid.uuid4().hex[:8]}", ray.get_runtime_context().namespace)
    yield actor
    answer(actor.close.remote())
    ray.kill(actor)


def report(board, job: str, epoch: int) -> str:
    return answer(board.push.remote(job, 1, {"kind": "evaluation", "epoch": epoch}))


def test_every_event_of_every_job_arrives_in_order_until_all_are_over(board) -> None:
    jobs = ("a", "b", "c")
    for job in jobs:
        answer(board.submit.remote(job, None, 0))
        answer(board.take.remote(0, "node", 0.0))
    report(board, "a", 1)

    def work() -> None:
        report(board, "b", 1)
        report(board, "a", 2)
        answer(board.push.remote("a", 1, {"kind": "done"}))
        time.sleep(0.2)
        report(board, "b", 2)
        answer(board.push.remote("b", 1, {"kind": "failed", "error": "no"}))
        answer(board.cancel.remote("c"))

    worker = threading.Thread(target=work)
    worker.start()
    found: dict[str, list[object]] = {job: [] for job in jobs}
    follow(board, jobs, lambda job, e: found[job].append(e.get("epoch", e["kind"])))
    worker.join()
    assert found == {"a": [1, 2, "done"], "b": [1, 2, "failed"], "c": ["cancelled"]}


def test_following_ends_when_the_board_is_closed(board) -> None:
    answer(board.submit.remote("a", None, 0))
    closing = threading.Timer(0.2, lambda: answer(board.close.remote()))
    closing.start()
    found: list[str] = []
    follow(board, ["a"], lambda job, event: found.append(event["kind"]))
    assert found == ["cancelled"]
    answer(board.submit.remote("late", None, 0))
    follow(board, ["late"], lambda job, event: found.append(event["kind"]))
    assert found == ["cancelled", "cancelled"]
    closing.join()
