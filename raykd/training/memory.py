"""Running out of memory: which errors say so, and one error that all ranks raise together."""

from __future__ import annotations

import gc

import torch

from raykd.errors import TrialError

_WORDS = (
    "defaultcpuallocator",  # torch on a CPU: can't allocate memory, not enough memory
    "out of memory",  # drivers and libraries beneath torch
    "bad_alloc",
    "could not create a memory object",  # oneDNN
)


class OutOfMemory(TrialError):
    """Memory ran out on a rank; every rank raises it at the same place.

    Args:
        reason: What said so.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"memory ran out: {reason}", hint="take shorter rows or a smaller model")
        self.reason = reason


def ran_out(exc: BaseException) -> str:
    """The first line of an exception that says that memory ran out; empty for any other one."""
    first = (str(exc).splitlines() or [""])[0] or type(exc).__name__
    if isinstance(exc, torch.OutOfMemoryError | MemoryError):
        return first
    is_memory = isinstance(exc, RuntimeError) and any(word in str(exc).lower() for word in _WORDS)
    return first if is_memory else ""


def release(device: torch.device) -> None:
    """Give back what a failed pass held: exceptions and their frames may form cycles."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
