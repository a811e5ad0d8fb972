"""The processes of a local cluster: who finds raykd, who cleans up, what the environment keeps."""

from __future__ import annotations

import errno
import fcntl
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

from raykd.clusters import cluster_process, connection, local_cluster, watched
from raykd.clusters.cluster_process import choose_folder, delete, delete_unused
from raykd.clusters.connection import connected
from raykd.clusters.environment import RayEnvironment
from raykd.clusters.local_cluster import LocalCluster
from raykd.errors import ClusterLost, SetupError
from raykd.trial.coordinator import RAY_THREAD

SET = (
    "RAY_AUTH_MODE",
    "RAY_AUTH_TOKEN",
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER",
    "RAY_AIR_NEW_OUTPUT",
)


@pytest.fixture(autouse=True)
def bare(monkeypatch):
    for name in SET:
        monkeypatch.delenv(name, raising=False)


def test_what_was_not_set_is_taken_back_and_what_the_user_has_set_stays(monkeypatch):
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    before = dict(os.environ)
    environment = RayEnvironment(local=True)
    assert os.environ["RAY_AUTH_MODE"] == "disabled"
    assert os.environ["RAY_TRAIN_ENABLE_PREEMPTION_WATCHER"] == "0"
    os.environ["RAY_AUTH_TOKEN"] = "made while the cluster starts"
    environment.restore()
    assert dict(os.environ) == before


class Ray:
    """What a connection asks of Ray."""

    def __init__(self, monkeypatch):
        self.here = False
        monkeypatch.setattr(connection.ray, "init", self.init)
        monkeypatch.setattr(connection.ray, "shutdown", self.shutdown)
        monkeypatch.setattr(connection.ray, "is_initialized", lambda: self.here)
        monkeypatch.setattr(connection, "require_head", lambda: None)
        # Slots of other tests may live in this process, each with a thread of its own.
        before, every = set(threading.enumerate()), threading.enumerate
        monkeypatch.setattr(
            connection.threading, "enumerate", lambda: [t for t in every() if t not in before]
        )

    def init(self, **given):
        self.here = True

    def shutdown(self):
        self.here = False


class Cluster:
    """What a connection asks of a local cluster."""

    lost = ""
    is_over = False
    logs = Path("/tmp/ray/session_1/logs")

    def __init__(self, monkeypatch):
        self.calls = []
        for name in ("end", "stay", "keep_logs"):
            setattr(self, name, lambda name=name: self.calls.append(name))
        monkeypatch.setattr(local_cluster, "take", lambda: self)

    def address(self):
        return "10.0.0.1:6379"

    def notice(self):
        return bool(self.lost)

    def error(self):
        return LocalCluster.error(self)


def test_a_local_sweep_leaves_the_environment_as_it_was(monkeypatch):
    Ray(monkeypatch)
    cluster = Cluster(monkeypatch)
    before = dict(os.environ)
    with connected(None):
        assert os.environ["RAY_AUTH_MODE"] == "token"
    assert dict(os.environ) == before
    assert cluster.calls == ["end"]


def test_a_cluster_that_a_thread_still_calls_stays_with_its_connection(monkeypatch):
    ray = Ray(monkeypatch)
    cluster = Cluster(monkeypatch)
    monkeypatch.setattr(connection, "LEAVE_S", 0.1)
    monkeypatch.setattr(watched, "abandoned", threading.Event())
    over = threading.Event()
    thread = threading.Thread(target=over.wait, name=f"{RAY_THREAD} test", daemon=True)
    with connected(None):
        thread.start()
        # It ends between the two looks that a connection could take: one decides.
        monkeypatch.setattr(connection.atexit, "unregister", lambda function: over.set())
    thread.join()
    assert ray.here
    assert cluster.calls == ["stay"]
    assert watched.abandoned.is_set()
    # The next sweep of this process uses it, and hears when it is lost.
    monkeypatch.setattr(watched, "_staying", [cluster])
    with connected(None) as again:
        again.check()
        cluster.lost = "the raylet"
        assert again.lost == "the raylet"
    with pytest.raises(ClusterLost), connected(None):
        pass


