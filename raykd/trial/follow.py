"""Follows several jobs at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import ray

from raykd.trial.coordinator import answer
from raykd.trial.tune_trainable import PULL_S

ENDS = ("done", "failed", "cancelled")


def follow(
    coordinator: Any, jobs: Iterable[str], on_event: Callable[[str, Mapping[str, Any]], None]
) -> None:
    """Call `on_event` with every event of every job until all of them are over.

    Args:
        coordinator: Handle of the coordinator actor.
        jobs: Ids of submitted jobs.
        on_event: Called with the job's id and the event, in the order of each job's events.
    """
    cursors = dict.fromkeys(jobs, 0)
    pulls = {coordinator.pull.remote(job, 0, PULL_S): job for job in cursors}
    while pulls:
        ready, _ = ray.wait(list(pulls), num_returns=1, timeout=2 * PULL_S)
        first = ready[0] if ready else next(iter(pulls))  # without one, the wait has a limit
        job = pulls.pop(first)
        events = answer(first)
        cursors[job] += len(events)
        for event in events:
            on_event(job, event)
        if not events or events[-1]["kind"] not in ENDS:
            pulls[coordinator.pull.remote(job, cursors[job], PULL_S)] = job
