"""What a Ray Tune trial is here: a thin function that follows a job on the board.

The searcher puts the job on the board when it suggests the trial, so a free slot can begin at once;
this function passes the job's events on to Tune, whose scheduler decides about stopping.
"""

from __future__ import annotations

import json
from typing import Any

import ray
from ray import tune

from raykd.trial.board import answer

PULL_S = 1.0
"""Tune waits 2 s for the function of a reused actor to end, so no call here may take longer."""


def lease(config: dict[str, Any]) -> None:
    """Follow one job until it is over; each event is reported as one JSON text.

    Args:
        config: ``board`` and ``namespace`` of the actor, ``job`` (its id).
    """
    board: Any = ray.get_actor(config["board"], namespace=config["namespace"])
    cursor = 0
    try:
        while True:
            events = answer(board.pull.remote(config["job"], cursor, PULL_S))
            cursor += len(events)
            for event in events:
                if event["kind"] == "cancelled":
                    return
                if event["kind"] in ("evaluation", "done", "failed"):
                    tune.report({"event": json.dumps(event)})
                if event["kind"] in ("done", "failed"):
                    return
    finally:
        answer(board.cancel.remote(config["job"]))
