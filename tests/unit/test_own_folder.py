"""Temporary folders go with the process that made them, however it ends."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

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