def test_a_cluster_that_is_lost_while_it_is_left_is_not_waited_for(monkeypatch):
    ray = Ray(monkeypatch)
    cluster = Cluster(monkeypatch)
    monkeypatch.setattr(connection, "LOST_S", 0.1)
    monkeypatch.setattr(connection.atexit, "unregister", lambda function: None)
    monkeypatch.setattr(watched, "abandoned", threading.Event())
    over = threading.Event()

    def shutdown():
        ray.here = False  # as Ray says, before it waits
        cluster.lost = "the GCS"
        over.wait()

    monkeypatch.setattr(connection.ray, "shutdown", shutdown)
    with connected(None):
        pass
    assert watched.abandoned.is_set()
    assert cluster.calls == ["stay"]
    with pytest.raises(ClusterLost, match="Ray has not left it yet"), connected(None):
        pass
    over.set()


def test_an_interruption_while_ray_is_left_leaves_the_rest_to_the_end(monkeypatch):
    ray = Ray(monkeypatch)
    cluster = Cluster(monkeypatch)
    monkeypatch.setattr(connection.atexit, "unregister", lambda function: None)
    monkeypatch.setattr(watched, "abandoned", threading.Event())
    over = threading.Event()

    def shutdown():
        ray.here = False
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        over.wait()

    monkeypatch.setattr(connection.ray, "shutdown", shutdown)
    with pytest.raises(KeyboardInterrupt), connected(None):
        pass
    assert watched.abandoned.is_set()
    assert cluster.calls == ["stay"]
    over.set()


@pytest.mark.parametrize("interrupts", [True, False])
def test_the_loss_of_a_cluster_interrupts_nothing_that_does_not_need_it(interrupts):
    class Cluster(watched.WatchedCluster):
        def error(self):
            return ClusterLost("lost")

    cluster = Cluster()
    cluster.interrupts = interrupts
    with connection.Connection(cluster).unneeded():
        assert not cluster.interrupts
    assert cluster.interrupts == interrupts
    with connection.Connection().unneeded():
        pass


