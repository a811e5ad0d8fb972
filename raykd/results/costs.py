"""What the arms of a task cost: their trials, and their share of the teacher."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median
from typing import Any

from raykd.registry import METHODS_WITHOUT_TEACHER
from raykd.results.records import SweepResult


def teacher_share(result: SweepResult, task: str, arm: str) -> float:
    """Device seconds of preparing teachers that an arm bears: its part of each that it learns from.

    The part is equal for all arms that a teacher serves. Preparing one took them once, also where
    this sweep read it from the cache. It ran on as many devices as a trial.
    """
    devices = [t.device_seconds / t.seconds for t in result.trials if t.task == task and t.seconds]
    seconds = 0.0
    for teacher in result.teachers:
        reading = [name for name in result.arms if _reads(result, name, teacher.name)]
        if teacher.task == task and arm in reading:
            seconds += teacher.seconds / len(reading)
    return seconds * (median(devices) if devices else 1.0)


def _reads(result: SweepResult, arm: str, teacher: str) -> bool:
    """Whether an arm learns from a teacher, by itself or in a combination.

    One without a name is the only one.
    """
    if _method(result, arm) in METHODS_WITHOUT_TEACHER:
        return False
    spec = result.spec["methods"].get(arm, {})
    domain = (spec.get("domains") or {}).get("teacher") or {}
    named = [(spec.get("fixed") or {}).get("teacher"), *(domain.get("choices") or ())]
    described = result.spec.get("teachers") or {}
    members = {m for name in named for m in _members(described.get(name) or {})}
    return not teacher or teacher in named or teacher in members


def _members(described: Mapping[str, Any]) -> tuple[str, ...]:
    """The teachers that one is a combination of."""
    return (*(described.get("mean") or ()), *(described.get("routes") or {}).values())


def _method(result: SweepResult, arm: str) -> str:
    return str(result.spec["methods"].get(arm, {}).get("method", arm))
