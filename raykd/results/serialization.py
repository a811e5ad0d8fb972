"""Records to plain data and back: the one JSON form of events, teacher files and the report."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from enum import Enum
from typing import Any, TypeVar

from raykd.results.finetune_trial import FinetuneTrial
from raykd.results.logger_record import LoggerRecord
from raykd.results.records import (
    Evaluation,
    SpeedRecord,
    Status,
    TaskRecord,
    TeacherRecord,
    TrialResult,
)

R = TypeVar("R", TrialResult, TeacherRecord, TaskRecord, Evaluation, LoggerRecord, SpeedRecord)


_FIELDS: dict[type[Any], Mapping[str, Any]] = {}

_EARLIER: Mapping[str, str] = {"told": "sent", "untold": "unsent", "asked": "usage"}
"""Names of fields in runs from before they were renamed."""
_EARLIER_USAGE: Mapping[str, str] = {
    "asked": "requests", "known": "cached", "read": "prompt_tokens",
    "written": "completion_tokens", "read_before": "cached_prompt_tokens",
    "written_before": "cached_completion_tokens",
}  # fmt: skip


def to_dict(
    record: TrialResult | TeacherRecord | TaskRecord | Evaluation | LoggerRecord | SpeedRecord,
) -> dict[str, Any]:
    """A record as plain data; tuples become lists, the status its name."""
    return {f.name: _plain(getattr(record, f.name)) for f in dataclasses.fields(record)}


def from_dict(kind: type[R], plain: Mapping[str, Any]) -> R:
    """A record from plain data; keys it does not know are left out, so that newer runs can be read.

    Raises:
        TypeError: If a field without default is missing, or holds a value of another type.
        ValueError: If the status is none.
    """
    fields = _types(kind)
    named = {name if name in fields else _EARLIER.get(name, name): v for name, v in plain.items()}
    values = {name: _revive(name, value) for name, value in named.items() if name in fields}
    for name, value in values.items():
        if not _is(value, fields[name]):
            raise TypeError(f"{name} of a {kind.__name__} is {value!r:.80}")
    return kind(**values)


def _types(kind: type[Any]) -> Mapping[str, Any]:
    """The types of the fields of a record, by name."""
    if kind not in _FIELDS:
        hints = typing.get_type_hints(kind)
        _FIELDS[kind] = {f.name: hints[f.name] for f in dataclasses.fields(kind)}
    return _FIELDS[kind]


def _is(value: Any, wanted: Any) -> bool:
    """Whether a value read from JSON is of the type of a field."""
    if wanted is float or wanted is int:
        numbers = (int, float) if wanted is float else (int,)
        return isinstance(value, numbers) and not isinstance(value, bool)
    outer, inner = typing.get_origin(wanted), typing.get_args(wanted)
    if outer is None:
        return wanted is Any or isinstance(value, type(None) if wanted is None else wanted)
    if outer in (typing.Union, types.UnionType):
        return any(_is(value, one) for one in inner)
    if outer is Mapping:
        return isinstance(value, Mapping) and all(_is(one, inner[1]) for one in value.values())
    return isinstance(value, list | tuple) and all(_is(one, inner[0]) for one in value)


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
    if isinstance(value, Evaluation | SpeedRecord):
        return to_dict(value)
    if isinstance(value, FinetuneTrial):
        return json_safe(dataclasses.asdict(value))
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
    if name == "speed" and isinstance(value, Mapping):
        return from_dict(SpeedRecord, value)
    if name == "tried":
        return tuple(_tried(one) for one in value)
    if name == "status":
        return Status(value)
    if name == "usage" and isinstance(value, Mapping):
        return {_EARLIER_USAGE.get(key, key): count for key, count in value.items()}
    return tuple(value) if isinstance(value, list) else value


def _tried(plain: Mapping[str, Any]) -> FinetuneTrial:
    """A training of a teacher's search; JSON has no NaN for one that diverged."""
    score = math.nan if plain["score"] is None else plain["score"]
    return FinetuneTrial(**{**plain, "score": score})
