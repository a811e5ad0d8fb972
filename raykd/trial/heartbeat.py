"""The heartbeat of a job, and how its worker is interrupted when the job is lost."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Self

import ray

from raykd.trial.coordinator import GO, STOP

HEARTBEAT_S = 5.0

HUNG_S = 60.0
"""Code that was interrupted, and is still at it so much later, is in a call that never returns."""

HUNG_EXIT = 75
"""What the process of a worker ends with that hung."""

UNANSWERED = 6
"""Signs of life in a row that may fail."""

_STACK = 12
"""Calls of a stack that are reported, the innermost ones."""


class JobLost(BaseException):
    """The job was cancelled or moved to another slot, or its driver is gone: drop the result.

    Not an `Exception`, so that the code of a method does not catch it as one of its own.
    """


@dataclass(frozen=True, kw_only=True, slots=True)
class TimeLimit:
    """How long a job may take.

    Attributes:
        seconds: From its beginning in this process; None for any time.
        passed: Called with the stack of the code when it took longer; ends the job.
        hung: Called with the stack where the code cannot be interrupted, before its process ends.
        hung_s: How long code may keep running after it was interrupted.
    """

    seconds: float | None
    passed: Callable[[str], None]
    hung: Callable[[str], None]
    hung_s: float = HUNG_S


class Heartbeat:
    """Tells the coordinator from another thread that a job is alive; a context manager.

    Where the coordinator says stop, the code inside `interruptible` is interrupted with `JobLost`,
    also a loop that never reports.

    Args:
        ask: Sends a heartbeat; the coordinator waits up to so many seconds for a reason to stop
            and answers.
        interrupts: Whether to interrupt. Several ranks stop together or not at all: they learn it
            with their next report.
        every_s: How long the coordinator may wait.
        limit: How long the job may take; None for any time, without an end for code that hangs.
        look: Called with each answer but a stop, with what says where the code is.
    """

    def __init__(
        self,
        ask: Callable[[float], str],
        *,
        interrupts: bool,
        every_s: float = HEARTBEAT_S,
        limit: TimeLimit | None = None,
        look: Callable[[Callable[[], str]], None] = lambda stack: None,
    ) -> None:
        self._ask = ask
        self._look = look
        self._interrupts = interrupts
        self._every_s = every_s
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._lost = False
        self._worker: int | None = None
        self._limit = limit
        self._ends: float | None = None
        self._interrupted: float | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        if self._limit is not None and self._limit.seconds is not None:
            self._ends = time.monotonic() + self._limit.seconds
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()

    @contextlib.contextmanager
    def interruptible(self) -> Iterator[None]:
        """Marks code that may be interrupted in this thread.

        Raises:
            JobLost: The job is lost, before or while the code ran.
        """
        me = threading.get_ident()
        with self._lock:
            if self._lost:
                raise JobLost
            self._worker = me
        try:
            yield
        finally:
            with self._lock:
                self._worker = None
            _raise_in(me, None)  # what came too late to be raised

    def _run(self) -> None:
        unanswered = 0
        while not self._over.is_set():
            try:
                answer = self._beat()
                unanswered = 0
            except ray.exceptions.RayActorError:  # the coordinator is gone, and its driver with it
                answer = STOP
            except Exception:
                # One question that fails says nothing of the job; after as many as a lease lasts,
                # another slot has it.
                unanswered += 1
                answer = STOP if unanswered >= UNANSWERED else GO
                self._over.wait(self._every_s)
            if answer == STOP:
                self._interrupt()
                self._over.wait(self._every_s)
                self._end_what_hangs()

    def _beat(self) -> str:
        """Give a sign of life; returns the answer. Looks at the time, too."""
        answer = self._ask(self._wait_s())
        if answer == STOP:
            return answer
        if self._ends is not None and time.monotonic() >= self._ends:
            assert self._limit is not None
            self._limit.passed(self._stack())
            self._ends = None
        self._look(self._stack)
        return answer

    def _wait_s(self) -> float:
        """How long the coordinator may wait for a reason to stop."""
        if self._ends is None:
            return self._every_s
        return min(self._every_s, max(self._ends - time.monotonic(), 0.0))

    def _interrupt(self) -> None:
        with self._lock:
            self._lost = self._interrupts
            if self._worker is not None:
                self._interrupted = self._interrupted or time.monotonic()
                if self._interrupts:
                    _raise_in(self._worker, JobLost)

    def _end_what_hangs(self) -> None:
        """End this process where its code does not come back; its slot begins with a new one."""
        begun, limit = self._interrupted, self._limit
        if limit is None or begun is None or time.monotonic() - begun < limit.hung_s:
            return
        with self._lock:
            hangs = self._worker is not None
        if hangs:
            try:
                limit.hung(self._stack())
            finally:
                os._exit(HUNG_EXIT)

    def _stack(self) -> str:
        """Where the code is now, as far as Python knows."""
        frame = None if self._worker is None else sys._current_frames().get(self._worker)
        if frame is None:
            return ""
        return "".join(traceback.format_stack(frame)[-_STACK:])


def _raise_in(thread: int, kind: type[BaseException] | None) -> None:
    """Raise an exception in another thread as soon as it runs Python code; None clears it."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread), None if kind is None else ctypes.py_object(kind)
    )
