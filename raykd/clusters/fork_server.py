"""The fork server: workers of slots of a local cluster are forked from one process.

Each would spend seconds of CPU time on importing torch and the models of Transformers. The fork
server imports them once, while the driver imports its own, and does nothing else: it has no second
thread, or it does not fork; it knows neither Ray nor a device. What Ray runs for a worker
(`raykd.ray_private.setup_worker`) asks it for one, and becomes one itself where there is no answer.
It ends with the process that started it.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import gc
import importlib
import json
import os
import random
import runpy
import secrets
import selectors
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NoReturn

from raykd.ray_private.setup_worker import LENGTH, PID, SERVER, STATUS, user_of

AVAILABLE = sys.platform == "linux"
"""Elsewhere, libraries of the system do not survive a fork."""

IMPORTED = (
    "raykd.training.loop", "torch._dynamo", "transformers.masking_utils",
    "transformers.modeling_layers",
)  # fmt: skip
"""What every slot imports, and Ray has no part in."""

_DRIVER = "/libcuda.so"
"""CUDA's, which torch loads when it first looks for devices."""

_READ_S = 1.0
"""Who asks has this long to say what for."""

_END_WITH_PARENT = 1
"""Linux's `PR_SET_PDEATHSIG`."""

_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
"""So that libraries start no threads when they are imported; slots tell torch how many to use."""


def start() -> subprocess.Popen[bytes]:
    """Start one, and name it in the environment of this process; returns at once.

    It ends when its standard input, which this process holds, is closed.
    """
    os.environ[SERVER] = f"raykd-{os.getpid()}-{secrets.token_hex(8)}"
    return subprocess.Popen(
        [sys.executable, "-P", "-m", __name__],
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **_ONE_THREAD},
    )


def serve(name: str, modules: Iterable[str]) -> None:
    """Import, then fork a worker for everybody who asks, until standard input ends.

    Args:
        name: Of the abstract socket.
        modules: What to import.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(f"\0{name}")
        listening.listen(128)  # who asks early waits
        for module in modules:
            importlib.import_module(module)
        if len(list(Path("/proc/self/task").iterdir())) > 1:
            return  # a lock that another thread holds would stay locked in a forked process
        if _DRIVER in Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace"):
            return  # a driver of a device that was begun here does not work in a forked process
        gc.collect()
        gc.freeze()  # a collection in a worker would copy what they share
        _Server(listening).serve()


class _Server:
    """Forks workers and tells its clients how they ended.

    Args:
        listening: Where to ask.
    """

    def __init__(self, listening: socket.socket) -> None:
        self._listening = listening
        self._clients: dict[int, socket.socket] = {}
        self._selector = selectors.DefaultSelector()
        self._woken, self._wake = socket.socketpair()
        self._wake.setblocking(False)
        self._serving = True

    def serve(self) -> None:
        """Work until the process that started this one ends."""
        signal.set_wakeup_fd(self._wake.fileno())
        signal.signal(signal.SIGCHLD, lambda *signalled: None)
        self._on(self._listening, self._fork)
        self._on(self._woken, self._reap)
        self._on(sys.stdin, self._end)
        while self._serving:
            for key, _ in self._selector.select():
                key.data()

    def _on(self, source: Any, act: Callable[[], None]) -> None:  # a socket or a stream
        self._selector.register(source, selectors.EVENT_READ, act)

    def _end(self) -> None:
        self._serving = False

    def _reap(self) -> None:
        """Tell the clients whose workers have ended."""
        self._woken.recv(STATUS)
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                process, status = ended
                client = self._clients.pop(process, None)
                if client is None:  # it was not wanted any more
                    continue
                self._selector.unregister(client)
                with client, contextlib.suppress(OSError):
                    client.sendall(status.to_bytes(STATUS, "big"))

    def _drop(self, process: int, client: socket.socket) -> None:
        """End the worker of a client that has ended, as nobody wants it now."""
        if self._clients.get(process) is not client:
            return  # both have ended at once
        del self._clients[process]
        self._selector.unregister(client)
        client.close()
        os.kill(process, signal.SIGKILL)

    def _fork(self) -> None:
        """Fork a worker; a client without an answer starts one as any other."""
        streams: list[int] = []
        with contextlib.suppress(OSError, ValueError):  # it has ended, or says nothing of use
            client, _ = self._listening.accept()
            try:
                self._fork_for(client, streams)
            finally:
                for stream in streams:
                    os.close(stream)
                if client not in self._clients.values():
                    client.close()

    def _fork_for(self, client: socket.socket, streams: list[int]) -> None:
        if user_of(client) != os.getuid():
            return
        client.settimeout(_READ_S)
        head, given, _, _ = socket.recv_fds(client, LENGTH, 3)
        streams += given
        with client.makefile("rb") as data:
            request = json.loads(data.read(int.from_bytes(head, "big")))
        server = os.getpid()
        process = os.fork()
        if not process:
            self._become(request, streams, client, server)
        self._clients[process] = client
        # A client sends nothing more: it can only end, and then the worker is not wanted.
        self._on(client, functools.partial(self._drop, process, client))
        client.sendall(process.to_bytes(PID, "big"))

    def _become(
        self, request: dict[str, Any], streams: list[int], client: socket.socket, server: int
    ) -> NoReturn:
        """Be a worker of Ray, in the forked process."""
        code: Any = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.setpgid(0, 0)
            _end_with(server)
            self._selector.close()
            for one in (self._listening, self._woken, self._wake, client, *self._clients.values()):
                one.close()
            for number, stream in enumerate(streams):
                os.dup2(stream, number)
                os.close(stream)
            os.chdir(request["folder"])
            os.environ.clear()
            os.environ.update(request["environment"])
            _draw_anew()
            sys.argv = request["arguments"]
            runpy.run_path(sys.argv[0], run_name="__main__")
            code = 0
        except SystemExit as exc:
            code = exc.code
        except BaseException:
            traceback.print_exc()
        for text in (sys.stdout, sys.stderr):
            text.flush()
        os._exit(code if isinstance(code, int) else int(code is not None))


def _end_with(server: int) -> None:
    """Let this process end when the fork server does, however that ends: Ray may not see it end."""
    ctypes.CDLL(None).prctl(_END_WITH_PARENT, signal.SIGKILL)
    if os.getppid() != server:  # it had ended before
        os._exit(1)


def _draw_anew() -> None:
    """Let no two workers draw the same random numbers, as processes that were started do not."""
    random.seed()
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed()


if __name__ == "__main__":
    serve(os.environ[SERVER], IMPORTED)
