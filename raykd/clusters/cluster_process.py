"""The process that starts those of a local cluster, watches them, and removes what they leave.

It outlives the driver, whatever ends that: its standard input ends with the driver, or brings a
word before. What it finds goes to its standard output, one JSON object a line: where the cluster
is, or why there is none; later, which process was lost.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import select
import shutil
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from raykd import ray_private
from raykd.clusters import fork_server
from raykd.clusters.processes import descendants, kill
from raykd.errors import SetupError
from raykd.ray_private.setup_worker import OTHERWISE

START_TRIES = 3
"""Times that a local cluster is started before it is given up."""

START_PAUSE_S = 5.0
"""Between two tries, longer each time."""

LOOK_S = 0.5
"""How often to look whether the processes are alive."""

KEEP = b"keep"
"""The word of a driver that wants the logs to stay."""

ESSENTIAL = {"raylet": "the raylet", "gcs_server": "the GCS"}
"""Processes without which there is no cluster, by Ray's names."""

COARSE_S = 1.0
"""The clock of a file system may be so far behind."""

REAP_S = 5.0
"""Processes that were killed have this long to end."""

DELETE_TRIES, DELETE_PAUSE_S = 5, 0.2
"""Of the folder of a cluster that has ended."""

LOGS = "logs"
"""The part of that folder that a driver may want to stay."""

_IN_USE = "raykd.lock"
"""A file in the folder of a cluster, locked while its processes run."""

_LONGEST_SOCKET = "session_2026-11-29_10-19-08_791029_1234567/sockets/plasma_store"
_SOCKET_BYTES = 103 if sys.platform == "darwin" else 107
"""The longest path of a socket, without the zero at its end."""

_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER


class LocalNode(Protocol):
    """What is used of Ray's class of the processes of a node."""

    gcs_address: str

    def get_session_dir_path(self) -> str:
        """The folder of logs and sockets."""

    def dead_processes(self) -> list[tuple[str, Any]]:
        """Kind and process of those that ended by themselves."""

    def kill_all_processes(self, *, check_alive: bool, allow_graceful: bool) -> None:
        """End all of them."""


def main() -> None:
    """Start the processes, say where they are, watch them to the end of the driver, clean up."""
    answer = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what Ray prints is no answer
    _adopt_orphans()
    forks = fork_server.start() if fork_server.AVAILABLE else None
    usual = usual_folder()
    try:
        choose_folder()
        os.environ[OTHERWISE] = ray_private.worker_setup()
        node = start()
    except SetupError as exc:
        (problem,) = exc.problems()
        _tell(answer, error=problem.message, hint=problem.hint or "")
        sys.stdin.buffer.read()
        return
    session = Path(node.get_session_dir_path())
    for folder in (session, session.parent.parent):  # which another cluster may just have deleted
        if folder == session or folder.name == _own_folder():
            _is_closed(folder)
    for place in {session.parent, usual / "ray"}:
        delete_unused(place)
    with _in_use(session):
        _tell(answer, address=node.gcs_address, session=str(session))
        kept = _watch(node, answer) == KEEP
        # Before anything is ended: what the raylet started belongs to nobody after it.
        rest = descendants(os.getpid())
        node.kill_all_processes(check_alive=False, allow_graceful=True)
        kill([process for process in descendants(os.getpid()) if process in rest])
        if forks is not None:
            forks.wait()
        _reap()
    delete(session, but_logs=kept)


def choose_folder() -> None:
    """Have Ray put its sockets and logs into a folder that only this user can enter.

    Ray opens what it makes, again with every worker, to all users; so it gets a folder in a closed
    one. Where that would give names of sockets that are too long, Ray's own place is used.

    Raises:
        SetupError: No place can be written.
    """
    usual = usual_folder()
    own = usual / _own_folder()
    if usual.name == own.name:  # of a process of this user that started this one
        return
    if len(os.fsencode(own / "ray" / _LONGEST_SOCKET)) <= _SOCKET_BYTES and _can_write(own):
        with contextlib.suppress(OSError):
            own.mkdir(mode=0o700, parents=True)
        if _is_closed(own) and _can_write(own / "ray"):
            os.environ["RAY_TMPDIR"] = str(own)
            return
    if not _can_write(usual / "ray"):
        raise SetupError(
            f"Ray cannot write its sockets and logs: {usual / 'ray'} is closed to this user, or "
            "read-only",
            hint="set RAY_TMPDIR to a folder that can be written, with a short name",
        )


def _is_closed(folder: Path) -> bool:
    """Whether a folder is this user's, and of nobody else; it is closed if it is not."""
    try:
        kind = folder.lstat()
        if not stat.S_ISDIR(kind.st_mode) or kind.st_uid != os.getuid():
            return False
        folder.chmod(0o700)
    except OSError:
        return False
    return True


