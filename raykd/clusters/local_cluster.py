"""The local cluster of a sweep as the driver sees it; it starts while the driver imports and reads.

A process of its own starts and watches it (`raykd.clusters.cluster_process`).
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from raykd import ray_private
from raykd.clusters import cluster_process
from raykd.clusters.auth_token import make_private
from raykd.clusters.environment import RayEnvironment
from raykd.clusters.processes import descendants, kill
from raykd.clusters.watched import WatchedCluster, used
from raykd.errors import ClusterLost, SetupError

END_S = 10.0
"""The processes have this long to end."""

_ROOT = str(Path(__file__).absolute().parents[2])

_BEGIN = """
import importlib.util, os, sys
root = sys.argv[1]
spec = importlib.util.find_spec("raykd")
if spec is None or os.path.dirname(os.path.dirname(spec.origin or "")) != root:
    sys.path.insert(0, root)
    rest = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([root, rest] if rest else [root])
from raykd.clusters.cluster_process import main
main()
"""
"""Finds the raykd that the driver uses, also where the driver has changed its path of imports, and
has the processes of the cluster find it."""

_ENDED = json.dumps({
    "error": "cannot start a local Ray cluster: the process that starts it has ended",
    "hint": "memory may have run out, or it was killed: try again",
})  # fmt: skip


class LocalCluster(WatchedCluster):
    """Starts a local cluster; returns at once."""

    def __init__(self) -> None:
        super().__init__()
        self._environment = RayEnvironment(local=True)
        make_private()
        self._address = ""
        self._session: Path | None = None
        self._kept = False
        self._began_at = time.time()
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _BEGIN, _ROOT],
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
        answer = json.loads(self._process.stdout.readline() or _ENDED)
        if "error" in answer:
            raise SetupError(answer["error"], hint=answer["hint"])
        self._address = str(answer["address"])
        self._session = Path(answer["session"])
        threading.Thread(target=self._hear, daemon=True).start()
        return self._address

    def keep_logs(self) -> None:
        """Leave Ray's logs where they are: they may say what went wrong."""
        assert self._process.stdin is not None
        self._kept = True
        with contextlib.suppress(OSError):  # it is gone
            self._process.stdin.write(cluster_process.KEEP)
            self._process.stdin.flush()

    @property
    def logs(self) -> Path | None:
        """Where Ray's logs are, None before it has started."""
        return self._session and self._session / cluster_process.LOGS

    def end(self) -> None:
        """End its processes: at once where they are not all there yet."""
        assert self._process.stdin is not None
        self.interrupts = False
        if self in used:
            used.remove(self)
        with contextlib.suppress(OSError):  # it is gone, and the last word to it is not written
            self._process.stdin.close()
        try:
            self._process.wait(END_S if self._address else 0)
        except subprocess.TimeoutExpired:
            kill([self._process.pid, *descendants(self._process.pid)])
            self._process.wait()
            for session in cluster_process.sessions_of(self._process.pid, self._began_at):
                cluster_process.delete(session, but_logs=self._kept)
        if self._session is not None:
            # It has done so itself, unless somebody killed it.
            cluster_process.delete(self._session, but_logs=self._kept)
        self._environment.restore()

    def error(self) -> ClusterLost:
        """What to raise where it is lost."""
        return ClusterLost(
            f"the local Ray cluster is lost: {self.lost} has ended",
            hint="it was killed, or memory ran out (dmesg says so); Ray's logs are in "
            f"{self.logs}; raykd sweep --resume continues",
        )

    def _hear(self) -> None:
        """Hear what becomes of it; a main thread that waits for it is interrupted."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if self._process.stdin is None or self._process.stdin.closed:
            return  # it was to end
        self.lose(json.loads(line)["lost"] if line else "the process that started it")


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
    cluster = _ahead.pop() if _ahead else LocalCluster()
    cluster.use()
    return cluster
