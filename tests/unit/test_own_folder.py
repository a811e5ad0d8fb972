"""Temporary folders go with the process that made them, however it ends."""

from __future__ import annotations

import errno
import os
import signal
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from raykd import own_folder as module
from raykd.own_folder import delete_own_folders, own_folder


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders are made; there is none of this process."""
    delete_own_folders()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def in_a_fork(work: Callable[[], None]) -> None:
    """Do something in a copy of this process, and see that it ends as that is meant to."""
    child = os.fork()
    if not child:
        try:
            work()
        finally:
            os._exit(7)
    os.waitpid(child, 0)


def killed() -> None:
    (own_folder("weights") / "model").write_text("large")
    os.kill(os.getpid(), signal.SIGKILL)


def test_folders_of_a_process_that_was_killed_go_with_the_next_that_makes_some(place: Path) -> None:
    in_a_fork(killed)
    assert len(list(place.iterdir())) == 1
    one, other = own_folder("weights"), own_folder("weights")
    assert one != other
    assert [one.parent] == list(place.iterdir())
    delete_own_folders()
    assert not list(place.iterdir())
    delete_own_folders()


def test_folders_of_a_process_that_runs_stay(place: Path) -> None:
    kept = own_folder("adapter")

    def other() -> None:
        assert own_folder("adapter").parent != kept.parent
        delete_own_folders()

    in_a_fork(other)
    assert kept.is_dir()
    assert [kept.parent] == list(place.iterdir())
    delete_own_folders()


def test_threads_that_make_the_first_at_once_share_a_place(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    met = threading.Barrier(2)
    with monkeypatch.context() as patch, ThreadPoolExecutor(2) as threads:
        patch.setattr(module, "_delete_unused", lambda folder: met.wait(10))
        one, other = threads.map(own_folder, ("adapter", "weights"))
    assert one.parent == other.parent
    in_a_fork(killed)  # another process deletes what nobody holds
    assert one.is_dir()
    assert other.is_dir()
    delete_own_folders()
    in_a_fork(one_more)
    assert not list(place.iterdir())


def one_more() -> None:
    own_folder("weights")
    delete_own_folders()


def test_where_the_file_system_has_no_locks_folders_are_made_all_the_same(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(*requested: object) -> None:
        raise OSError(errno.ENOSYS, "no locks here")

    monkeypatch.setattr(module.fcntl, "flock", no_locks)
    made = own_folder("slots")
    assert made.is_dir()
    assert not list(place.glob("*/in-use"))  # what is not locked is nobody's to delete
    delete_own_folders()
    assert not list(place.iterdir())
