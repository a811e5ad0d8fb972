"""The loggers of a sweep: checked before it, told during it, and on record at its end."""

from __future__ import annotations

import pytest

from raykd.errors import SetupError
from raykd.loggers import mlflow
from raykd.results.event_log import EventLog
from raykd.results.store import load_results, read_events
from raykd.results.verdict import verdict
from raykd.spec.schema_stages import Named
from raykd.sweep import loggers
from raykd.sweep.loggers import Loggers, check_loggers
from tests.synthetic_run import spec, write_run

TASK = "glue/rte"


def logged(*named: Named):
    return spec().model_copy(update={"loggers": named})


def test_a_missing_package_is_told_with_the_place_and_the_extra(monkeypatch):
    monkeypatch.setattr(mlflow.LOGGER, "needs", "no_such_package")
    with pytest.raises(SetupError) as caught:
        check_loggers(logged(Named(name="csv"), Named(name="mlflow")))
    (problem,) = caught.value.problems()
    assert problem.path == "loggers[1]"
    assert "needs the package no_such_package" in problem.message
    assert "raykd[mlflow]" in problem.hint
    check_loggers(logged(Named(name="csv")))


def test_a_sweep_is_told_and_what_was_told_is_on_record(tmp_path, monkeypatch):
    monkeypatch.setattr(loggers, "END_S", 0.5)
    run = write_run(tmp_path / "glue-20260101-000000").folder
    heard = []
    down = Named(name="mlflow", params={"uri": "http://127.0.0.1:9"})
    reported = Loggers(logged(Named(name="csv"), down), run)
    log = EventLog(run / "events.jsonl", reported.waking(heard.append))
    reported.start(log)
    log.emit("note", message="on it goes")
    reported.finish(log, "done", load_results(run))

    result = load_results(run)
    assert [event["event"] for event in heard] == ["note", "verdicts", "logger", "logger"]
    csv, mlflow_record = (result.loggers[name] for name in ("csv", "mlflow"))
    assert (csv.unsent, csv.why) == (0, "")
    assert csv.sent > len(result.trials)
    assert (mlflow_record.sent, mlflow_record.unsent) == (0, csv.sent)
    assert mlflow_record.why
    output = (run / "loggers" / "csv" / "verdicts.csv").read_text()
    assert verdict(result, TASK).headline in output
    settings = (run / "loggers" / "csv" / "settings.csv").read_text()
    assert "search.trials,12" in settings
    assert "mlflow" not in settings
    assert not read_events(run / "events.jsonl")[1]


def test_without_loggers_nothing_is_written(tmp_path):
    run = write_run(tmp_path / "glue-20260101-000000").folder
    before = (run / "events.jsonl").read_bytes()
    reported = Loggers(spec(), run)
    log = EventLog(run / "events.jsonl", reported.waking(lambda event: None))
    reported.start(log)
    reported.finish(log, "done", load_results(run))
    assert (run / "events.jsonl").read_bytes() == before
    assert not (run / "loggers").exists()
