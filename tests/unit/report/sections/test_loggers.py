"""What the report says of loggers."""

from __future__ import annotations

from dataclasses import replace

from raykd.report.sections.loggers import record, render
from raykd.results.logger_record import LOGGER_NOTE, LoggerRecord
from raykd.results.merge import merge
from raykd.results.records import SweepResult
from raykd.results.serialization import to_dict
from raykd.results.store import load_results
from tests.synthetic_run import write_run

DOWN = LoggerRecord(name="mlflow", place="http://host, run 1", sent=7, unsent=1200, why="<b>down")


def logged(result: SweepResult, *records: LoggerRecord) -> SweepResult:
    named = [{"name": name, "params": {}} for name in ("csv", "mlflow")]
    spec = {**result.spec, "loggers": named}
    return replace(result, spec=spec, loggers={one.name: one for one in records})


def test_a_sweep_without_loggers_has_no_section(result: SweepResult):
    assert record(result) is None


def test_what_was_not_told_is_reported_with_the_reason_and_what_to_do(result: SweepResult):
    whole = LoggerRecord(name="csv", place="/runs/a/loggers/csv", sent=1207, unsent=0)
    actual = record(logged(result, whole, DOWN))
    assert actual.heading == "Not everything was logged: mlflow"
    assert actual.rows == (
        ("csv", "/runs/a/loggers/csv", "1,207", "0", ""),
        ("mlflow", "http://host, run 1", "7", "1,200", "<b>down"),
    )
    assert "raykd sweep --resume" in actual.hint
    assert "<b>down" not in render(actual)

    actual = record(logged(result, whole, replace(DOWN, unsent=0, why="")))
    assert (actual.heading, actual.hint) == ("Everything was logged: csv, mlflow", "")


def test_a_logger_without_an_end_on_record_is_named(result: SweepResult):
    actual = record(logged(result))
    assert actual.heading == "Not everything was logged: csv, mlflow"
    assert actual.rows[0][-1].startswith("no end on record")


def test_records_are_read_from_the_log_and_begin_anew_with_a_resumption(tmp_path):
    builder = write_run(tmp_path / "glue-20260101-000000")
    builder.event("note", message="logger mlflow is switched off: down", about=LOGGER_NOTE)
    builder.event("logger", **to_dict(DOWN))
    actual = load_results(builder.folder)
    assert actual.loggers == {"mlflow": DOWN}
    assert not [note for note in actual.notes if "mlflow" in note]
    builder.event("sweep_resumed", folder="x", changed=[], versions=[])
    assert load_results(builder.folder).loggers == {}


def test_a_comparison_of_runs_is_silent_on_loggers(result: SweepResult):
    other = replace(logged(result, DOWN), run="other")
    assert record(merge([logged(result, DOWN), other])) is None
