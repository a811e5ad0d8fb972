import csv
import dataclasses
import io
import json
import math
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from raykd.errors import RaykdError
from raykd.results.export import as_csv, as_json
from raykd.results.finetune_trial import FinetuneTrial
from raykd.results.logger_record import LoggerRecord
from raykd.results.records import SpeedRecord, Status, TeacherRecord, TrialResult
from raykd.results.serialization import from_dict, json_safe, to_dict
from raykd.results.store import load_results
from tests.synthetic_run import Builder, write_run


def test_a_trial_round_trips_through_json(full_run: Builder):
    for trial in full_run.trials[:20]:
        assert from_dict(TrialResult, json.loads(json.dumps(to_dict(trial)))) == trial


def test_a_teacher_with_its_search_round_trips_through_json(full_run: Builder):
    given = load_results(full_run.folder).teachers[0]
    tried = (
        FinetuneTrial(2e-5, 3, "accuracy", 0.71, 60.0, chosen=True),
        FinetuneTrial(8e-5, 3, "accuracy", math.nan, 60.0),
    )
    plain = json.dumps(to_dict(dataclasses.replace(given, tried=tried)), allow_nan=False)
    again = from_dict(TeacherRecord, json.loads(plain)).tried
    assert again[0] == tried[0]
    assert math.isnan(again[1].score)


def test_how_fast_a_teacher_is_round_trips_and_older_runs_have_none(full_run: Builder):
    given = load_results(full_run.folder).teachers[0]
    speed = SpeedRecord(
        teacher_ms=2.6, student_ms=0.8, low=2.9, high=3.4, teacher_bytes=696, student_bytes=175,
        precision="fp32", rows=30, device="CPU", threads=1,
    )  # fmt: skip
    plain = json.loads(json.dumps(to_dict(dataclasses.replace(given, speed=speed))))
    assert from_dict(TeacherRecord, plain).speed == speed
    del plain["speed"]
    assert from_dict(TeacherRecord, plain).speed is None
    with pytest.raises(TypeError, match="teacher_ms of a SpeedRecord is 'fast'"):
        from_dict(TeacherRecord, {**plain, "speed": {"teacher_ms": "fast"}})


def test_unknown_keys_of_newer_runs_are_passed_over(full_run: Builder):
    plain = {**to_dict(full_run.trials[0]), "added_later": 1}
    assert from_dict(TrialResult, plain) == full_run.trials[0]


def test_records_from_before_their_fields_were_renamed_are_read(full_run: Builder):
    logger = from_dict(LoggerRecord, {"name": "csv", "place": "/a", "told": 7, "untold": 2})
    assert (logger.sent, logger.unsent) == (7, 2)
    usage = {"asked": 3, "known": 1, "read": 9, "written": 4, "read_before": 5, "written_before": 6}
    record = to_dict(load_results(full_run.folder).teachers[0]) | {"asked": usage}
    del record["usage"]
    read = from_dict(TeacherRecord, record)
    assert read.usage == {
        "requests": 3, "cached": 1, "prompt_tokens": 9, "completion_tokens": 4,
        "cached_prompt_tokens": 5, "cached_completion_tokens": 6,
    }  # fmt: skip
    assert from_dict(TeacherRecord, to_dict(read)) == read


def test_missing_fields_are_an_error():
    with pytest.raises(TypeError):
        from_dict(TeacherRecord, {"task": "glue/rte"})


def test_strict_json_has_no_nan():
    assert json_safe({"a": [math.nan, 1.0], "b": math.inf}) == {"a": [None, 1.0], "b": None}


def test_a_finished_run_is_read_back_whole(full_run: Builder):
    result = load_results(full_run.folder)
    assert sorted(t.trial_id for t in result.trials) == sorted(t.trial_id for t in full_run.trials)
    assert [t.name for t in result.tasks] == ["glue/rte", "glue/mrpc"]
    assert result.arms == ("none", "kd", "ckd")
    assert result.baseline == "kd"
    assert result.finished > result.started > 0
    assert not result.interrupted
    assert [s["kind"] for s in result.spans] == ["slot", "slot", "teacher", "teacher"]
    assert result.command.startswith("raykd sweep")


def test_the_table_has_a_row_per_trial_with_histories_as_lists(full_run: Builder):
    table = pq.read_table(full_run.folder / "trials.parquet").to_pylist()
    assert [r["trial_id"] for r in table] == [t.trial_id for t in full_run.trials]
    first, trial = table[0], full_run.trials[0]
    assert json.loads(first["params"]) == dict(trial.params)
    assert first["history_epoch"] == [e.epoch for e in trial.history]
    assert json.loads(first["history_metrics"][-1]) == dict(trial.history[-1].metrics)
    assert not list(full_run.folder.glob("*.part"))


