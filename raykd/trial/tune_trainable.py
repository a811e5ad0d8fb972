"""The trainable of Ray Tune: a thin function that follows one job of the coordinator.

The searcher submits the job to the coordinator when it suggests the trial, so a free slot can begin
at once; this function passes the job's events on to Tune, whose scheduler decides about stopping.
"""

from __future__ import annotations

import json
from typing import Any

import ray
from ray import tune

from raykd.trial.coordinator import answer

PULL_S = 1.0
"""Tune waits 2 s for the function of a reused actor to end, so no call here may take longer."""


def tune_trainable(config: dict[str, Any]) -> None:
    """Follow one job until it is over; each event is reported as one JSON text.

    A process of Tune that dies is started again and follows the job from its first event on: what
    comes twice changes nothing. The job continues meanwhile.

    Args:
        config: ``coordinator`` and ``namespace`` of the actor, ``job`` (its id).
    """
    coordinator: Any = ray.get_actor(config["coordinator"], namespace=config["namespace"])
    cursor = 0
    try:
        while True:
            events = answer(coordinator.pull.remote(config["job"], cursor, PULL_S))
            cursor += len(events)
            for event in events:
                if event["kind"] == "cancelled":
                    return
                if event["kind"] in ("evaluation", "done", "failed"):
                    tune.report({"event": json.dumps(event)})
                if event["kind"] in ("done", "failed"):
                    return
    except ray.exceptions.RayError:
        raise  # a call that did not get through says nothing about the job
    except BaseException:
        answer(coordinator.cancel.remote(config["job"]))
        raise
