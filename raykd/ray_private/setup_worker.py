"""What Ray runs for a worker with an environment of its own, in place of its own file for that.

Ray's file imports Ray, only to become a process that imports it again. This one imports nothing:
it sets the environment, and becomes the worker, or asks the fork server
(`raykd.clusters.fork_server`) for one that has imported the libraries. It stays as long as that
worker does, and ends as it ended. What is requested besides environment variables is left to Ray's
file. Ray leaves both out for workers without an environment of their own, and knows a file that it
may leave out by this one's name.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
import sys
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

OTHERWISE = "RAYKD_RAY_WORKER_SETUP"
"""The environment variable that names Ray's own file."""

SERVER = "RAYKD_FORK_SERVER"
"""The environment variable that names the abstract socket of the fork server."""

FORKED = "RAYKD_FORKED"
"""The environment variable of workers that may be forked."""

LENGTH = 8
"""Bytes of the length in front of a request."""

PID = 4
"""Bytes of the answer that there is a worker now, its process."""

STATUS = 4
"""Bytes of the answer at its end, the status that `os.waitpid` gives."""

_LOST = 1 << 8
"""The status of a process that ends with 1."""

_KILLED_FIRST = "/proc/{}/oom_score_adj"
"""How readily the system ends a process where memory runs out, -1000 to 1000."""

_CONTEXT, _LANGUAGE = "--serialized-runtime-env-context=", "--language="


def main(arguments: Sequence[str]) -> NoReturn:
    """Be, or wait for, the worker.

    Args:
        arguments: As Ray's file is given them: the file of the worker, and what it is given.
    """
    context = next((a for a in arguments if a.startswith(_CONTEXT)), f"{_CONTEXT}{{}}")
    wanted = json.loads(context.removeprefix(_CONTEXT))
    own = wanted.pop("env_vars", None) or {}
    executable = wanted.pop("py_executable", sys.executable)
    if executable != sys.executable or any(wanted.values()) or "$" in "".join(own.values()):
        os.execv(sys.executable, [sys.executable, os.environ[OTHERWISE], *arguments])
    os.environ.update(own)
    rest = [a for a in arguments if not a.startswith((_CONTEXT, _LANGUAGE))]
    if own.get(FORKED) and SERVER in os.environ and not rest[0].startswith("-"):
        wait_for(rest, os.environ)
    os.execv(sys.executable, [sys.executable, *rest])


def wait_for(arguments: Sequence[str], environment: Mapping[str, str]) -> None:
    """Ask the fork server for a worker and end as it ends; returns where there is none."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        try:
            server.connect(f"\0{environment[SERVER]}")
            if user_of(server) != os.getuid():  # where it is gone, anybody may take its name
                return
            data = json.dumps({
                "arguments": arguments, "environment": dict(environment), "folder": os.getcwd(),
            }).encode()  # fmt: skip
            socket.send_fds(server, [len(data).to_bytes(LENGTH, "big")], [0, 1, 2])
            server.sendall(data)
            worker = server.recv(PID)
        except OSError:  # it is gone
            return
        if not worker:
            return
        _be_killed_after(int.from_bytes(worker, "big"))
        status = server.recv(STATUS)
    _end_as(int.from_bytes(status, "big") if status else _LOST)


def user_of(other: socket.socket) -> int:
    """The user whose process is at the other end."""
    form = "3i"
    who = other.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize(form))
    return int(struct.unpack(form, who)[1])


def _be_killed_after(worker: int) -> None:
    """Pass on what Ray set for this process, so that the system ends workers before Ray itself."""
    with (
        contextlib.suppress(OSError),  # the worker has ended, or may not be changed
        open(_KILLED_FIRST.format("self"), "r+", encoding="ascii") as own,
        open(_KILLED_FIRST.format(worker), "w", encoding="ascii") as its,
    ):
        its.write(own.read())
        its.flush()
        own.write("0")


def _end_as(status: int) -> NoReturn:
    if os.WIFSIGNALED(status):
        os.kill(os.getpid(), os.WTERMSIG(status))
    sys.exit(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main(sys.argv[1:])
