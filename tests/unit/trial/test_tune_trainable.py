"""What a process of Tune does to the job that it follows when it ends, in whatever way."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import ray

from raykd.trial import tune_trainable as module
from raykd.trial.tune_trainable import tune_trainable

CONFIG = {"coordinator": "c", "namespace": "n", "job": "j"}


class Coordinator:
    """Gives out events, one at a time, or fails on request."""

    def __init__(self, *events):
        self.events, self.cancelled = list(events), []
        self.pull = SimpleNamespace(remote=self._pull)
        self.cancel = SimpleNamespace(remote=self.cancelled.append)

    def _pull(self, job, cursor, timeout_s):
        event = self.events[cursor]
        if isinstance(event, BaseException):
            raise event
        return [event]


@pytest.fixture
def follow(monkeypatch):
    """Follow a job; what was reported of it."""
    reported = []

    def follow(coordinator):
        monkeypatch.setattr(ray, "get_actor", lambda name, namespace: coordinator)
        tune_trainable(CONFIG)
        return reported

    monkeypatch.setattr(module, "answer", lambda request: request)
    monkeypatch.setattr(module.tune, "report", reported.append)
    return follow


def test_a_job_is_followed_to_its_end(follow):
    coordinator = Coordinator({"kind": "started"}, {"kind": "evaluation"}, {"kind": "done"})
    assert follow(coordinator) == [
        {"event": '{"kind": "evaluation"}'}, {"event": '{"kind": "done"}'}
    ]  # fmt: skip
    assert not coordinator.cancelled


def test_a_job_that_tune_stops_following_is_cancelled(follow):
    coordinator = Coordinator({"kind": "evaluation"}, SystemExit(0))
    with pytest.raises(SystemExit):
        follow(coordinator)
    assert coordinator.cancelled == ["j"]


def test_a_call_that_does_not_get_through_leaves_the_job_to_who_follows_it_next(follow):
    coordinator = Coordinator({"kind": "evaluation"}, ray.exceptions.GetTimeoutError())
    with pytest.raises(ray.exceptions.RayError):
        follow(coordinator)
    assert not coordinator.cancelled
