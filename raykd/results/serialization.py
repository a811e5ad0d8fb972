"""Records to plain data and back: the one JSON form of events, teacher files and the report."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from enum import Enum
from typing import Any, TypeVar

from raykd.results.records import Evaluation, Status, TaskRecord, TeacherRecord, TrialResult

R = TypeVar("R", TrialResult, TeacherRecord, TaskRecord, Evaluation)


def to_dict(record: TrialResult | TeacherRecord | TaskRecord | Evaluation) -> dict[str, Any]:
    """A record as plain data; tuples become lists, the status its name."""
    return {f.name: _plain(getattr(record, f.name)) for f in dataclasses.fields(record)}


def from_dict(kind: type[R], plain: Mapping[str, Any]) -> R:
    """A record from plain data; keys it does not know are left out, so that newer runs can be read.

    Raises:
        TypeError: If a field without default is missing.
    """
    known = {f.name for f in dataclasses.fields(kind)}
    values = {name: _revive(name, value) for name, value in plain.items() if name in known}
    return kind(**values)


def json_safe(value: Any) -> Any:  # any plain data
    """Plain data with NaN and infinities replaced by None, which is all strict JSON can hold."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(k): json_safe(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [json_safe(v) for v in value]
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, Evaluation):
        return to_dict(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value


def _revive(name: str, value: Any) -> Any:
    if name == "history":
        return tuple(from_dict(Evaluation, e) for e in value)
    if name == "status":
        return Status(value)
    return tuple(value) if isinstance(value, list) else value
