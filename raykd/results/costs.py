"""What the arms of a task cost: their trials, and their share of the teacher."""

from __future__ import annotations

from statistics import median

from raykd.results.arm_teachers import may_read, teachers_of_task
from raykd.results.records import SweepResult


def teacher_share(result: SweepResult, task: str, arm: str) -> float:
    """Device seconds of preparing teachers that an arm bears: its part of each that it learns from.

    The part is equal for all arms that a teacher serves. Preparing one took them once, also where
    this sweep read it from the cache. It ran on as many devices as a trial.
    """
    devices = [t.device_seconds / t.seconds for t in result.trials if t.task == task and t.seconds]
    seconds = 0.0
    for teacher in teachers_of_task(result, task):
        readers = [name for name in result.arms if may_read(result, name, teacher.name)]
        if arm in readers:
            seconds += teacher.seconds / len(readers)
    return seconds * (median(devices) if devices else 1.0)
