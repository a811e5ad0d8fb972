"""The CSV logger: its tables, and that a row stands there once whatever was killed."""

from __future__ import annotations

import csv
import json

from raykd.loggers.base import LoggedTrial, Scores, Sweep, SweepEnd, TrialEnd
from raykd.loggers.csv import CsvLogger, Params
from tests.unit.loggers.messages import (
    CONFIRMED,
    POINTS,
    SEARCHED,
    TASK,
    VERDICT,
    deliver,
    logger_of,
)


def rows(sweeping, name):
    with (sweeping.run / "loggers" / "csv" / f"{name}.csv").open() as file:
        return list(csv.DictReader(file))


def test_two_sessions_leave_each_row_once(sweeping):
    sweeping.first()
    deliver("csv", sweeping.run)
    sweeping.second()
    record = deliver("csv", sweeping.run)
    assert record.place == str(sweeping.run / "loggers" / "csv")

    scores = rows(sweeping, "scores")
    of_first = [(r["step"], r["value"]) for r in scores
                if (r["trial"], r["name"]) == (SEARCHED, "validation/accuracy")]  # fmt: skip
    assert [step for step, _ in of_first] == [str(30 * k) for k in range(1, POINTS + 1)]
    assert of_first[-1][1] == "0.7"
    steps = [r["step"] for r in scores
             if (r["trial"], r["name"]) == ("glue-rte.kd.s001", "train/lr")]  # fmt: skip
    assert steps == ["10", "20"]
    (teacher,) = [r for r in scores if r["name"] == f"teacher/{TASK}/test/accuracy"]
    assert teacher["trial"] == ""

    trials = {r["trial"]: r for r in rows(sweeping, "trials")}
    assert set(trials) == {SEARCHED, "glue-rte.kd.s001", CONFIRMED}
    assert json.loads(trials[SEARCHED]["params"]) == {"lr": 1e-4, "temperature": 2}
    assert trials["glue-rte.kd.s001"]["error"] == "loss became NaN"
    assert json.loads(trials[CONFIRMED]["metrics"])["test/accuracy"] == 0.64
    assert rows(sweeping, "verdicts") == [{"task": TASK, "verdict": VERDICT}]
    assert {"setting": "search.trials", "value": "12"} in rows(sweeping, "settings")


def test_what_came_after_the_last_flush_is_cut_off_and_written_again(sweeping):
    sweeping.first()
    deliver("csv", sweeping.run)
    whole = (sweeping.run / "loggers" / "csv" / "scores.csv").read_text()
    kept = json.loads((sweeping.run / "loggers" / "csv.json").read_text())["memory"]
    killed = logger_of("csv", sweeping.run)
    killed.connect(kept)
    killed.scores(Scores(trial=None, step=9, time=1.0, values={"late": 1.0}))
    killed.flush()  # and no word of it in the state
    killed.close()
    assert "late" in (sweeping.run / "loggers" / "csv" / "scores.csv").read_text()
    deliver("csv", sweeping.run)
    assert (sweeping.run / "loggers" / "csv" / "scores.csv").read_text() == whole


def test_no_cell_is_a_formula(tmp_path):
    evil = '=HYPERLINK("http://evil")'
    settings = {"description": evil, "train.lr": "-0.5"}
    sweep = Sweep(name="glue", run="glue-1", folder=tmp_path, settings=settings)
    logger = CsvLogger(Params(), sweep)
    logger.connect({})
    trial = LoggedTrial(
        key="k", task="@SUM(A1)", arm="+1", stage="search", number=0, params={}, time=1.0
    )
    logger.scores(Scores(trial=trial, step=1, time=1.0, values={"=a": -1.5}))
    logger.trial_finished(
        TrialEnd(
            trial=trial, time=2.0, step=1, seconds=1.0, status="failed", metrics={}, error="=1+1"
        )
    )
    logger.sweep_finished(SweepEnd(time=3.0, status="done", verdicts={"glue/rte": "-x"}))
    logger.flush()
    logger.close()
    cells = {
        cell for path in tmp_path.glob("*.csv") for row in csv.reader(path.open()) for cell in row
    }
    assert {f"'{evil}", "'@SUM(A1)", "'=a", "'=1+1", "'-x", "-0.5", "-1.5", "+1"} <= cells
    assert not [cell for cell in cells if cell.startswith(("=", "@"))]
