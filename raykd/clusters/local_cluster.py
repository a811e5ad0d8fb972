"""The processes of a local cluster, which start while the driver still imports and reads.

A process of its own starts them and waits: its standard input ends when the driver does, whatever
ends that, and then all of them end.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from raykd import ray_private
from raykd.clusters.auth_token import make_private
from raykd.clusters.environment import set_environment
from raykd.clusters.processes import descendants, kill
from raykd.errors import SetupError

START_TRIES = 3
"""Times that a local cluster is started before it is given up."""

START_PAUSE_S = 5.0
"""Between two tries, longer each time."""

END_S = 10.0
"""The processes have this long to end."""

DELETE_TRIES, DELETE_PAUSE_S = 5, 0.2
"""Of the folder of a cluster that has ended."""

_LOST = json.dumps({
    "error": "cannot start a local Ray cluster: the process that starts it has ended",
    "hint": "memory may have run out, or it was killed: try again",
})  # fmt: skip


class LocalCluster:
    """Starts a local cluster; returns at once."""

    def __init__(self) -> None:
        set_environment(local=True)
        make_private()
        self._address = ""
        self._session: Path | None = None
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **ray_private.ON_LOOPBACK},
            start_new_session=True,  # Ctrl-C is for the driver
        )

    def address(self) -> str:
        """Where it is; waits until it has started.

        Raises:
            SetupError: It does not start, or raykd does not work with this version of Ray.
        """
        assert self._process.stdout is not None
        answer = json.loads(self._process.stdout.readline() or _LOST)
        if "error" in answer:
            raise SetupError(answer["error"], hint=answer["hint"])
        self._address = str(answer["address"])
        self._session = Path(answer["session"])
        with contextlib.suppress(OSError):  # closed to other users
            self._session.chmod(0o700)
        return self._address

    def keep_logs(self) -> None:
        """Leave what Ray wrote where it is: it may say what went wrong."""
        self._session = None

    def end(self) -> None:
        """End its processes: at once where they are not all there yet."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(END_S if self._address else 0)
        except subprocess.TimeoutExpired:
            kill([self._process.pid, *descendants(self._process.pid)])
            self._process.wait()
        if self._session is not None:
            _delete(self._session)


def _delete(session: Path) -> None:
    """Delete the folder of logs and sockets; Ray's agents may put a file back before they end."""
    for _ in range(DELETE_TRIES):
        shutil.rmtree(session, ignore_errors=True)
        if not session.exists():
            return
        time.sleep(DELETE_PAUSE_S)


_ahead: list[LocalCluster] = []


@contextmanager
def ahead() -> Iterator[None]:
    """A local cluster that starts now, for the first connection that the block makes to one.

    Where Ray is connected already, that connection is used, and nothing is started.
    """
    ray = sys.modules.get("ray")
    if ray is not None and ray.is_initialized():
        yield
        return
    _ahead.append(LocalCluster())
    try:
        yield
    finally:
        while _ahead:
            _ahead.pop().end()


def take() -> LocalCluster:
    """The local cluster that starts ahead, or one that starts now."""
    return _ahead.pop() if _ahead else LocalCluster()


def main() -> None:
    """Start the processes, say where they are, and wait for the end of the driver."""
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what Ray prints is no answer
    try:
        address, session = start()
        said = {"address": address, "session": session}
    except SetupError as exc:
        (problem,) = exc.problems()
        said = {"error": problem.message, "hint": problem.hint or ""}
    with answer:
        json.dump(said, answer)
    sys.stdin.read()


def start() -> tuple[str, str]:
    """Start the processes; a start that takes too long is tried again.

    Ray gives its own processes half a minute, which a busy machine may need for reading them from
    disk; the next try finds them in memory.

    Returns:
        The address of the cluster, and the folder of its logs and sockets.

    Raises:
        SetupError: They do not start.
    """
    for attempt in range(1, START_TRIES + 1):
        before = descendants(os.getpid())
        try:
            return ray_private.start_local_cluster()
        except SetupError:
            raise
        except Exception as exc:
            # Ray leaves what it began to start, and raises bare exceptions, too.
            kill([process for process in descendants(os.getpid()) if process not in before])
            last = exc
        time.sleep(START_PAUSE_S * attempt)
    raise SetupError(
        f"cannot start a local Ray cluster, tried {START_TRIES} times: {last}",
        hint="this machine may be busy, or short of memory or of room in /tmp/ray: try again when "
        "it has less to do; Ray's own words are in /tmp/ray/session_latest/logs",
    ) from last


if __name__ == "__main__":
    main()
