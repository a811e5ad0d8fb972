"""What loggers receive of the events of a sweep."""

from __future__ import annotations

from typing import Any

import pytest

from raykd.loggers.base import LoggedTrial, Scores, SweepEnd, TrialEnd
from raykd.loggers.feed import LoggerFeed

ID = "glue-rte.kd.s000"


def started(**changes: Any) -> dict[str, Any]:
    return {
        "event": "trial_started", "time": 10.0, "trial_id": ID, "task": "glue/rte", "arm": "kd",
        "number": 0, "stage": "search", "params": {"lr": 1e-4}, **changes,
    }  # fmt: skip


def report(step: int, **metrics: Any) -> dict[str, Any]:
    entry = {"step": step, "epoch": step / 10, "seconds": 1.0, "metrics": metrics,
             "terms": {"loss": 3.0, "task": 1.0, "soft": 2.0}}  # fmt: skip
    return {"event": "trial_report", "time": 11.0, "trial_id": ID, "evaluation": entry}


def steps(step: int) -> dict[str, Any]:
    return {"event": "trial_steps", "time": 11.0, "trial_id": ID, "step": step,
            "terms": {"loss": 3.0, "task": 1.0}, "values": {"lr": 0.5}}  # fmt: skip


def finished(status: str = "completed", **changes: Any) -> dict[str, Any]:
    result = {"trial_id": ID, "status": status, "seconds": 5.0, "error": "",
              "metrics": {"accuracy": 0.7, "test/accuracy": 0.6}, **changes}  # fmt: skip
    return {"event": "trial_finished", "time": 12.0, "result": result}


def reported(*events: dict[str, Any], with_steps: bool = True) -> list[Any]:
    feed = LoggerFeed(with_steps=with_steps)
    messages = (feed.of(event) for event in events)
    return [message for message in messages if message is not None]


def test_a_trial_from_its_start_to_its_end():
    begin, scores, point, end = reported(started(), report(10, accuracy=0.7), steps(10), finished())
    assert begin == LoggedTrial(key=ID, task="glue/rte", arm="kd", stage="search", number=0,
                          params={"lr": 1e-4}, time=10.0)  # fmt: skip
    assert isinstance(scores, Scores)
    assert (scores.trial, scores.step, scores.time) == (begin, 10, 11.0)
    assert scores.values == {"validation/accuracy": 0.7, "train/epoch": 1.0}
    assert point.values == {"loss/total": 3.0, "loss/task": 1.0, "train/lr": 0.5}
    assert isinstance(end, TrialEnd)
    assert (end.status, end.step, end.seconds) == ("completed", 10, 5.0)
    assert end.metrics == {"validation/accuracy": 0.7, "test/accuracy": 0.6}


def test_without_step_metrics_evaluations_have_the_loss_terms():
    _, scores = reported(started(), report(10), with_steps=False)
    assert scores.values == {
        "train/epoch": 1.0, "loss/total": 3.0, "loss/task": 1.0, "loss/soft": 2.0,
    }  # fmt: skip


def test_what_a_retry_repeats_is_reported_once():
    again = [started(), report(10), steps(5), report(20), steps(15)]
    messages = reported(started(), report(10), steps(5), *again)
    assert [getattr(m, "step", "start") for m in messages] == ["start", 10, 5, 20, 15]


def test_a_trial_that_was_interrupted_begins_again_as_itself():
    messages = reported(started(), report(10), finished("interrupted"), started(), report(10),
                    report(20), finished())  # fmt: skip
    kinds = [type(m).__name__ for m in messages]
    assert kinds == ["LoggedTrial", "Scores", "TrialEnd", "LoggedTrial", "Scores", "TrialEnd"]
    assert {m.trial.key for m in messages if isinstance(m, Scores | TrialEnd)} == {ID}


def test_a_confirm_trial_of_another_configuration_is_another_trial():
    first, _, second, scores = reported(
        started(), finished(), started(params={"lr": 2e-4}), report(10)
    )  # fmt: skip
    assert (first.key, second.key) == (ID, f"{ID}-2")
    assert scores.trial == second


def test_steps_that_come_after_the_end_are_reported():
    assert [type(m) for m in reported(started(), finished(), steps(5))] == [
        LoggedTrial,
        TrialEnd,
        Scores,
    ]


def test_what_is_no_number_is_left_out():
    _, scores = reported(started(), report(10, accuracy=float("nan"), f1=None, recall=0.5))
    assert scores.values == {"validation/recall": 0.5, "train/epoch": 1.0}


def test_teachers_and_verdicts_belong_to_the_sweep():
    teacher = {"event": "teacher_ready", "time": 1.0, "task": "glue/rte",
               "teacher": {"name": "big", "metrics": {"test/accuracy": 0.8}}}  # fmt: skip
    verdicts = {"event": "verdicts", "time": 2.0, "status": "done", "verdicts": {"glue/rte": "kd."}}
    scores, end = reported(teacher, teacher, verdicts)  # a resumed sweep has it ready once more
    assert (scores.trial, scores.values) == (None, {"teacher/glue/rte big/test/accuracy": 0.8})
    assert end == SweepEnd(time=2.0, status="done", verdicts={"glue/rte": "kd."})


@pytest.mark.parametrize(
    "event",
    [{"event": "note"}, {"event": "slot"}, {}, report(1), finished(), {"event": "trial_started"},
     {"event": "trial_finished", "result": 3}, {"event": "teacher_ready", "teacher": None}],
)  # fmt: skip
def test_other_events_and_trials_that_never_began_are_nothing(event):
    assert reported(event) == []
