"""What an error says of the other ranks of a slot: one of them is lost, or does not answer."""

from __future__ import annotations

import torch.distributed as dist

from raykd.training.settings import COLLECTIVE_TIMEOUT_S

_LOST = (
    "connection closed by peer", "connection reset by peer", "remote process exited",
    "broken pipe", "got 0 bytes",
)  # fmt: skip
_SILENT = (
    "timed out waiting",
    "application timeout",
    "watchdog caught collective operation timeout",
)

SILENCE = (
    f"another worker of the slot did not answer for {COLLECTIVE_TIMEOUT_S / 3600:g} hours, in "
    "which a worker waits for the others"
)
"""The message where waiting for a rank timed out."""

SILENCE_HINT = (
    "one of them hangs, or computes alone for longer than that: smaller data.limit or "
    "teacher.finetune.epochs shorten what one worker does while the others wait"
)


def is_lost(exc: BaseException) -> bool:
    """Whether an exception says that the process of another rank has ended."""
    return _says(exc, _LOST)


def is_silent(exc: BaseException) -> bool:
    """Whether an exception says that another rank did not answer in time."""
    return _says(exc, _SILENT)


def _says(exc: BaseException, words: tuple[str, ...]) -> bool:
    text = str(exc).lower()
    of_ranks = isinstance(exc, RuntimeError | dist.DistBackendError)
    return of_ranks and any(word in text for word in words)
