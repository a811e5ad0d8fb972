"""What the record of a task says of its rows and metrics, and the notes on them at the start."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from raykd.results.data_caveats import describe_shared_rows
from raykd.results.event_log import EventLog
from raykd.results.records import TaskRecord
from raykd.results.replay import Replay
from raykd.results.serialization import from_dict, to_dict
from raykd.results.store import read_events
from raykd.sweep.run import _warn
from raykd.sweep.task_records import task_record
from raykd.task_setup.set_up import set_up_task
from tests.unit.sweep.specs import TASK, spec

HALVES = {"split": "validation", "fraction": 0.5}
WHOLE = {"split": "validation"}


def described(**changes) -> TaskRecord:
    actual = set_up_task(spec(**changes), TASK)
    prepared = SimpleNamespace(student=actual.student, splits=actual.student_splits)
    return task_record(actual, prepared)


def test_metrics_chance_and_splits_are_recorded_and_read_back():
    record = described(data__select_on=HALVES, data__report_on=HALVES)
    assert record.units == {"accuracy": "share"}
    assert (record.select_on, record.report_on) == (
        "50% of validation", "50% of the rest of validation",
    )  # fmt: skip
    for role in ("validation", "test"):
        assert len(record.constant[role]) == 3
        assert sum(record.constant[role]) == pytest.approx(1.0)
    assert record.shared == {}
    plain = json.loads(json.dumps(to_dict(record)))
    again = from_dict(TaskRecord, plain)
    assert {k: tuple(v) for k, v in again.constant.items()} == dict(record.constant)


def test_rows_in_two_splits_are_reported_at_the_start_and_recorded(tmp_path: Path):
    changes = {"data__select_on": WHOLE, "data__report_on": WHOLE}
    record = described(**changes)
    assert {k: tuple(v) for k, v in record.shared.items()} == {"test in validation": (120, 120)}
    message = []
    log = EventLog(tmp_path / "events.jsonl", message.append)
    _warn({TASK: set_up_task(spec(**changes), TASK)}, log, None)
    assert [e["message"] for e in message] == [
        f"{TASK}: 120 of 120 test rows (100 %) occur in the validation split, too."
    ]
    replay = Replay(run="r", spec={"methods": {}, "train": {"domains": {}}})
    replay.apply(read_events(tmp_path / "events.jsonl")[0])
    assert replay.notes == []  # the caveat says it


@pytest.mark.parametrize(
    ("what", "count", "of", "words"),
    [
        ("test in train", 12, 277,
         "12 of 277 test rows (4.3 %) occur among the rows that are trained on, too."),
        ("train with another label", 1_200, 40_000,
         "1,200 of 40,000 train rows (3 %) occur again with another label."),
        ("test_mismatched in validation", 1, 9_832,
         "1 of 9,832 test_mismatched rows (0.01 %) occur in the validation split, too."),
    ],
)  # fmt: skip
def test_shared_rows_in_words(what: str, count: int, of: int, words: str):
    assert describe_shared_rows(what, count, of) == words
