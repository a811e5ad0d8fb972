"""Bytes that PyTorch allocates on the CPU while a function runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch.profiler import ProfilerActivity, profile


@dataclass(frozen=True, slots=True)
class Allocated:
    """What a function allocated beyond what was there.

    Attributes:
        peak: Most bytes at one time.
        left: Bytes that are still there at the end.
    """

    peak: int
    left: int


def allocated(function: Callable[[], Any]) -> Allocated:
    """Run a function under PyTorch's profiler; its result is kept until the count is taken."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as watched:
        kept = function()
    actual: Any = watched.profiler
    events = [e for e in actual.kineto_results.events() if e.name() == "[memory]"]
    now = most = 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        now += event.nbytes()
        most = max(most, now)
    del kept
    return Allocated(peak=most, left=now)
