"""Workers that are forked from a process that has imported what they need."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from raykd.clusters import forked_worker
from raykd.clusters.forked_worker import SOCKET, WORKER

SERVE = """
import sys
from pathlib import Path
from raykd.clusters.fork_server import serve
serve(Path(sys.argv[1]), sys.argv[2], ["wave"], ["colorsys"])
"""
SAYS = """
import json, os, sys
print(json.dumps({
    "pid": os.getpid(), "parent": os.getppid(), "arguments": sys.argv[1:], "folder": os.getcwd(),
    "chosen": os.environ.get("CHOSEN"), "imported": {"wave", "colorsys"} <= set(sys.modules),
}), flush=True)
if "sleep" in sys.argv:
    import time
    time.sleep(60)
sys.exit(7)
"""


class Server:
    """A fork server whose workers run `SAYS`."""

    def __init__(self, folder: Path) -> None:
        self.socket = folder / "forks" / "socket"
        self.socket.parent.mkdir()
        self.worker = folder / "worker.py"
        self.worker.write_text(SAYS)
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVE, str(self.socket), str(self.worker)],
            stdin=subprocess.PIPE,
        )
        while not self.socket.exists():
            time.sleep(0.01)
        job = {"RAY_JOB_ID": "01000000", "RAY_RAYLET_PID": "7"}
        self.environment = {**os.environ, **job, SOCKET: str(self.socket), WORKER: str(self.worker)}

    def ask(self, *arguments: str, **more: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, forked_worker.__file__, *arguments], text=True, cwd="/",
            stdout=subprocess.PIPE, env={**self.environment, **more},
        )  # fmt: skip

    def be_ready(self) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asked:
            asked.connect(str(self.socket))
            assert forked_worker.ask(asked, None, self.environment) == b""

    def end(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(10)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("served"))
    yield made
    made.end()
    assert made.process.returncode == 0
    assert not made.socket.parent.exists()


def first_line(asked: subprocess.Popen[str]) -> dict[str, object]:
    assert asked.stdout is not None
    found: dict[str, object] = json.loads(asked.stdout.readline())
    return found


def alive(pid: object) -> bool:
    try:
        os.kill(int(str(pid)), 0)
    except ProcessLookupError:
        return False
    return True


def test_a_worker_is_as_if_it_were_started(server):
    asked = server.ask("--node=1", "two words", CHOSEN="yes")
    said = first_line(asked)
    assert said["arguments"] == ["--node=1", "two words"]
    assert said["folder"] == "/"
    assert said["chosen"] == "yes"
    assert said["parent"] == server.process.pid
    assert said["imported"]
    assert asked.wait(10) == 7


def test_a_worker_of_another_job_starts_as_any_other(server):
    server.be_ready()  # the first one decides
    asked = server.ask("--node=1", RAY_JOB_ID="02000000")
    said = first_line(asked)
    assert said["arguments"] == ["--node=1"]
    assert not said["imported"]
    assert asked.wait(10) == 7


def test_an_environment_of_its_own(server):
    context = json.dumps({"env_vars": {"CHOSEN": "by the actor"}, "command_prefix": []})
    asked = server.ask(
        forked_worker.__file__, "--node=1", f"--serialized-runtime-env-context={context}",
        "--language=PYTHON", CHOSEN="no",
    )  # fmt: skip
    said = first_line(asked)
    assert said["chosen"] == "by the actor"
    assert said["arguments"] == ["--node=1"]
    assert asked.wait(10) == 7


def test_who_asked_ends_as_the_worker_did(server):
    asked = server.ask("sleep")
    os.kill(int(str(first_line(asked)["pid"])), signal.SIGKILL)
    assert asked.wait(10) == -signal.SIGKILL


def test_a_worker_that_nobody_waits_for_is_ended(server):
    asked = server.ask("sleep")
    worker = first_line(asked)["pid"]
    asked.kill()
    until = time.monotonic() + 10
    while alive(worker) and time.monotonic() < until:
        time.sleep(0.02)
    assert not alive(worker)


def test_without_it_a_worker_starts_as_any_other(tmp_path):
    server = Server(tmp_path)
    server.end()
    asked = server.ask("--node=1")
    said = first_line(asked)
    assert said["pid"] == asked.pid
    assert said["arguments"] == ["--node=1"]
    assert not said["imported"]
    assert asked.wait(10) == 7
