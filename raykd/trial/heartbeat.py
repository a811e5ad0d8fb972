"""The heartbeat of a job, and how its worker is interrupted when the job is lost."""

from __future__ import annotations

import contextlib
import ctypes
import threading
from collections.abc import Callable, Iterator
from typing import Self

import ray

from raykd.trial.coordinator import STOP

HEARTBEAT_S = 5.0


class JobLost(BaseException):
    """The job was cancelled or moved to another slot, or its driver is gone: drop the result.

    Not an `Exception`, so that the code of a method does not catch it as one of its own.
    """


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
    """

    def __init__(
        self, ask: Callable[[float], str], *, interrupts: bool, every_s: float = HEARTBEAT_S
    ) -> None:
        self._ask = ask
        self._interrupts = interrupts
        self._every_s = every_s
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._lost = False
        self._worker: int | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
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
        while not self._over.is_set():
            try:
                answer = self._ask(self._every_s)
            except ray.exceptions.RayActorError:  # the coordinator is gone, and its driver with it
                answer = STOP
            if answer == STOP:
                self._interrupt()
                self._over.wait(self._every_s)

    def _interrupt(self) -> None:
        with self._lock:
            self._lost = self._interrupts
            if self._interrupts and self._worker is not None:
                _raise_in(self._worker, JobLost)


def _raise_in(thread: int, kind: type[BaseException] | None) -> None:
    """Raise an exception in another thread as soon as it runs Python code; None clears it."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread), None if kind is None else ctypes.py_object(kind)
    )
