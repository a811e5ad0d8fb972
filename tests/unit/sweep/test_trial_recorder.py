"""The records of trials, with a coordinator that only listens."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from raykd.results.event_log import EventLog
from raykd.results.records import Status
from raykd.results.row_outcomes import read_predictions
from raykd.results.store import load_results, read_events
from raykd.sweep import run_folder
from raykd.sweep.arm_studies import arm_studies, search_trial
from raykd.sweep.trial_recorder import TrialRecorder
from tests.unit.sweep.specs import spec


class Coordinator:
    """Every method of the actor does nothing."""

    def __getattr__(self, name):
        return SimpleNamespace(remote=lambda *arguments: None)


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setattr("raykd.sweep.trial_recorder.answer", lambda request: request)
    monkeypatch.setattr("raykd.sweep.trial_recorder.unread", lambda job: job)  # no object store
    return run_folder.create(tmp_path, spec(), "", "", "none")


def trial(run, number=0):
    arm_study = next(c for c in arm_studies(spec()) if c.arm.name == "kd")
    return search_trial(spec(), run, arm_study, number, {"alpha": 0.3, "lr": 1e-3})


def recorder_of(run, cut_short=frozenset()):
    log = EventLog(run / "events.jsonl", lambda event: None)
    return TrialRecorder(Coordinator(), log, run, 1.0, 2, cut_short)


LEASE = {"slot": 0, "node": "n", "attempt": 1, "time": 5.0}


def evaluation(step):
    at = {"step": step, "epoch": float(step), "seconds": 1.0, "terms": {}}
    return {
        "kind": "evaluation", "evaluation": {**at, "metrics": {"accuracy": step / 10}},
        "lease": LEASE,
    }  # fmt: skip


def test_a_trial_that_repeats_one_that_was_cut_says_so_in_the_log(run):
    first, second = trial(run, 0), trial(run, 1)
    recorder = recorder_of(run, frozenset({first.trial_id}))
    for config in (first, second):
        recorder.launch(config, ("alpha",), "key")
        recorder.leased({"job": config.trial_id, **LEASE})
    started = [e for e in read_events(run / "events.jsonl")[0] if e["event"] == "trial_started"]
    assert [e.get("retry_of") for e in started] == [first.trial_id, None]


def test_a_training_that_reports_its_evaluations_again_has_each_of_them_once(run):
    config = trial(run)
    recorder = recorder_of(run)
    recorder.launch(config, ("alpha",), "key")
    for step in (1, 2, 1, 2, 3):  # it continued from a state after the second
        recorder.evaluated(config.trial_id, evaluation(step), "accuracy")
    (cut,) = load_results(run).trials
    assert (cut.status, [e.step for e in cut.history]) == (Status.INTERRUPTED, [1, 2, 3])
    made = recorder.finished(config.trial_id, Status.PRUNED, None, "accuracy")
    assert [e.step for e in made.history] == [1, 2, 3]
    assert load_results(run).trials == (made,)


@pytest.mark.parametrize("status", [Status.COMPLETED, Status.PRUNED, Status.FAILED])
def test_the_states_of_a_trial_that_is_over_are_gone(run, status):
    config, other = (
        dataclasses.replace(one, train={**one.train, "precision": "fp32"})
        for one in (trial(run, 100), trial(run, 1000))
    )
    recorder = recorder_of(run)
    for one in (config, other):
        recorder.launch(one, ("alpha",), "key")
        for attempt in (1, 2):
            path = Path(one.state_path)
            path.with_name(f"{path.stem}.{attempt}{path.suffix}").write_text("state")
    recorder.finished(config.trial_id, status, None, "accuracy")
    left = {p.name.split(".")[2] for p in (run / "state").iterdir()}
    assert left == {"s1000"}
    recorder.finished(other.trial_id, Status.INTERRUPTED, None, "accuracy")
    assert len(list((run / "state").iterdir())) == 2, "it continues from them"


def test_a_state_that_cannot_be_deleted_ends_no_sweep_and_is_said_once(run):
    recorder = recorder_of(run)
    for number in (0, 1):
        config = trial(run, number)
        config = dataclasses.replace(config, train={**config.train, "precision": "fp32"})
        recorder.launch(config, ("alpha",), "key")
        path = Path(config.state_path)
        path.with_name(f"{path.stem}.1{path.suffix}").mkdir()
        recorder.finished(config.trial_id, Status.COMPLETED, None, "accuracy")
    notes = [e["message"] for e in read_events(run / "events.jsonl")[0] if e["event"] == "note"]
    (note,) = notes
    assert note.startswith("states of trials that are over cannot be deleted: ")
    assert [t.status for t in load_results(run).trials] == [Status.COMPLETED] * 2


def test_states_of_one_trial_with_other_parameters_have_other_names(run):
    arm_study = next(c for c in arm_studies(spec()) if c.arm.name == "kd")
    one, other = (
        search_trial(spec(), run, arm_study, 0, {"alpha": alpha, "lr": 1e-3})
        for alpha in (0.3, 0.4)
    )
    assert one.trial_id == other.trial_id
    assert Path(one.state_path).stem != Path(other.state_path).stem


def test_a_failure_keeps_the_hint(run):
    config = trial(run)
    recorder = recorder_of(run)
    recorder.launch(config, ("alpha",), "key")
    event = {"kind": "failed", "error": "the loss became NaN", "hint": "lower lr", "lease": LEASE}
    made = recorder.finished(config.trial_id, Status.FAILED, event, "accuracy")
    assert made.error == "the loss became NaN = lower lr"


def test_outcomes_of_rows_are_in_a_file_before_the_end_is_on_record(run):
    config = trial(run)
    seen: list[tuple[str, bool]] = []
    log = EventLog(
        run / "events.jsonl",
        lambda event: seen.append((event["event"], (run / "row_outcomes").is_dir())),
    )
    recorder = TrialRecorder(Coordinator(), log, run, 1.0, 2)
    recorder.launch(config, ("alpha",), "key")
    outcomes = np.array([1, 0, 1], np.float32)
    event = {"kind": "done", "metrics": {"accuracy": 2 / 3}, "lease": LEASE,
             "row_outcomes": outcomes, "row_predictions": ["a", "b", "a"],
             "confusion": ((1, 1), (0, 1))}  # fmt: skip
    made = recorder.finished(config.trial_id, Status.COMPLETED, event, "accuracy")
    assert ("trial_finished", True) in seen
    result = load_results(run)
    np.testing.assert_array_equal(result.row_outcomes[made.row_outcomes], outcomes)
    assert read_predictions(run, made) == ["a", "b", "a"]
    assert [list(row) for row in result.trials[0].confusion] == [[1, 1], [0, 1]]


def test_a_run_once_more_says_so_in_the_log_and_stands_for_the_first(run):
    config = trial(run)
    recorder = recorder_of(run)
    for again in (False, True):
        recorder.launch(config, ("alpha",), "key", again=again)
        recorder.leased({"job": config.trial_id, **LEASE})
        status = Status.COMPLETED if again else Status.FAILED
        recorder.finished(config.trial_id, status, {"lease": LEASE}, "accuracy")
    started = [e for e in read_events(run / "events.jsonl")[0] if e["event"] == "trial_started"]
    assert [e.get("retry_of") for e in started] == [None, config.trial_id]
    (only,) = load_results(run).trials
    assert only.status is Status.COMPLETED


def test_a_trial_that_ran_out_of_memory_says_so_once_for_each_size_and_arm(run):
    recorder = recorder_of(run)
    rows = {0: (0, 8, 8), 1: (8, 4)}
    for number, sizes in rows.items():
        config = trial(run, number)
        recorder.launch(config, ("alpha",), "key")
        for step, size in enumerate(sizes, 1):
            event = evaluation(step)
            event["evaluation"]["micro_batch"] = size
            recorder.evaluated(config.trial_id, event, "accuracy")
        made = recorder.finished(config.trial_id, Status.COMPLETED, None, "accuracy")
        assert (made.micro_batch, made.batch_wide) == (sizes[-1], "")
        assert [e.micro_batch for e in made.history] == list(sizes)
    notes = [e["message"] for e in read_events(run / "events.jsonl")[0] if e["event"] == "note"]
    assert [note.partition(":")[0] for note in notes] == [
        trial(run, 0).trial_id,
        trial(run, 1).trial_id,
    ]
    assert "8 rows at most" in notes[0]
    assert "4 rows at most" in notes[1]


def test_rows_of_a_pass_that_were_requested_are_no_news(run):
    config = trial(run)
    config = dataclasses.replace(config, method="sinkd", train={**config.train, "micro_batch": 8})
    recorder = recorder_of(run)
    recorder.launch(config, ("alpha",), "key")
    event = evaluation(1)
    event["evaluation"]["micro_batch"] = 8
    recorder.evaluated(config.trial_id, event, "accuracy")
    made = recorder.finished(config.trial_id, Status.COMPLETED, None, "accuracy")
    assert "note" not in {e["event"] for e in read_events(run / "events.jsonl")[0]}
    assert made.batch_wide == "predictions are transported within each micro batch"
