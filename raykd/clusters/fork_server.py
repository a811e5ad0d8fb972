"""The fork server: workers of a local cluster are forked from a process that has imported torch.

A sweep starts about ten processes of Ray, one after another, and each would spend seconds of CPU
time on the same imports. The fork server imports them once, while the driver imports its own, and
has done nothing else: no thread of Python, no Ray, no device. What Ray runs for a worker
(`raykd.clusters.forked_worker`) asks it for one. It ends with the process that started it.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import importlib
import json
import os
import runpy
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NoReturn

from raykd import ray_private
from raykd.clusters.forked_worker import LENGTH, SOCKET, STATUS, WORKER

AVAILABLE = sys.platform == "linux"
"""Elsewhere, libraries of the system do not survive a fork."""

IMPORTED = (
    "pandas", "pyarrow", "raykd.teachers.prepare", "raykd.training.loop",
    "transformers.models.bert.modeling_bert",
)  # fmt: skip
"""What workers import, and Ray has no part in."""

WITH_RAY = (
    ray_private.WORKER_FILE.module, "ray.train.torch", "raykd.trial.tune_trainable",
    "raykd.trial.worker",
)  # fmt: skip
"""What workers import besides, once it is known for whom."""

FIXED = ("RAY_JOB_ID", "RAY_RAYLET_PID")
"""What Ray reads from the environment when it is loaded, and never again."""

THREADS = {"OMP_NUM_THREADS": "1"}
"""What a worker of one CPU has, read when libraries are loaded. A slot of more CPUs tells torch
itself."""


class ForkServer:
    """Starts a fork server; returns at once. It ends with this process, whatever ends that."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="raykd-forks-"))  # nobody else may ask
        self.environment = {SOCKET: str(self._folder / "socket"), WORKER: ray_private.worker_file()}
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env={**THREADS, **os.environ, **self.environment},
        )

    def end(self) -> None:
        """End it; it may still be importing."""
        self._process.kill()
        self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)


def serve(path: Path, worker: str, first: Iterable[str], then: Iterable[str]) -> None:
    """Import, then fork a worker for everybody who asks, until standard input ends.

    Args:
        path: Of the socket; its folder goes with it.
        worker: The file that a worker runs.
        first: What to import.
        then: What to import when somebody asks, with the environment of the first who does.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
            listening.bind(str(path))
            listening.listen(128)
            for module in first:
                importlib.import_module(module)
            _Server(listening, worker, then).serve()
    finally:
        shutil.rmtree(path.parent, ignore_errors=True)


class _Ended(BaseException):
    """The process that started the fork server is gone."""


class _Server:
    """Forks workers and tells those who asked how they ended.

    Args:
        listening: Where to ask.
        worker: The file that a worker runs.
        then: What to import when the first asks.
    """

    def __init__(self, listening: socket.socket, worker: str, then: Iterable[str]) -> None:
        self._listening = listening
        self._worker = worker
        self._then = then
        self._fixed: dict[str, str | None] | None = None
        self._asked: dict[int, socket.socket] = {}
        self._selector = selectors.DefaultSelector()
        self._woken, self._wake = socket.socketpair()
        self._wake.setblocking(False)

    def serve(self) -> None:
        """Work until the process that started this one ends."""
        signal.set_wakeup_fd(self._wake.fileno())
        signal.signal(signal.SIGCHLD, lambda *signalled: None)
        self._on(self._listening, self._fork)
        self._on(self._woken, self._reap)
        self._on(sys.stdin, self._end)
        with contextlib.suppress(_Ended):
            while True:
                for key, _ in self._selector.select():
                    key.data()

    def _on(self, source: Any, act: Callable[[], None]) -> None:  # a socket or a stream
        self._selector.register(source, selectors.EVENT_READ, act)

    def _end(self) -> None:
        raise _Ended

    def _reap(self) -> None:
        """Tell those who asked for workers that have ended."""
        self._woken.recv(STATUS)
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                process, status = ended
                asked = self._asked.pop(process)
                self._selector.unregister(asked)
                with asked, contextlib.suppress(OSError):
                    asked.sendall(status.to_bytes(STATUS, "big"))

    def _fork(self) -> None:
        asked, _ = self._listening.accept()
        head, streams, _, _ = socket.recv_fds(asked, LENGTH, 3)
        with asked.makefile("rb") as data:
            request = json.loads(data.read(int.from_bytes(head, "big")))
        if self._fixed is None:
            self._complete(request["environment"])
        if request["arguments"] is None:
            for one in (asked.detach(), *streams):
                os.close(one)
            return
        process = os.fork()
        if not process:
            self._become(request, streams, asked)
        for stream in streams:
            os.close(stream)
        self._asked[process] = asked
        # Who asked says nothing more: it can only end, and then the worker is not wanted.
        self._on(asked, functools.partial(os.kill, process, signal.SIGKILL))

    def _complete(self, environment: dict[str, str]) -> None:
        """Import the rest as one whom the environment is meant for."""
        os.environ.update(environment)
        self._fixed = _fixed_in(environment)
        for module in self._then:
            importlib.import_module(module)
        gc.collect()
        gc.freeze()  # a collection in a worker would copy what they share

    def _become(
        self, request: dict[str, Any], streams: list[int], asked: socket.socket
    ) -> NoReturn:
        """Be a worker of Ray, in the forked process."""
        code: Any = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.setpgid(0, 0)
            self._selector.close()
            for one in (self._listening, self._woken, self._wake, asked, *self._asked.values()):
                one.close()
            for number, stream in enumerate(streams):
                os.dup2(stream, number)
                os.close(stream)
            os.chdir(request["folder"])
            os.environ.clear()
            os.environ.update(request["environment"])
            sys.argv = [self._worker, *request["arguments"]]
            if self._fixed != _fixed_in(request["environment"]):  # of a second driver, or cluster
                os.execv(sys.executable, [sys.executable, *sys.argv])
            ray_private.read_environment_again()
            runpy.run_path(self._worker, run_name="__main__")
            code = 0
        except SystemExit as exc:
            code = exc.code
        except BaseException:
            traceback.print_exc()
        for text in (sys.stdout, sys.stderr):
            text.flush()
        os._exit(code if isinstance(code, int) else int(code is not None))


def _fixed_in(environment: dict[str, str]) -> dict[str, str | None]:
    return {name: environment.get(name) for name in FIXED}


if __name__ == "__main__":
    serve(Path(os.environ[SOCKET]), os.environ[WORKER], IMPORTED, WITH_RAY)
