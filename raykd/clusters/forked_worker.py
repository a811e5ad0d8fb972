"""What Ray runs for a new worker of a local cluster: it asks the fork server for a process.

Ray runs this file by its path, so that a start costs an interpreter and no import of raykd or Ray.
It stays as long as the worker does, and ends as the worker ended.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SOCKET = "RAYKD_FORK_SERVER"
"""The environment variable that names the socket of the fork server."""

WORKER = "RAYKD_WORKER_FILE"
"""The environment variable that names the file that Ray's own workers run."""

LENGTH = 8
"""Bytes of the length in front of a request."""

STATUS = 4
"""Bytes of the answer, the status that `os.waitpid` gives."""

_LOST = 1 << 8
"""The status of a process that ends with 1."""

_CONTEXT, _LANGUAGE = "--serialized-runtime-env-context=", "--language="


def main() -> None:
    """Ask for a worker with the arguments and the environment of this process."""
    here, *arguments = sys.argv
    if arguments and arguments[0] == here:  # Ray's way to ask for an environment of its own
        context = next((a for a in arguments if a.startswith(_CONTEXT)), f"{_CONTEXT}{{}}")
        os.environ.update(json.loads(context.removeprefix(_CONTEXT)).get("env_vars") or {})
        arguments = [a for a in arguments[1:] if not a.startswith((_CONTEXT, _LANGUAGE))]
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        try:
            server.connect(os.environ[SOCKET])
        except OSError:  # it is gone
            os.execv(sys.executable, [sys.executable, os.environ[WORKER], *arguments])
        status = ask(server, arguments, os.environ)
    _end_as(int.from_bytes(status, "big") if status else _LOST)


def ask(
    server: socket.socket, arguments: Sequence[str] | None, environment: Mapping[str, str]
) -> bytes:
    """Ask for a worker, and wait for its end.

    Args:
        server: A connection to the fork server.
        arguments: Of the worker; None for no worker, but to be ready for one.
        environment: Of the worker.

    Returns:
        Its status; empty where the fork server ended first, or there is no worker.
    """
    request = {"arguments": arguments, "environment": dict(environment), "folder": os.getcwd()}
    data = json.dumps(request).encode()
    socket.send_fds(server, [len(data).to_bytes(LENGTH, "big")], [0, 1, 2])
    server.sendall(data)
    return server.recv(STATUS)


def _end_as(status: int) -> None:
    if os.WIFSIGNALED(status):
        os.kill(os.getpid(), os.WTERMSIG(status))
    sys.exit(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