def test_a_cluster_that_stays_lives_as_long_as_the_process(monkeypatch):
    program = (
        "import gc, os\n"
        "from raykd.clusters import local_cluster, watched\n"
        "local_cluster._BEGIN = 'import sys; sys.stdin.read()'\n"
        "local_cluster.take().stay()\n"
        "gc.collect()\n"
        "print(watched._staying[0]._process.poll())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "None\n"


def test_a_lost_cluster_is_an_error_that_says_which_process_and_where_the_logs_are(monkeypatch):
    Ray(monkeypatch)
    cluster = Cluster(monkeypatch)

    def sweep():
        with connected(None) as actual:
            actual.check()
            cluster.lost = "the raylet"
            actual.check()

    with pytest.raises(ClusterLost, match="is lost: the raylet has ended") as caught:
        sweep()
    assert str(cluster.logs) in caught.value.hint
    assert "raykd sweep --resume" in caught.value.hint
    assert cluster.calls == ["keep_logs", "end"]


# Which raykd the processes find -----------------------------------------------------------------


def begun(root: Path) -> dict[str, str]:
    """What a process that starts a cluster finds, where the driver has raykd from `root`."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", local_cluster._BEGIN, str(root)],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    actual: dict[str, str] = json.loads(done.stdout)
    return actual


@pytest.mark.parametrize("given", [None, "/elsewhere"])
def test_raykd_is_found_where_the_driver_has_put_it_on_its_path(tmp_path, monkeypatch, given):
    root = tmp_path / "a folder"
    (root / "raykd" / "clusters").mkdir(parents=True)
    for folder in ("raykd", "raykd/clusters"):
        (root / folder / "__init__.py").touch()
    (root / "raykd" / "clusters" / "cluster_process.py").write_text(
        "import json, os\n"
        "def main():\n"
        "    print(json.dumps({'here': __file__, 'path': os.environ['PYTHONPATH']}))\n"
    )
    if given is None:
        monkeypatch.delenv("PYTHONPATH", raising=False)
    else:
        monkeypatch.setenv("PYTHONPATH", given)
    actual = begun(root)
    assert Path(actual["here"]).parents[2] == root
    # What it starts finds it, too.
    assert actual["path"].split(os.pathsep) == [str(root), *([given] if given else [])]


def test_the_driver_names_the_folder_that_holds_its_raykd():
    assert (Path(local_cluster._ROOT) / "raykd" / "__init__.py").is_file()
    assert os.path.isabs(local_cluster._ROOT)


# Where they write -------------------------------------------------------------------------------


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where temporary files go: a folder with a short name."""
    with tempfile.TemporaryDirectory(prefix="rk", dir="/tmp") as folder:
        monkeypatch.delenv("RAY_TMPDIR", raising=False)
        monkeypatch.setenv("TMPDIR", folder)
        yield Path(folder)


def test_ray_writes_where_no_other_user_looks(temporary, monkeypatch):
    temporary /= "new"
    monkeypatch.setenv("TMPDIR", str(temporary))
    own = temporary / f"raykd-{os.getuid()}"
    choose_folder()
    assert os.environ["RAY_TMPDIR"] == str(own)
    assert own.stat().st_mode & 0o777 == 0o700
    choose_folder()  # a process that was started by one that has chosen
    assert os.environ["RAY_TMPDIR"] == str(own)


def test_a_folder_of_this_user_that_is_open_is_closed(temporary):
    own = temporary / f"raykd-{os.getuid()}"
    own.mkdir()
    own.chmod(0o777)
    choose_folder()
    assert own.stat().st_mode & 0o777 == 0o700


def test_what_somebody_else_put_there_is_not_used(temporary):
    (temporary / "elsewhere").mkdir()
    (temporary / f"raykd-{os.getuid()}").symlink_to(temporary / "elsewhere")
    choose_folder()
    assert "RAY_TMPDIR" not in os.environ


def test_a_name_that_is_too_long_for_sockets_is_left_to_ray(temporary, monkeypatch):
    monkeypatch.setenv("RAY_TMPDIR", str(temporary / ("long" * 8)))
    choose_folder()
    assert os.environ["RAY_TMPDIR"] == str(temporary / ("long" * 8))


def test_where_nothing_can_be_written_the_variable_is_named(temporary, monkeypatch):
    closed = {temporary, temporary / "ray"}
    monkeypatch.setattr(
        cluster_process.os, "access", lambda path, mode: Path(path) not in closed
    )  # root may write everywhere
    with pytest.raises(SetupError, match="is closed to this user, or read-only") as caught:
        choose_folder()
    assert "RAY_TMPDIR" in caught.value.hint
    (temporary / "ray").mkdir()
    closed.remove(temporary / "ray")
    choose_folder()  # somebody has made a place for it
    assert "RAY_TMPDIR" not in os.environ


def test_a_start_that_no_second_try_can_help_is_not_tried_again(monkeypatch):
    def start():
        raise OSError(errno.ENOSPC, "No space left on device", "/tmp/ray/session_1")

    monkeypatch.setattr(cluster_process.ray_private, "start_local_cluster", start)
    monkeypatch.setattr(cluster_process, "START_PAUSE_S", 1e9)
    with pytest.raises(SetupError, match="No space left on device: '/tmp/ray/session_1'"):
        cluster_process.start()


# What is left of clusters -----------------------------------------------------------------------


def session(folder: Path, name: str) -> Path:
    made = folder / f"session_{name}"
    (made / "logs").mkdir(parents=True)
    (made / "logs" / "raylet.out").write_text("words")
    (made / "sockets").mkdir()
    (made / "sockets" / "raylet").touch()
    return made


def test_the_folder_of_a_cluster_goes_with_what_points_to_it(tmp_path):
    one, other = session(tmp_path, "1"), session(tmp_path, "2")
    (tmp_path / "session_latest").symlink_to(other)
    delete(one)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["session_2", "session_latest"]
    delete(other)
    assert not list(tmp_path.iterdir())


def test_the_folder_of_a_users_own_goes_with_the_last_cluster_in_it(tmp_path):
    own = tmp_path / f"raykd-{os.getuid()}"
    (own / "ray").mkdir(parents=True)
    one, other = session(own / "ray", "1"), session(own / "ray", "2")
    delete(one)
    assert other.exists()
    delete(other)
    assert not list(tmp_path.iterdir())


def test_of_a_cluster_that_was_lost_the_logs_stay(tmp_path):
    one = session(tmp_path, "1")
    (one / "pointer").symlink_to(one)
    (tmp_path / "session_latest").symlink_to(one)
    delete(one, but_logs=True)
    assert list(tmp_path.iterdir()) == [one]
    assert [path.name for path in one.iterdir()] == ["logs"]
    assert (one / "logs" / "raylet.out").read_text() == "words"


def test_folders_whose_processes_were_all_killed_are_deleted_at_the_next_start(tmp_path):
    names = ("killed", "running", "kept", "foreign")
    killed, running, kept, foreign = (session(tmp_path, name) for name in names)
    for one in (killed, running):
        (one / cluster_process._IN_USE).touch()
    delete(kept, but_logs=True)
    with (running / cluster_process._IN_USE).open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        delete_unused(tmp_path)
    assert {path for path in tmp_path.iterdir()} == {running, kept, foreign}


def hold(session: Path) -> BinaryIO:
    """Use the folder of a cluster, until what is returned is closed."""
    file = (session / cluster_process._IN_USE).open("wb")
    fcntl.flock(file, fcntl.LOCK_EX)
    return file


def make_old(session: Path) -> None:
    os.utime(session, (time.time() - 3600,) * 2)


def test_a_start_that_is_retried_leaves_folders_of_others_with_its_number(monkeypatch, tmp_path):
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.setattr(cluster_process, "START_PAUSE_S", 0.0)
    places = tmp_path / "ray"
    kept = session(places, f"1_{os.getpid()}")  # by an earlier process
    make_old(kept)
    foreign = session(places, f"2_{os.getpid()}")  # of another container
    with hold(foreign):
        tries = []

        def start():
            tries.append(session(places, f"{3 + len(tries)}_{os.getpid()}"))
            if len(tries) < 3:
                raise Exception("The current node timed out during startup.")

        monkeypatch.setattr(cluster_process.ray_private, "start_local_cluster", start)
        cluster_process.start()
    assert set(places.iterdir()) == {kept, foreign, tries[2]}
    assert (foreign / "sockets" / "raylet").exists()


def test_a_start_that_is_cut_short_leaves_folders_of_others_with_its_number(monkeypatch, tmp_path):
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.setattr(local_cluster, "_BEGIN", "import time; time.sleep(60)")
    cluster = LocalCluster()
    places = tmp_path / "ray"
    _, kept, foreign = (session(places, f"{k}_{cluster._process.pid}") for k in (1, 2, 3))
    make_old(kept)
    with hold(foreign):
        cluster.end()
    assert set(places.iterdir()) == {kept, foreign}
    assert (foreign / "sockets" / "raylet").exists()


class Node:
    """Processes of a node, of which one dies."""

    def __init__(self):
        self.dead = []

    def dead_processes(self):
        return self.dead


@pytest.mark.parametrize(("word", "heard"), [(b"", b""), (cluster_process.KEEP, b"keep")])
def test_a_process_that_dies_is_reported_once_and_the_last_word_is_heard(monkeypatch, word, heard):
    monkeypatch.setattr(cluster_process, "LOOK_S", 0.01)
    result, expected = os.pipe()
    before = os.dup(0)
    os.dup2(result, 0)
    try:
        node, answer, ended = Node(), io.StringIO(), []
        watch = threading.Thread(target=lambda: ended.append(cluster_process._watch(node, answer)))
        watch.start()
        node.dead = [("reaper", None)]
        time.sleep(0.05)
        assert answer.getvalue() == ""
        node.dead = [("reaper", None), ("raylet", None)]
        time.sleep(0.1)
        os.write(expected, word)
        os.close(expected)
        watch.join(10)
        assert ended == [heard]
        assert json.loads(answer.getvalue()) == {"lost": "the raylet"}
    finally:
        os.dup2(before, 0)
        os.close(before)
        os.close(result)


def test_a_driver_hears_of_a_lost_process_and_of_a_lost_starter(monkeypatch):
    tells = (
        "import sys, time\n"
        'print(\'{"address": "1.2.3.4:5", "session": "/nowhere"}\', flush=True)\n'
        "sys.stdin.readline()\n"
    )
    for rest, lost in (
        ('print(\'{"lost": "the GCS"}\', flush=True)\nsys.stdin.read()\n', "the GCS"),
        ("", "the process that started it"),
    ):
        monkeypatch.setattr(local_cluster, "_BEGIN", tells + rest)
        cluster = LocalCluster()
        assert cluster.address() == "1.2.3.4:5"
        time.sleep(0.1)
        assert cluster.lost == ""
        cluster._process.stdin.write(b"\n")
        cluster._process.stdin.flush()
        until = time.monotonic() + 10
        while not cluster.lost and time.monotonic() < until:
            time.sleep(0.01)
        assert cluster.lost == lost
        assert cluster.notice()
        cluster.end()


def test_a_starter_that_is_killed_takes_no_error_along_and_of_its_folder_logs_stay(
    monkeypatch, tmp_path
):
    session = tmp_path / "session_1"
    for name in ("logs", "sockets"):
        (session / name).mkdir(parents=True)
    (session / "gcs_server_port_1").touch()
    answer = json.dumps({"address": "1.2.3.4:5", "session": str(session)})
    monkeypatch.setattr(local_cluster, "_BEGIN", f"print({answer!r}, flush=True); input()")
    cluster = LocalCluster()
    cluster.address()
    cluster._process.kill()
    cluster._process.wait()
    cluster.keep_logs()  # nobody reads it: what is written stays in a buffer
    cluster.end()
    assert [path.name for path in session.iterdir()] == ["logs"]


INTERRUPTED = """
import time
from raykd.clusters import connection, local_cluster, watched
from raykd.errors import ClusterLost
watched.NOTICE_S = 0.1
told = ['{"address": "1.2.3.4:5", "session": "/nowhere"}', '{"lost": "the GCS"}']
local_cluster._BEGIN = f"for line in {told}: print(line, flush=True)\\nimport sys; sys.stdin.read()"
connection._connect = lambda address: time.sleep(60)
connection.read_environment_again = lambda: None
try:
    with connection.connected(None):
        pass
except ClusterLost as exc:
    print(exc.message)
"""


def test_a_main_thread_that_waits_for_a_lost_cluster_is_interrupted():
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, timeout=50, check=True
    )
    assert done.stdout == "the local Ray cluster is lost: the GCS has ended\n"


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["raylet", "driver"])
def test_nothing_is_left_of_a_real_cluster_whatever_dies(tmp_path, victim):
    """Of the processes of Ray, or of the one that has them started."""
    program = (
        "import os, sys, time\n"
        "from raykd.clusters.local_cluster import LocalCluster\n"
        "from raykd.clusters.processes import descendants\n"
        "cluster = LocalCluster()\n"
        "cluster.address()\n"
        "print(cluster._session, *descendants(cluster._process.pid), flush=True)\n"
        "while not cluster.lost: time.sleep(0.05)\n"
        "cluster.end()\n"
    )
    driver = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    folder, *processes = driver.stdout.readline().split()
    names = {int(p): Path(f"/proc/{p}/cmdline").read_text() for p in processes}
    raylet = next(p for p, name in names.items() if "raylet/raylet\0" in name)
    os.kill(raylet if victim == "raylet" else driver.pid, signal.SIGKILL)
    driver.wait(30)
    until = time.monotonic() + 30
    while (Path(folder).exists() or _alive(names)) and time.monotonic() < until:
        time.sleep(0.05)
    assert not Path(folder).exists()
    assert not _alive(names)


def _alive(names):
    return [p for p in names if Path(f"/proc/{p}").exists()]
