"""A method at fault: once in a sweep, it does one of the things that code of users may do."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from raykd import LossTerms, Method, OutputSpec, param

FOREVER_S = 1_000_000


class Unprintable(Exception):
    """An error that cannot be shown."""

    def __str__(self) -> str:
        raise ValueError("not even its text")


def kill(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)
    time.sleep(FOREVER_S)


def fail(exc: BaseException) -> None:
    raise exc


def fall() -> None:
    fall()


def loop() -> None:
    while True:
        pass


def eat() -> None:
    held = []
    while True:
        held.append(b"x" * 2**24)


def talk() -> None:
    for _ in range(2**16):
        print("x" * 2**10)


FAULTS: dict[str, Callable[[], object]] = {
    "error": lambda: fail(RuntimeError("a fault")),
    "error without a text": lambda: fail(Unprintable()),
    "error that holds a lock": lambda: fail(RuntimeError(threading.Lock())),
    "recursion": fall,
    "sys.exit": lambda: sys.exit(3),
    "KeyboardInterrupt": lambda: fail(KeyboardInterrupt()),
    "memory": eat,
    "loop": loop,
    "sleep": lambda: time.sleep(FOREVER_S),
    "os._exit": lambda: os._exit(7),
    "SIGSEGV": lambda: kill(signal.SIGSEGV),
    "SIGKILL": lambda: kill(signal.SIGKILL),
    "SIGTERM": lambda: kill(signal.SIGTERM),
    "SIGSTOP": lambda: kill(signal.SIGSTOP),
    "holds the interpreter": lambda: ctypes.PyDLL(None).sleep(FOREVER_S),
    "64 MB of output": talk,
    "process left": lambda: subprocess.Popen(["sleep", str(FOREVER_S)]),
}
"""By name; the first ones end the trial, the later ones end what trains it, and it trains again."""

FAIL = tuple(FAULTS)[: tuple(FAULTS).index("os._exit")]
"""Faults that are those of a trial."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Params:
    """What it does, and when."""

    fault: str = param("error", choices=tuple(FAULTS), help="What.")
    at: int = param(1, low=1, high=1000, help="In which step.")
    mark: str = param("", help="A file that is there once it has happened; none: it never does.")


class Faulty(Method[Params]):
    """The task loss."""

    title = "task loss, with a fault"
    reference = "https://example.org"
    requires = OutputSpec()
    _steps = 0

    def loss(self, batch, student, teacher):
        self._steps += 1
        mark = Path(self.params.mark)
        if self.params.mark and self._steps == self.params.at and not mark.exists():
            mark.touch()
            FAULTS[self.params.fault]()
        return LossTerms(task=student.task_loss)


METHOD = Faulty
