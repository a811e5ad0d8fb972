"""Workers that are forked from a process that has imported what they need."""

from __future__ import annotations

import functools
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
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
import json, os, sys
print(json.dumps({
    "pid": os.getpid(), "parent": os.getppid(), "arguments": sys.argv[1:], "folder": os.getcwd(),
    "chosen": os.environ.get("CHOSEN"), "imported": "wave" in sys.modules,
    "drawn": sys.modules["numpy"].random.random() if "numpy" in sys.modules else None,
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

    def __init__(self, folder: Path, modules: str = "numpy.random wave") -> None:
        self.name = f"raykd-test-{os.getpid()}-{folder.name}"
        self.worker = folder / "worker.py"
        self.worker.write_text(SAYS)
        (folder / "threaded.py").write_text(THREADED)
        (folder / "looked_for_devices.py").write_text(DRIVER)
        (folder / "libcuda.so.1").write_bytes(b"driver")
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVE, self.name, modules, str(folder)],
            stdin=subprocess.PIPE, env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        )  # fmt: skip

    def bound(self) -> bool:
        return f"@{self.name}" in Path("/proc/net/unix").read_text()

    def wait(self) -> None:
        while not self.bound():
            time.sleep(0.01)

    def connect(self) -> socket.socket:
        connected = socket.socket(socket.AF_UNIX)
        connected.connect(f"\0{self.name}")
        return connected

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
    made.wait()
    yield made
    assert made.end() == 0


def first_line(requested: subprocess.Popen[str]) -> dict[str, object]:
    assert requested.stdout is not None
    actual: dict[str, object] = json.loads(requested.stdout.readline())
    return actual


def alive(pid: object) -> bool:
    try:
        os.kill(int(str(pid)), 0)
    except ProcessLookupError:
        return False
    return True


def eventually(holds: Callable[[], bool]) -> bool:
    until = time.monotonic() + 10
    while not holds() and time.monotonic() < until:
        time.sleep(0.01)
    return holds()


def has_ended(worker: psutil.Process) -> bool:
    return worker.status() == psutil.STATUS_ZOMBIE  # nobody has asked how


def killed_first(pid: object) -> int:
    return int(Path(f"/proc/{pid}/oom_score_adj").read_text())


def test_a_worker_is_as_if_it_were_started(server):
    requested = server.ask("--node=1", "two words")
    message = first_line(requested)
    assert message["arguments"] == ["--node=1", "two words"]
    assert message["folder"] == "/"
    assert message["chosen"] == "by the actor"
    assert message["parent"] == server.process.pid
    assert message["imported"]
    assert requested.wait(10) == 7


def test_no_two_workers_draw_the_same_numbers(server):
    message = [first_line(server.ask())["drawn"] for _ in range(2)]
    assert None not in message
    assert message[0] != message[1]


def test_the_system_ends_a_worker_before_who_waits_for_it(server):
    """Where memory runs out: Ray sets it for the process that it starts, which only waits."""
    os.kill(server.process.pid, signal.SIGSTOP)
    requested = server.ask("sleep")
    Path(f"/proc/{requested.pid}/oom_score_adj").write_text("7")
    os.kill(server.process.pid, signal.SIGCONT)
    worker = first_line(requested)["pid"]
    assert eventually(lambda: killed_first(requested.pid) == 0)
    assert killed_first(worker) == 7
    requested.kill()


def test_a_worker_that_is_not_to_be_forked_starts_as_any_other(server):
    requested = server.ask("--node=1", env_vars={"CHOSEN": "so"})
    message = first_line(requested)
    assert message["pid"] == requested.pid
    assert (message["chosen"], message["imported"]) == ("so", False)


@pytest.mark.parametrize(
    "context", [{"command_prefix": ["nice"]}, {"py_executable": "/bin/other"},
                {"env_vars": {"PATH": "/more:${PATH}"}}],
)  # fmt: skip
def test_what_is_more_than_variables_is_left_to_the_file_of_ray(server, context):
    message = first_line(server.ask("--node=1", **context))
    arguments = message["arguments"]
    assert isinstance(arguments, list)
    assert arguments[:2] == [str(server.worker), "--node=1"]
    assert arguments[2].startswith("--serialized-runtime-env-context=")


def test_who_asked_ends_as_the_worker_did(server):
    requested = server.ask("sleep")
    os.kill(int(str(first_line(requested)["pid"])), signal.SIGKILL)
    assert requested.wait(10) == -signal.SIGKILL


def test_a_worker_that_nobody_waits_for_is_ended(server):
    requested = server.ask("sleep")
    worker = first_line(requested)["pid"]
    requested.kill()
    assert eventually(lambda: not alive(worker))


@pytest.mark.parametrize("message", [b"", b"\0\0\0", (9).to_bytes(8, "big") + b"{"])
def test_who_ends_while_asking_does_no_harm(server, message):
    with server.connect() as asking:
        asking.sendall(message)
    assert first_line(server.ask())["parent"] == server.process.pid


def test_who_says_nothing_holds_nobody_up_for_long(server):
    with server.connect() as silent:
        assert first_line(server.ask())["parent"] == server.process.pid
        assert silent.recv(1) == b""


def test_workers_that_end_together_with_who_asked_do_no_harm(server):
    """The server, which is held up meanwhile, hears of both ends at once."""
    requested = [server.ask("sleep") for _ in range(2)]
    workers = [psutil.Process(int(str(first_line(one)["pid"]))) for one in requested]
    with server.connect():
        time.sleep(0.05)
        for worker, one in zip(workers, requested, strict=True):
            worker.kill()
            assert eventually(functools.partial(has_ended, worker))
            one.kill()
            one.wait()
    assert first_line(server.ask())["parent"] == server.process.pid


@pytest.mark.parametrize("how", ["end", "kill"])
def test_no_worker_outlives_the_server(tmp_path, how):
    """Ray may not see it: it waits for who asked."""
    server = Server(tmp_path, "wave")
    server.wait()
    requested = server.ask("sleep")
    assert first_line(requested)["parent"] == server.process.pid
    server.end() if how == "end" else server.process.kill()
    requested.communicate(timeout=10)  # the worker holds the stream open, too
    assert requested.returncode == 1


def test_what_another_user_offers_is_not_taken(monkeypatch):
    name = f"raykd-test-{os.getpid()}-other"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"\0{name}")
        listening.listen()
        another = os.getuid() + 1
        monkeypatch.setattr(os, "getuid", lambda: another)
        setup_worker.wait_for(["worker.py"], {SERVER: name, "SECRET": "of mine"})
        heard, _ = listening.accept()
        with heard:
            assert heard.recv(100) == b""


@pytest.mark.parametrize(
    "modules", ["wave threaded", "wave nosuchmodule", "wave looked_for_devices"]
)
def test_without_it_a_worker_starts_as_any_other(tmp_path, modules):
    """Also where it has a second thread, which a fork would lose, or a driver, which it breaks."""
    server = Server(tmp_path, modules)
    requested = server.ask("--node=1")
    message = first_line(requested)
    assert message["pid"] == requested.pid
    assert message["arguments"] == ["--node=1"]
    assert not message["imported"]
    assert server.process.wait(10) == (1 if "nosuch" in modules else 0)
