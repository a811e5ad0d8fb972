"""Reads run folders of version 1: their records under the names that these have now.

Arms were labels then, and the validation and test splits were called select and report. What was
not recorded is absent, as it is in any run that did without it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

OLD_VERSION = 1

LACKS = (
    "an earlier version of raykd wrote this run: it recorded no outcome of single test rows, so "
    "that arms are compared over seeds, on these rows alone; nor which classes were answered, step "
    "metrics, what one answer for every row scores, and rows that splits share"
)
"""What the report says of such a run."""

_ROLES: Mapping[str, str] = {"select": "validation", "report": "test"}


def current_events(events: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """The events of a log of version 1 as one of this version has them.

    Args:
        events: Lines of ``events.jsonl``; readers report what they lack.
    """
    readers = {"result": _arm, "teacher": _metrics, "record": _rows}
    for event in events:
        parts = {
            name: read(event[name])
            for name, read in readers.items()
            if isinstance(event.get(name), Mapping)
        }
        yield {**_arm(event), **parts}


def _arm(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """A trial, or an event on one."""
    named = {"arm" if name == "label" else name: value for name, value in record.items()}
    return _metrics(named)


def _metrics(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """A record whose metrics are called by the role of their rows."""
    metrics = record.get("metrics")
    if not isinstance(metrics, Mapping):
        return record
    return {**record, "metrics": {_of_role(name): value for name, value in metrics.items()}}


def _of_role(metric: str) -> str:
    role, slash, name = metric.partition("/")
    return f"{_ROLES.get(role, role)}{slash}{name}" if slash else metric


def _rows(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """A task, with its rows by role."""
    rows = record.get("rows")
    if not isinstance(rows, Mapping):
        return record
    return {**record, "rows": {_ROLES.get(role, role): n for role, n in rows.items()}}