def usual_folder() -> Path:
    """Where Ray puts its sockets and logs, and what it spills, unless it cannot write there."""
    return Path(os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp")


def sessions_of(process: int, since: float) -> list[Path]:
    """Folders of clusters that a process has started, or began to, and that nobody uses.

    Its number alone does not tell: an earlier process may have had it, and one of another container
    that shares the folder has it now.

    Args:
        process: Its number.
        since: It was started after this, in seconds as of `time.time`.
    """
    usual = usual_folder()
    places = (usual / "ray", usual / _own_folder() / "ray")
    named = [path for place in places for path in sorted(place.glob(f"session_*_{process}"))]
    return [path for path in named if _is_free(path, since - COARSE_S)]


def _is_free(session: Path, since: float) -> bool:
    """Whether a folder is not older than this, and not in use."""
    try:
        if session.stat().st_mtime < since:
            return False
        with (session / _IN_USE).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:  # not in use yet
        return session.exists()
    except OSError:  # in use, or of somebody else
        return False
    return True


def _own_folder() -> str:
    """Name of the folder that only this user can enter."""
    return f"raykd-{os.getuid()}"


def _can_write(folder: Path) -> bool:
    there = next(place for place in (folder, *folder.parents) if place.exists())
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)


def start() -> LocalNode:
    """Start the processes; a start that takes too long is tried again.

    Ray gives its own processes half a minute, which a busy machine may need for reading them from
    disk; the next try finds them in memory.

    Raises:
        SetupError: They do not start.
    """
    began_at = time.time()
    for attempt in range(1, START_TRIES + 1):
        before = descendants(os.getpid())
        try:
            node: LocalNode = ray_private.start_local_cluster()
            return node
        except SetupError:
            raise
        except OSError as exc:
            raise SetupError(
                f"cannot start a local Ray cluster: {exc}",
                hint=f"Ray keeps sockets and logs in {usual_folder()}; set RAY_TMPDIR to another "
                "folder, with room and with a short name",
            ) from exc
        except Exception as exc:
            # Ray leaves what it began to start, and raises bare exceptions, too.
            kill([process for process in descendants(os.getpid()) if process not in before])
            last = exc
        begun = sessions_of(os.getpid(), began_at)
        for session in begun:
            delete(session, but_logs=attempt == START_TRIES)
        time.sleep(START_PAUSE_S * attempt)
    where = f"; Ray's own words are in {begun[-1] / LOGS}" if begun else ""
    raise SetupError(
        f"cannot start a local Ray cluster, tried {START_TRIES} times: {last}",
        hint=f"this machine may be busy, or short of memory or of room in {usual_folder()}: "
        f"try again when it has less to do{where}",
    ) from last


def delete(session: Path, *, but_logs: bool = False) -> None:
    """Delete the folder of a cluster; Ray's agents may put a file back before they end."""
    latest = session.with_name("session_latest")
    with contextlib.suppress(OSError):
        if latest.readlink().name == session.name:
            latest.unlink()
    if but_logs:
        for path in session.glob("*"):
            if path.name == LOGS:
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        return
    for _ in range(DELETE_TRIES):
        shutil.rmtree(session, ignore_errors=True)
        if not session.exists():
            break
        time.sleep(DELETE_PAUSE_S)
    with contextlib.suppress(OSError):  # another cluster is in it
        if session.parent.parent.name == _own_folder():
            session.parent.rmdir()
            session.parent.parent.rmdir()


def delete_unused(folder: Path) -> None:
    """Delete the folders of clusters that were killed together with who would have deleted them."""
    for file in folder.glob(f"session_*/{_IN_USE}"):
        with contextlib.suppress(OSError), file.open("rb") as opened:  # in use, or of somebody else
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            delete(file.parent)


@contextlib.contextmanager
def _in_use(session: Path) -> Iterator[None]:
    """Mark the folder of a cluster as one that is in use."""
    with (session / _IN_USE).open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _watch(node: LocalNode, answer: Any) -> bytes:
    """Watch the processes until the driver ends; returns the word that it has said before."""
    has_reported, word = False, b""
    while True:
        if select.select([0], [], [], LOOK_S)[0]:
            heard = os.read(0, len(KEEP))
            if not heard:
                return word
            word = heard
        lost = [ESSENTIAL[kind] for kind, _ in node.dead_processes() if kind in ESSENTIAL]
        if lost and not has_reported:
            has_reported = True
            _tell(answer, lost=" and ".join(lost))


def _tell(answer: Any, **what: str) -> None:
    with contextlib.suppress(OSError):  # the driver is gone
        answer.write(json.dumps(what) + "\n")


def _reap() -> None:
    """Wait for the processes that were killed, so that nothing of them stays."""
    until = time.monotonic() + REAP_S
    with contextlib.suppress(ChildProcessError):  # none is left
        while time.monotonic() < until:
            if not os.waitpid(-1, os.WNOHANG)[0]:
                time.sleep(LOOK_S / 25)


def _adopt_orphans() -> None:
    """Become the parent of what a raylet that was killed has started, where the system can."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)
