"""The events that report why a job failed."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

from raykd.errors import RaykdError, TrialError
from raykd.training.peers import SILENCE, SILENCE_HINT, is_silent

Push = Callable[[dict[str, Any]], str]
"""Sends an event of a job to the coordinator; its answer is whether to continue."""


def too_long(push: Push, limit_s: float | None, stack: str) -> None:
    """Report that a trial took longer than it may, and where it was."""
    push({
        "kind": "failed", "error": f"took longer than search.trial_time_limit ({limit_s:.0f} s)",
        "hint": "the traceback shows where it was; raise the limit, or look there",
        "traceback": stack,
    })  # fmt: skip


def too_large(push: Push, why: str) -> None:
    """Report that a job took more memory than it may."""
    push({
        "kind": "failed", "error": why, "traceback": "",
        "hint": "take smaller models or batches, or fewer slots (search.max_concurrent); "
        "resources.memory_gb_per_worker sets the limit",
    })  # fmt: skip


def failure(exc: BaseException, ranks: int) -> dict[str, Any]:
    """The event that reports why a job failed."""
    if ranks > 1 and is_silent(exc):
        exc = TrialError(SILENCE, hint=SILENCE_HINT).with_traceback(exc.__traceback__)
    hint = exc.hint if isinstance(exc, RaykdError) else ""
    if not isinstance(exc, Exception):
        hint = "the code of the method ends its process; it is to raise an error that says why"
    return {
        "kind": "failed", "error": last_line(exc), "hint": hint,
        "traceback": traceback.format_exc(),
    }  # fmt: skip


def last_line(exc: BaseException) -> str:
    """The kind of an exception and the last line that it says; of trials, the line alone."""
    text = str(exc).strip().splitlines()
    if isinstance(exc, TrialError) and text:
        return text[-1]
    return ": ".join([type(exc).__name__, *text[-1:]])
