"""Workers that are forked from a process that has imported what they need."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from raykd.clusters import fork_server
from raykd.ray_private import setup_worker
from raykd.ray_private.setup_worker import FORKED, OTHERWISE, SERVER

pytestmark = pytest.mark.skipif(not fork_server.AVAILABLE, reason="forks on Linux only")

SERVE = """
import sys
sys.path.insert(0, sys.argv[3])
from raykd.clusters.fork_server import serve
serve(sys.argv[1], sys.argv[2].split())
"""
SAYS = """
import json, os, random, sys
print(json.dumps({
    "pid": os.getpid(), "parent": os.getppid(), "arguments": sys.argv[1:], "folder": os.getcwd(),
    "chosen": os.environ.get("CHOSEN"), "imported": "wave" in sys.modules,
    "drawn": random.random(),
}), flush=True)
if "sleep" in sys.argv:
    import time
    time.sleep(60)
sys.exit(7)
"""
THREADED = (
    "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()"
)
DRIVER = """
import mmap, pathlib
with (pathlib.Path(__file__).parent / "libcuda.so.1").open("rb") as file:
    held = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
"""


class Server:
    """A fork server whose workers run `SAYS`."""

    def __init__(self, folder: Path, modules: str = "random wave") -> None:
        self.name = f"raykd-test-{os.getpid()}-{folder.name}"
        self.worker = folder / "worker.py"
        self.worker.write_text(SAYS)
        (folder / "threaded.py").write_text(THREADED)
        (folder / "looked_for_devices.py").write_text(DRIVER)
        (folder / "libcuda.so.1").write_bytes(b"driver")
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVE, self.name, modules, str(folder)], stdin=subprocess.PIPE
        )

    def bound(self) -> bool:
        return f"@{self.name}" in Path("/proc/net/unix").read_text()

    def ask(self, *arguments: str, **context: object) -> subprocess.Popen[str]:
        own = {"env_vars": {FORKED: "1", "CHOSEN": "by the actor"}, **context}
        return subprocess.Popen(
            [sys.executable, setup_worker.__file__, str(self.worker), *arguments,
             f"--serialized-runtime-env-context={json.dumps(own)}", "--language=PYTHON"],
            text=True, cwd="/", stdout=subprocess.PIPE,
            env={**os.environ, SERVER: self.name, OTHERWISE: str(self.worker)},
        )  # fmt: skip

    def end(self) -> int:
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.process.wait(10)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("served"))
    while not made.bound():
        time.sleep(0.01)
    yield made
    assert made.end() == 0


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
    asked = server.ask("--node=1", "two words")
    said = first_line(asked)
    assert said["arguments"] == ["--node=1", "two words"]
    assert said["folder"] == "/"
    assert said["chosen"] == "by the actor"
    assert said["parent"] == server.process.pid
    assert said["imported"]
    assert asked.wait(10) == 7


def test_no_two_workers_draw_the_same_numbers(server):
    said = [first_line(server.ask())["drawn"] for _ in range(2)]
    assert said[0] != said[1]


def test_a_worker_that_is_not_to_be_forked_starts_as_any_other(server):
    asked = server.ask("--node=1", env_vars={"CHOSEN": "so"})
    said = first_line(asked)
    assert said["pid"] == asked.pid
    assert (said["chosen"], said["imported"]) == ("so", False)


@pytest.mark.parametrize(
    "context", [{"command_prefix": ["nice"]}, {"py_executable": "/bin/other"},
                {"env_vars": {"PATH": "/more:${PATH}"}}],
)  # fmt: skip
def test_what_is_more_than_variables_is_left_to_the_file_of_ray(server, context):
    said = first_line(server.ask("--node=1", **context))
    arguments = said["arguments"]
    assert isinstance(arguments, list)
    assert arguments[:2] == [str(server.worker), "--node=1"]
    assert arguments[2].startswith("--serialized-runtime-env-context=")


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


@pytest.mark.parametrize(
    "modules", ["wave threaded", "wave nosuchmodule", "wave looked_for_devices"]
)
def test_without_it_a_worker_starts_as_any_other(tmp_path, modules):
    """Also where it has a second thread, which a fork would lose, or a driver, which it breaks."""
    server = Server(tmp_path, modules)
    asked = server.ask("--node=1")
    said = first_line(asked)
    assert said["pid"] == asked.pid
    assert said["arguments"] == ["--node=1"]
    assert not said["imported"]
    assert server.process.wait(10) == (1 if "nosuch" in modules else 0)
