from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from raykd.teachers.locks import CacheLocks

ROOT = Path(__file__).parents[3]
HOLDER = """
import sys, time
from pathlib import Path
from raykd.teachers.locks import CacheLocks
locks = CacheLocks(Path(sys.argv[1]))
held = locks.claim("aa") if sys.argv[2] == "claim" else locks.use("aa")
if sys.argv[2] == "draft":
    open_draft = locks.atomic_write(Path(sys.argv[1]) / "entry")
    (open_draft.__enter__() / "file").write_text("half")
assert held is not None
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def other(tmp_path):
    """Starts a process that holds something of the cache until it is to end."""
    running = []

    def start(what: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(tmp_path), what],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
        )  # fmt: skip
        assert process.stdout.readline() == "held\n"
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.wait()


def ended(process, *, kill: bool) -> None:
    if kill:
        process.kill()
    process.stdin.close()
    process.wait()


@pytest.mark.parametrize("kill", [False, True])
def test_what_another_process_makes_can_be_made_when_it_ends(tmp_path, other, kill):
    locks = CacheLocks(tmp_path)
    process = other("claim")
    assert locks.claim("aa") is None
    assert locks.holder("aa").startswith(f"process {process.pid} on ")
    own = locks.claim("bb")
    assert own is not None
    own.release()
    ended(process, kill=kill)
    mine = locks.claim("aa")
    assert mine is not None
    mine.release()


@pytest.mark.parametrize("what", ["claim", "use"])
def test_what_another_process_reads_or_makes_is_used_until_it_ends(tmp_path, other, what):
    locks = CacheLocks(tmp_path)
    process = other(what)
    with locks.deleting():
        assert locks.is_used("aa")
        assert not locks.is_used("a")
        assert not locks.is_used("bb")
    ended(process, kill=True)
    with locks.deleting():
        assert not locks.is_used("aa")
    assert not list((tmp_path / ".locks").glob("aa*"))


def test_many_may_read_at_a_time(tmp_path):
    locks = CacheLocks(tmp_path)
    one, two = locks.use("aa"), CacheLocks(tmp_path).use("aa")
    one.release()
    one.release()
    with locks.deleting():
        assert locks.is_used("aa")
    two.release()
    with locks.deleting():
        assert not locks.is_used("aa")


def test_a_draft_of_a_process_that_was_killed_is_left_over(tmp_path, other):
    locks = CacheLocks(tmp_path)
    process = other("draft")
    (draft,) = tmp_path.glob(".new-*")
    with locks.deleting():
        assert not locks.is_left_over(draft)
    ended(process, kill=True)
    with locks.deleting():
        assert locks.is_left_over(draft)
    assert not (tmp_path / "entry").exists()


def test_a_folder_appears_whole(tmp_path):
    locks, target = CacheLocks(tmp_path), tmp_path / "deep" / "entry"
    with locks.atomic_write(target) as draft:
        (draft / "a").write_text("1")
        assert not target.exists()
    assert (target / "a").read_text() == "1"
    with locks.atomic_write(target) as draft:
        (draft / "b").write_text("2")
    assert [p.name for p in target.iterdir()] == ["b"]
    assert [p.name for p in target.parent.iterdir()] == ["entry"]


@pytest.mark.parametrize("is_file", [True, False])
def test_what_fails_leaves_nothing_and_what_was_there_before(tmp_path, is_file):
    locks, target = CacheLocks(tmp_path), tmp_path / "entry"

    def write(text: str, error: Exception | None = None) -> None:
        with locks.atomic_write(target, is_file=is_file) as draft:
            (draft if is_file else draft / "a").write_text(text)
            if error is not None:
                raise error

    write("1")
    with pytest.raises(OSError, match="full"):
        write("2", OSError("full"))
    assert (target if is_file else target / "a").read_text() == "1"
    assert {p.name for p in tmp_path.iterdir()} == {"entry", ".locks"}


def test_a_lock_is_released_from_another_thread(tmp_path):
    from threading import Thread

    locks = CacheLocks(tmp_path)
    held = locks.claim("aa")
    thread = Thread(target=held.release)
    thread.start()
    thread.join()
    again = locks.claim("aa")
    assert again is not None
    again.release()


def test_of_many_processes_one_at_a_time_has_the_right(tmp_path):
    code = """
import sys, time
from pathlib import Path
from raykd.teachers.locks import CacheLocks
folder = Path(sys.argv[1])
locks = CacheLocks(folder)
for _ in range(20):
    while (held := locks.claim("aa")) is None:
        time.sleep(0.001)
    count = folder / "count"
    number = int(count.read_text())
    time.sleep(0.001)
    count.write_text(str(number + 1))
    held.release()
"""
    (tmp_path / "count").write_text("0")
    running = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT) for _ in range(3)
    ]
    until = time.monotonic() + 300
    for process in running:
        assert process.wait(until - time.monotonic()) == 0
    assert (tmp_path / "count").read_text() == "60"
