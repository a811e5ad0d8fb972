"""The faults of machines themselves."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.chaos.family import Family
from tests.chaos.faults import without_teacher
from tests.chaos.machines import _stopped


def interrupted(family: Family) -> None:
    with _stopped(family):
        os.waitid(os.P_PID, family.root.pid, os.WSTOPPED)
        raise KeyboardInterrupt


def test_what_is_stopped_continues_after_an_interrupt() -> None:
    command = [sys.executable, "-c", "import time; time.sleep(600)"]
    process = subprocess.Popen(command)
    try:
        with pytest.raises(KeyboardInterrupt):
            interrupted(Family(process.pid))
        assert os.waitid(os.P_PID, process.pid, os.WCONTINUED | os.WNOHANG) is not None
    finally:
        process.kill()
        process.wait()


def test_a_sweep_with_a_cached_teacher_has_fewer_events() -> None:
    names = ("sweep_started", "teacher_progress", "teacher_ready", "stage", "trial_report")
    assert without_teacher([{"event": name} for name in names]) == 3
