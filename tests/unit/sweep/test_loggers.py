"""The loggers of a sweep: checked before it, told during it, and on record at its end."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from raykd.errors import SetupError
from raykd.loggers import mlflow
from raykd.results.event_log import EventLog
from raykd.results.store import load_results, read_events
from raykd.results.verdict import verdict
from raykd.spec.schema_stages import Named
from raykd.sweep import loggers
from raykd.sweep.loggers import Loggers, check_loggers
from tests.mlflow_server import mlflow_server
from tests.synthetic_run import Builder, spec, write_run

TASK = "glue/rte"


def logged(*named: Named):
    return spec().model_copy(update={"loggers": named})


def test_a_missing_package_is_reported_with_the_place_and_the_extra(monkeypatch):
    monkeypatch.setattr(mlflow.LOGGER, "needs", "no_such_package")
    with pytest.raises(SetupError) as caught:
        check_loggers(logged(Named(name="csv"), Named(name="mlflow")))
    (problem,) = caught.value.problems()
    assert problem.path == "loggers[1]"
    assert "needs the package no_such_package" in problem.message
    assert "raykd[mlflow]" in problem.hint
    check_loggers(logged(Named(name="csv")))


def test_a_sweep_is_logged_and_what_was_sent_is_on_record(tmp_path, monkeypatch):
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


def test_a_server_that_goes_down_in_the_middle_gets_the_rest_by_a_resumption(tmp_path, monkeypatch):
    monkeypatch.setattr(loggers, "END_S", 1.0)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    builder = Builder(tmp_path / "run", spec(trials=2))
    builder.start()
    builder.teacher(TASK)
    for number in range(2):
        for arm in ("none", "kd"):
            builder.trial(TASK, arm, number, objective=0.7)
    builder.finish()
    run = builder.folder
    with mlflow_server() as server:
        down = Named(name="mlflow", params={"uri": server.address})
        server.ends = 1
        first = handed_on(run, (down, Named(name="csv")), lambda: server.is_down)
        assert first["mlflow"].sent > 0
        assert first["mlflow"].unsent > 0
        assert first["mlflow"].why
        assert first["csv"].unsent == 0  # which was not held up
        assert len(server.ended()) == 1
        server.ends, server.is_down = 10**9, False
        again = handed_on(run, (down,), lambda: len(server.ended()) == 4)["mlflow"]
        assert (again.unsent, again.why) == (0, "")
        assert len(server.runs) == 1 + 4  # none twice: the sweep and its trials
        assert len(server.ended()) == 1 + 4


def handed_on(run: Path, to: Sequence[Named], done: Callable[[], bool]) -> Mapping[str, Any]:
    """What became of loggers that receive a run until something is done, and its end then."""
    log = EventLog(run / "events.jsonl", lambda event: None)
    reported = Loggers(logged(*to), run)
    reported.start(log)
    until = time.monotonic() + 30
    while not done() and time.monotonic() < until:
        time.sleep(0.01)
    assert done()
    reported.finish(log, "done", load_results(run))
    return load_results(run).loggers


def test_without_loggers_nothing_is_written(tmp_path):
    run = write_run(tmp_path / "glue-20260101-000000").folder
    before = (run / "events.jsonl").read_bytes()
    reported = Loggers(spec(), run)
    log = EventLog(run / "events.jsonl", reported.waking(lambda event: None))
    reported.start(log)
    reported.finish(log, "done", load_results(run))
    assert (run / "events.jsonl").read_bytes() == before
    assert not (run / "loggers").exists()
