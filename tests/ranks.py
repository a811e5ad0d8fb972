"""Ranks in one process: threads that meet in the collectives of a `DistributedContext`.

Starting processes takes seconds; these take none, and run the same functions. What they compute one
after the other between two meetings is the same in every order, as long as nothing is drawn from a
generator that they share. One of them computes at a time: threads that run at once would spend more
on taking the interpreter from each other than on tensors of this size.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import Tensor

from raykd.training.device import DistributedContext

T = TypeVar("T")
TIMEOUT_S = 60.0


class Meeting:
    """Where the ranks lay down what they have, and see what the others have."""

    def __init__(self, size: int) -> None:
        self.boxes: list[Any] = [None] * size
        self.barrier = threading.Barrier(size, timeout=TIMEOUT_S)
        self.turn = threading.Lock()
        """Held by the one that computes."""

    def exchange(self, rank: int, value: Any) -> list[Any]:
        self.boxes[rank] = value
        self.wait()
        actual = list(self.boxes)
        self.wait()
        return actual

    def wait(self) -> None:
        """For all the others, which compute meanwhile."""
        self.turn.release()
        try:
            self.barrier.wait()
        finally:
            self.turn.acquire()


@dataclass(frozen=True)
class ThreadContext(DistributedContext):
    """One rank among several threads."""

    meeting: Meeting = field(default_factory=lambda: Meeting(1))

    def broadcast(self, obj: T) -> T:
        actual: T = self.meeting.exchange(self.rank, obj)[0]
        return actual

    def gather(self, obj: T) -> list[T]:
        return self.meeting.exchange(self.rank, obj)

    def gather_tensors(self, tensor: Tensor) -> list[Tensor]:
        actual = self.meeting.exchange(self.rank, tensor.clone())
        assert len({t.shape for t in actual}) == 1, "a collective needs equal shapes"
        return actual

    def equalise(self, tensors: Iterable[Tensor]) -> None:
        for tensor in tensors:
            tensor.copy_(self.gather_tensors(tensor)[0])

    def sum(self, tensor: Tensor) -> Tensor:
        return tensor.copy_(torch.stack(self.gather_tensors(tensor)).sum(dim=0))


def on_ranks(size: int, run: Callable[[DistributedContext], T]) -> list[T]:
    """What a function gives on every rank, in the order of the ranks."""
    meeting = Meeting(size)
    worlds = [
        ThreadContext(rank, size, torch.device("cpu"), meeting=meeting) for rank in range(size)
    ]
    with ThreadPoolExecutor(size) as pool:
        futures = [pool.submit(_run, run, world) for world in worlds]
    errors = [e for f in futures if (e := f.exception()) is not None]
    broken = [e for e in errors if not isinstance(e, threading.BrokenBarrierError)]
    if errors:
        raise (broken or errors)[0]
    return [future.result() for future in futures]


def _run(run: Callable[[DistributedContext], T], world: ThreadContext) -> T:
    with world.meeting.turn:
        try:
            return run(world)
        except BaseException:
            world.meeting.barrier.abort()  # the others would wait for it
            raise
