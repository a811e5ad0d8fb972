"""What the arms of a task cost: their trials, and their share of the teacher."""

from __future__ import annotations

from statistics import median

from raykd.registry import METHODS_WITHOUT_TEACHER
from raykd.results.records import SweepResult


def teacher_share(result: SweepResult, task: str, arm: str) -> float:
    """Device seconds of preparing the teacher that an arm bears: an equal part of those it serves.

    Preparing it took them once, also where this sweep read it from the cache. It ran on as many
    devices as a trial.
    """
    teacher = result.teacher(task)
    reading = [name for name in result.arms if _method(result, name) not in METHODS_WITHOUT_TEACHER]
    if teacher is None or arm not in reading:
        return 0.0
    devices = [t.device_seconds / t.seconds for t in result.trials if t.task == task and t.seconds]
    return teacher.seconds * (median(devices) if devices else 1.0) / len(reading)


def _method(result: SweepResult, arm: str) -> str:
    return str(result.spec["methods"].get(arm, {}).get("method", arm))