def test_a_trial_that_never_finished_is_interrupted_and_keeps_its_curve(builder: Builder):
    builder.teacher("glue/rte")
    builder.trial("glue/rte", "kd", 0)
    lines = (builder.folder / "events.jsonl").read_text().splitlines()
    (builder.folder / "events.jsonl").write_text("\n".join(lines[:-1]) + "\n" + lines[-1][:40])
    result = load_results(builder.folder)
    (trial,) = result.trials
    assert trial.status is Status.INTERRUPTED
    assert [e.epoch for e in trial.history] == [1, 2, 3, 4]
    assert (trial.method, trial.slot, trial.node) == ("kd", 0, "node-1")
    assert set(trial.searched) == {"lr", "alpha", "temperature"}
    assert any("no end" in n and "event log" in n for n in result.notes)
    assert any("still going, or was killed" in n for n in result.notes)
    assert result.finished == 0


def test_a_resumed_run_continues_after_a_torn_line(builder: Builder):
    builder.teacher("glue/rte")
    with (builder.folder / "events.jsonl").open("a") as file:
        file.write('{"time": 1, "event": "tri\n')
    builder.event("sweep_resumed")
    builder.trial("glue/rte", "kd", 0)
    builder.finish()
    result = load_results(builder.folder)
    assert len(result.trials) == 1
    assert result.finished > 0


def test_a_later_attempt_replaces_the_earlier_one(builder: Builder):
    builder.teacher("glue/rte")
    builder.trial("glue/rte", "kd", 0, Status.FAILED, None, error="lost")
    builder.event("sweep_finished", status="interrupted", seconds=1)
    assert load_results(builder.folder).interrupted
    builder.event("sweep_resumed")
    builder.trial("glue/rte", "kd", 0, objective=0.9)
    result = load_results(builder.folder)
    (trial,) = result.trials
    assert (trial.status, trial.objective) == (Status.COMPLETED, 0.9)
    assert not result.interrupted


def test_a_run_without_trials_or_teachers_can_be_read(builder: Builder):
    result = load_results(builder.folder)
    assert result.trials == ()
    assert result.tasks == ()


@pytest.mark.parametrize("missing", ["resolved.json", "resolved.yaml", "env.json"])
def test_a_missing_file_is_named(builder: Builder, missing: str):
    (builder.folder / missing).unlink()
    with pytest.raises(RaykdError, match=missing):
        load_results(builder.folder)


def test_a_folder_that_is_no_run_says_so(tmp_path: Path):
    with pytest.raises(RaykdError, match="not a run folder"):
        load_results(tmp_path)
    with pytest.raises(RaykdError, match="not a folder"):
        load_results(tmp_path / "nowhere")


def test_unreadable_lines_and_events_are_errors_with_their_place(builder: Builder):
    path = builder.folder / "events.jsonl"
    good = path.read_text()
    path.write_text(good + "[1, 2]\n")
    with pytest.raises(RaykdError, match=r"events.jsonl:\d+: expected a JSON object"):
        load_results(builder.folder)
    path.write_text(good + '{"time": 1, "event": "trial_finished", "result": {}}\n')
    with pytest.raises(RaykdError, match="cannot be understood"):
        load_results(builder.folder)


def test_a_run_of_another_version_is_refused(tmp_path: Path):
    other = Builder(tmp_path / "run", env={"version": 99})
    with pytest.raises(RaykdError, match="version 99"):
        load_results(other.folder)


def test_export_has_every_trial(full_run: Builder):
    result = load_results(full_run.folder)
    assert len(json.loads(as_json(result))["trials"]) == len(result.trials)
    lines = as_csv(result).splitlines()
    assert lines[0].startswith("task,arm,method")
    assert "params.wrangle" in lines[0]
    assert len(lines) > len(result.trials)


def test_no_cell_of_a_table_is_a_formula(builder: Builder):
    texts = ["=HYPERLINK(1)", "+1+1", "-1-1", "@SUM(A1)", "\tx", "-0.5", "plain", "a=b"]
    builder.teacher("glue/rte")
    for number, text in enumerate(texts):
        builder.trial("glue/rte", "kd", number, params={"alpha": text}, error=text)
    table = list(csv.DictReader(io.StringIO(as_csv(load_results(builder.folder)))))
    shown = ["'=HYPERLINK(1)", "'+1+1", "'-1-1", "'@SUM(A1)", "'\tx", "-0.5", "plain", "a=b"]
    assert [row["params.alpha"] for row in table] == [row["error"] for row in table] == shown
    assert all(float(row["started"]) > 0 for row in table)


def test_the_lag_of_a_search_is_that_of_its_last_driver(builder: Builder):
    builder.event("stage", stage="confirm", task="glue/rte")
    assert not load_results(builder.folder).lags
    for lag in (2, None, 4):
        builder.event("stage", stage="search", task="glue/rte", lag=lag)
    assert load_results(builder.folder).lags == {"glue/rte": 4}


def test_where_a_teacher_came_from_is_no_note_on_trust(tmp_path: Path):
    builder = write_run(tmp_path / "run")
    builder.event("note", message="the teacher of glue/rte was made", about="teacher")
    builder.event("note", message="a key was ignored")
    result = load_results(tmp_path / "run")
    assert result.teacher_notes == ("the teacher of glue/rte was made",)
    assert "a key was ignored" in result.notes
    assert result.teacher_notes[0] not in result.notes
