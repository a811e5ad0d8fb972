"""Answers of the coordinator: each is waited for with a limit."""

from __future__ import annotations

import logging
from typing import Any

import ray

from raykd.waiting import FIRST_S, Waiting

LIMIT_S = 600.0
"""A coordinator that has not answered for so long counts as lost; none takes more than seconds."""


def answer(request: Any, limit_s: float = LIMIT_S) -> Any:  # what the coordinator's method returns
    """Wait for the answer to ``coordinator.method.remote(...)``.

    Raises:
        RayActorError: The coordinator is lost, or does not answer.
    """
    waiting = Waiting(
        "an answer of the process that hands out jobs",
        "it is stopped, or its machine is overloaded",
        logging.getLogger(__name__).warning,
        limit_s,
    )
    while waiting.still():
        try:
            reply: Any = ray.get(request, timeout=min(limit_s, FIRST_S))
        except ray.exceptions.GetTimeoutError:
            continue
        return reply
    raise ray.exceptions.RayActorError(error_msg=f"it has not answered for {limit_s:.0f} s")
