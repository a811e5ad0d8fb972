from __future__ import annotations

import pytest

from raykd.cli.progress import Progress, about, duration, number, parameters, time_left
from tests.unit.cli.event_stream import BEGIN, END, READY, START, TEACHER, TRIALS, event, result


def after(*parts) -> Progress:
    state = Progress()
    for part in parts:
        for one in part:
            state.update(one)
    return state


def test_counts_of_an_arm():
    state = after(BEGIN, TEACHER, READY, TRIALS)
    kd, none = state.arm("glue/rte", "kd"), state.arm("glue/rte", "none")
    assert (kd.done, kd.failed, kd.pruned, kd.since, kd.best) == (2, 1, 0, 1, 0.7)
    assert kd.best_params == {"alpha": 0.71234}
    assert (none.done, none.pruned, none.since, none.best) == (1, 1, 0, 0.6)
    assert (state.ended, state.planned) == (3, 6)
    assert not state.running


@pytest.mark.parametrize(("mode", "best"), [("max", 0.7), ("min", 0.6)])
def test_the_best_follows_the_direction_of_the_metric(mode, best):
    state = after(BEGIN)
    state.update(event("teacher_ready", 1, task="glue/rte",
                       teacher={"metrics": {}, "cached": True},
                       record={"metric": "accuracy", "mode": mode}))  # fmt: skip
    for k, value in enumerate([0.65, 0.7, 0.6]):
        state.update(event("trial_finished", 2, result=result("kd", k, "completed", value)))
    assert state.arm("glue/rte", "kd").best == best


def test_a_trial_beyond_a_constraint_is_done_and_not_the_best():
    state = after(BEGIN)
    for k, (value, violated) in enumerate([(0.6, ()), (0.9, ("latency_ms <= 5",))]):
        actual = result("kd", k, "completed", value, violated=violated)
        state.update(event("trial_finished", 2, result=actual))
    arm = state.arm("glue/rte", "kd")
    assert (arm.done, arm.best) == (2, 0.6)


def test_a_confirm_run_and_an_interrupted_trial_are_no_search_trials():
    state = after(BEGIN)
    done = result("kd", 0, "completed", 0.9, stage="confirm")
    state.update(event("trial_finished", 2, result=done))
    state.update(event("trial_finished", 2, result=result("kd", 1, "interrupted", None)))
    arm = state.arm("glue/rte", "kd")
    assert (arm.done, arm.confirmed, arm.best) == (0, 1, None)


def test_a_confirm_run_that_failed_is_not_lost_while_it_is_run_once_more():
    state = after(BEGIN)
    failed = result("kd", 0, "failed", None, stage="confirm")
    again = event("trial_started", 3, trial_id=failed["trial_id"], task="glue/rte", arm="kd",
                  number=0, stage="confirm", params={}, retry_of=failed["trial_id"])  # fmt: skip
    arm = state.arm("glue/rte", "kd")
    state.update(event("trial_finished", 2, result=failed))
    assert arm.lost == 1
    state.update(again)
    assert arm.lost == 0
    state.update(event("trial_finished", 4, result={**failed, "status": "completed"}))
    assert (arm.confirmed, arm.lost) == (1, 0)


def test_the_time_left_is_the_pace_times_what_is_left():
    state = after(BEGIN, READY, TRIALS)
    # Three of six ended in the 50 s since the first trial began.
    assert state.seconds_left(START + 60) == pytest.approx(50)
    assert after(BEGIN, READY).seconds_left(START + 60) is None


def test_preparation_ends_when_the_teacher_is_ready():
    state = after(BEGIN, TEACHER)
    assert state.preparation is not None
    assert state.preparation.describe() == "fine-tuning the teacher of glue/rte"
    state = after(BEGIN, TEACHER, READY)
    assert state.preparation is None
    assert state.teachers == {"glue/rte": 0.726}


def test_events_without_meaning_for_progress_change_nothing():
    state = after(BEGIN)
    before = repr(state)
    state.update(event("report_written", 5, report="x"))
    assert repr(state) == before


def test_the_end_clears_what_was_running():
    state = after(BEGIN, TEACHER, READY, END)
    assert state.finished == "completed"
    assert not state.running


def test_texts():
    assert [duration(s) for s in (0, 61.9, 15127)] == ["00:00:00", "00:01:01", "04:12:07"]
    assert [about(s) for s in (20, 180, 6600)] == ["less than a minute", "3 min", "1 h 50 min"]
    assert [time_left(s) for s in (20, 180)] == ["less than a minute left", "about 3 min left"]
    assert [number(v) for v in (None, 0.71234, 1e-5)] == ["-", "0.7123", "1e-05"]
    assert parameters({"alpha": 0.71234, "angles": True, "layers": "last"}) == (
        "alpha 0.7123  angles true  layers last"
    )
