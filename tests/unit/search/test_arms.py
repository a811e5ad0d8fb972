"""The search over all arms, driven as Ray Tune's controller drives it."""

from __future__ import annotations

import functools
import json
import math
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest
from optuna.trial import TrialState
from ray.tune.execution.tune_controller import TuneController
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from raykd.errors import SetupError
from raykd.results.records import Status
from raykd.search.arms import Arm, ArmsRecorder, ArmsScheduler, ArmsSearch, SearchError
from raykd.search.schedulers import asha
from raykd.search.study import reopen
from tests.unit.search.studies import study

HALVING = asha.Params(grace_period=1, reduction_factor=2)


@dataclass
class Notebook(ArmsRecorder):
    """Writes down what happens."""

    lines: list[tuple] = field(default_factory=list)
    events: dict[tuple[str, int], dict | None] = field(default_factory=dict)

    def launch(self, arm, number, params):
        self.lines.append(("launch", arm, number))
        return {"job": f"{arm}.{number}"}

    def evaluated(self, arm, number, event):
        self.lines.append(("evaluated", arm, number))

    def finished(self, arm, number, status, event):
        self.lines.append(("finished", arm, number, status))
        self.events[arm, number] = event
        return 1.0

    def cancel(self, arm, number):
        self.lines.append(("cancel", arm, number))

    def launched(self):
        return [arm for kind, arm, *_ in self.lines if kind == "launch"]


class Tune:
    """The part of Ray Tune's controller that the search sees."""

    def __init__(self, arms, max_concurrent=2, notebook=None):
        self.notebook = notebook or Notebook()
        self.search = ArmsSearch(arms, self.notebook, lambda: max_concurrent)
        self.scheduler = ArmsScheduler(self.search)
        self.last = {}

    def suggest(self, trial):
        return self.search.suggest(trial)

    def report(self, trial, epoch, metrics, kind="evaluation"):
        evaluation = {"epoch": epoch, "metrics": metrics}
        event = {"kind": kind, "evaluation": evaluation, "metrics": metrics}
        self.last[trial] = {"event": json.dumps(event)}
        stand_in = SimpleNamespace(trial_id=trial)
        return self.scheduler.on_trial_result(None, stand_in, self.last[trial])

    def end(self, trial, **changes):
        self.search.on_trial_complete(trial, self.last.get(trial), **changes)

    def train(self, trial, objectives, metric="accuracy"):
        """A trial from start to end; tells whether it was stopped."""
        for epoch, value in enumerate(objectives, start=1):
            kind = "done" if epoch == len(objectives) else "evaluation"
            if self.report(trial, float(epoch), {metric: value}, kind) == TrialScheduler.STOP:
                break
        self.end(trial)
        return self.notebook.lines[-1][-1]


class FullDisk(Notebook):
    """Cannot write what it is told from some moment on."""

    is_full = False

    def _write(self):
        if self.is_full:
            raise SetupError("No space left on device")

    def launch(self, arm, number, params):
        self._write()
        return super().launch(arm, number, params)

    def evaluated(self, arm, number, event):
        self._write()
        super().evaluated(arm, number, event)

    def finished(self, arm, number, status, event):
        self._write()
        return super().finished(arm, number, status, event)


def arm(folder, name="one", *, metrics=("accuracy",), **changes):
    return Arm(study=study(folder, name=name, **changes), metrics=metrics)


def halving(folder, name="one", **changes):
    return arm(folder, name, pruner=asha.build(HALVING, max_epochs=4), **changes)


def states(made: Arm):
    return [t.state for t in made.study.study.get_trials()]


def test_arms_are_suggested_in_turn_to_equal_budgets(tmp_path):
    tune = Tune({n: arm(tmp_path, n, budget=3) for n in ("none", "kd", "ckd")}, max_concurrent=99)
    assert tune.search.remaining() == 9
    for k in range(9):
        tune.suggest(str(k))
    assert tune.notebook.launched() == ["none", "kd", "ckd"] * 3
    assert tune.search.remaining() == 0


def test_the_end_is_reported_when_every_budget_is_used_up(tmp_path):
    tune = Tune({"one": arm(tmp_path, budget=1)})
    assert tune.suggest("a") == {"job": "one.0"}
    assert tune.suggest("b") is None
    tune.train("a", [0.5])
    assert tune.suggest("b") == Searcher.FINISHED


def test_nothing_is_suggested_after_the_end(tmp_path):
    tune = Tune({"one": arm(tmp_path, budget=5)})
    tune.search.end()
    assert tune.suggest("a") == Searcher.FINISHED
    assert states(tune.search.arms["one"]) == []


def test_one_trial_waits_beyond_the_free_slots(tmp_path):
    tune = Tune({"one": arm(tmp_path, budget=9)}, max_concurrent=2)
    assert [tune.suggest(str(k)) for k in range(4)] == [
        {"job": "one.0"},
        {"job": "one.1"},
        None,
        None,
    ]
    assert tune.notebook.launched() == ["one"] * 3
    # Tune hears of it once the process that followed another one is free.
    tune.train("0", [0.5])
    assert tune.suggest("4") == {"job": "one.2"}
    assert tune.notebook.launched() == ["one"] * 4


def test_what_was_launched_is_followed_to_its_end_also_when_nothing_more_is_suggested(tmp_path):
    tune = Tune({"one": arm(tmp_path, budget=9)}, max_concurrent=1)
    assert [tune.suggest(str(k)) for k in range(2)] == [{"job": "one.0"}, None]
    tune.search.end()
    assert tune.suggest("2") is None
    tune.train("0", [0.5])
    assert tune.suggest("3") == {"job": "one.1"}
    assert tune.suggest("4") is None
    assert tune.train("3", [0.5]) == Status.COMPLETED
    assert tune.suggest("4") == Searcher.FINISHED
    assert tune.notebook.launched() == ["one"] * 2


def test_an_arm_behind_its_budget_catches_up_when_resumed(tmp_path):
    before = Tune({"one": arm(tmp_path, "one", budget=4)})
    for k in range(2):
        before.suggest(str(k))
        before.train(str(k), [0.5])
    tune = Tune({n: arm(tmp_path, n, budget=4) for n in ("one", "two")}, max_concurrent=99)
    assert tune.search.remaining() == 6
    for k in range(6):
        tune.suggest(str(k))
    assert tune.notebook.launched() == ["two", "two", "one", "two", "one", "two"]


def test_a_trial_that_ends_is_recorded_before_its_study_knows(tmp_path):
    tune = Tune({"one": arm(tmp_path)})
    tune.suggest("a")
    reported = []

    def finished(*line):
        reported.append(states(tune.search.arms["one"]))
        return 1.0

    tune.notebook.finished = finished
    tune.train("a", [0.4, 0.6])
    assert reported == [[TrialState.RUNNING]]
    assert states(tune.search.arms["one"]) == [TrialState.COMPLETE]
    (trial,) = tune.search.arms["one"].study.study.get_trials()
    assert trial.value == 0.6
    assert trial.intermediate_values == {1000: 0.4, 2000: 0.6}


def test_every_evaluation_is_recorded_once_also_the_one_that_stops_a_trial(tmp_path):
    tune = Tune({"one": halving(tmp_path)})
    tune.suggest("a")
    tune.suggest("b")
    assert tune.train("a", [0.9] * 4) == Status.COMPLETED
    assert tune.train("b", [0.1] * 4) == Status.PRUNED
    kinds = [line[0] for line in tune.notebook.lines if line[2] == 1]
    assert kinds == ["launch", "evaluated", "cancel", "finished"]
    stopped = tune.search.arms["one"].study.study.get_trials()[1]
    assert (stopped.state, stopped.intermediate_values) == (TrialState.PRUNED, {1000: 0.1})


def test_a_trial_is_judged_by_the_scheduler_of_its_arm_only(tmp_path):
    tune = Tune({"strict": halving(tmp_path, "strict"), "lax": arm(tmp_path, "lax")}, 99)
    for k in range(4):
        tune.suggest(str(k))
    ends = [tune.train(str(k), [value] * 3) for k, value in enumerate([0.5, 0.9, 0.1, 0.1])]
    assert ends == [Status.COMPLETED, Status.COMPLETED, Status.PRUNED, Status.COMPLETED]


def test_arms_do_not_compete_with_each_other(tmp_path):
    tune = Tune({n: halving(tmp_path, n) for n in ("good", "poor")})
    tune.suggest("a")
    tune.suggest("b")
    assert tune.train("a", [0.9] * 3) == Status.COMPLETED
    assert tune.train("b", [0.1] * 3) == Status.COMPLETED


def test_a_trial_at_its_end_is_not_stopped(tmp_path):
    tune = Tune({"one": halving(tmp_path)})
    tune.suggest("a")
    tune.suggest("b")
    tune.train("a", [0.9])
    assert tune.train("b", [0.1]) == Status.COMPLETED
    assert ("cancel", "one", 1) not in tune.notebook.lines


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_an_objective_that_is_no_number_fails_the_trial_with_a_reason(tmp_path, value):
    tune = Tune({"one": halving(tmp_path)})
    tune.suggest("a")
    assert tune.train("a", [0.5, value]) == Status.FAILED
    assert "the objective is not a number" in tune.notebook.events["one", 0]["error"]
    assert states(tune.search.arms["one"]) == [TrialState.FAIL]


def test_an_objective_that_is_missing_fails_the_trial(tmp_path):
    tune = Tune({"one": arm(tmp_path, metrics=("f1",))})
    tune.suggest("a")
    assert tune.train("a", [0.5], metric="accuracy") == Status.FAILED


def test_a_number_that_is_lost_on_the_way_stops_nobody(tmp_path):
    tune = Tune({"one": halving(tmp_path)})
    tune.suggest("a")
    tune.suggest("b")
    tune.train("a", [0.9] * 3)
    assert tune.train("b", [math.nan, 0.95, 0.95]) == Status.COMPLETED


def test_a_failed_trial_is_recorded_with_its_event(tmp_path):
    tune = Tune({"one": arm(tmp_path, budget=2)})
    tune.suggest("a")
    event = {"kind": "failed", "error": "the loss is NaN"}
    tune.search.on_trial_complete("a", {"event": json.dumps(event)})
    assert tune.notebook.lines[-1] == ("finished", "one", 0, Status.FAILED)
    assert tune.notebook.events["one", 0].items() >= event.items()
    assert states(tune.search.arms["one"]) == [TrialState.FAIL]
    assert isinstance(tune.suggest("b"), dict)


def test_a_trial_that_tune_loses_is_followed_anew(tmp_path):
    """Also the last one of a search."""
    tune = Tune({"one": arm(tmp_path, budget=1)})
    config = tune.suggest("a")
    tune.report("a", 1.0, {"accuracy": 0.5})
    tune.search.on_trial_complete("a", None, error=True)
    assert tune.suggest("b") == config
    assert tune.suggest("c") is None
    tune.report("b", 1.0, {"accuracy": 0.5})  # the job's events come from the first one on
    assert tune.train("b", [0.6]) == Status.COMPLETED
    assert tune.suggest("c") == Searcher.FINISHED
    kinds = [line[0] for line in tune.notebook.lines]
    assert kinds.count("launch") == 1
    assert "cancel" not in kinds


def test_a_trial_that_tune_loses_again_and_again_has_failed(tmp_path):
    tune = Tune({"one": arm(tmp_path)})
    for follower in "abc":
        tune.suggest(follower)
        tune.search.on_trial_complete(follower, None, error=True)
    assert tune.notebook.lines[-2:] == [
        ("cancel", "one", 0),
        ("finished", "one", 0, Status.FAILED),
    ]
    assert "died" in tune.notebook.events["one", 0]["error"]


def test_a_trial_cut_short_stays_open_and_nothing_more_is_suggested(tmp_path):
    tune = Tune({"one": arm(tmp_path, budget=4)})
    tune.suggest("a")
    tune.report("a", 1.0, {"accuracy": 0.5})
    tune.end("a")
    assert tune.notebook.lines[-1] == ("finished", "one", 0, Status.INTERRUPTED)
    assert states(tune.search.arms["one"]) == [TrialState.RUNNING]
    assert tune.suggest("b") == Searcher.FINISHED


def test_what_tune_repeats_at_the_end_is_not_an_evaluation(tmp_path):
    tune = Tune({"one": arm(tmp_path)})
    tune.suggest("a")
    tune.report("a", 1.0, {"accuracy": 0.5})
    before = list(tune.notebook.lines)
    stand_in = SimpleNamespace(trial_id="a")
    for result in ({**tune.last["a"], "done": True}, {"time_total_s": 3.0}):
        message = tune.scheduler.on_trial_result(None, stand_in, result)
        assert message == TrialScheduler.CONTINUE
    assert tune.notebook.lines == before


def test_two_objectives_are_reported_together_and_stop_nobody(tmp_path):
    made = arm(
        tmp_path,
        pruner=asha.build(HALVING, max_epochs=4),
        metrics=("accuracy", "latency_ms"),
        directions=("maximize", "minimize"),
    )
    tune = Tune({"one": made})
    for trial, accuracy in (("a", 0.9), ("b", 0.1)):
        tune.suggest(trial)
        for epoch, kind in ((1.0, "evaluation"), (2.0, "done")):
            message = tune.report(trial, epoch, {"accuracy": accuracy, "latency_ms": 5.0}, kind)
            assert message == TrialScheduler.CONTINUE
        tune.end(trial)
    assert [t.values for t in made.study.study.get_trials()] == [[0.9, 5.0], [0.1, 5.0]]
    # A resumed search does not look for intermediate values, of which there are none.
    assert Tune({"one": made}).search.remaining() == 2


def test_after_a_restart_trials_are_judged_against_the_earlier_ones(tmp_path):
    before = Tune({"one": halving(tmp_path, budget=4)})
    before.suggest("a")
    before.train("a", [0.9] * 4)
    before.suggest("b")
    before.report("b", 1.0, {"accuracy": 0.95})
    # Killed: b was at epoch 1 and ahead.
    made = halving(tmp_path, budget=4)
    assert reopen(made.study.study, {}) == (1,)
    tune = Tune({"one": made})
    assert tune.search.remaining() == 3
    for trial, value, status in (
        ("b", 0.95, Status.COMPLETED), ("c", 0.1, Status.PRUNED), ("d", 0.94, Status.COMPLETED),
    ):  # fmt: skip
        tune.suggest(trial)
        assert tune.train(trial, [value] * 4) == status


def test_with_a_lag_an_arm_waits_for_what_its_next_trial_knows(tmp_path):
    arms = {name: arm(tmp_path, name, budget=9, lag=1) for name in ("slow", "fast")}
    tune = Tune(arms, max_concurrent=99)
    for k in range(5):
        tune.suggest(str(k))
    assert tune.notebook.launched() == ["slow", "fast", "slow", "fast"]
    tune.train("1", [0.5])
    assert isinstance(tune.suggest("5"), dict)
    tune.train("3", [0.5])
    assert isinstance(tune.suggest("6"), dict)
    tune.train("5", [0.5])
    # An arm may be ahead by a trial more than the lag, and no further.
    assert tune.suggest("7") is None
    tune.train("0", [0.5])
    tune.suggest("8")
    tune.suggest("9")
    assert tune.notebook.launched()[4:] == ["fast", "fast", "slow", "fast"]


def test_with_a_lag_a_trial_is_judged_by_those_it_knows(tmp_path):
    tune = Tune({"one": halving(tmp_path, lag=1)}, max_concurrent=99)
    tune.suggest("a")
    tune.suggest("b")
    tune.train("a", [0.9] * 4)
    # It began before the first one ended, and does not know of it.
    assert tune.train("b", [0.1] * 4) == Status.COMPLETED
    tune.suggest("c")
    assert tune.train("c", [0.1] * 4) == Status.PRUNED


def test_a_trial_that_runs_again_is_not_judged_against_itself(tmp_path):
    before = Tune({"one": halving(tmp_path, budget=2)})
    before.suggest("a")
    before.report("a", 1.0, {"accuracy": 0.9})
    made = halving(tmp_path, budget=2)
    reopen(made.study.study, {})
    tune = Tune({"one": made})
    tune.suggest("a")
    assert tune.train("a", [0.89] * 4) == Status.COMPLETED


def test_what_was_pruned_before_a_restart_still_counts_at_its_rung(tmp_path):
    before = Tune({"one": halving(tmp_path, budget=6)})
    for trial, value in (("a", 0.9), ("b", 0.5), ("c", 0.6)):
        before.suggest(trial)
        before.train(trial, [value] * 4)
    tune = Tune({"one": halving(tmp_path, budget=6)})
    tune.suggest("d")
    tune.suggest("e")
    # Below 0.6, the median of all three; then above the median of all four.
    assert tune.train("d", [0.55] * 2) == Status.PRUNED
    assert tune.train("e", [0.58] * 2) == Status.COMPLETED


def test_the_searcher_is_saved_without_studies_and_coordinator(tmp_path):
    tune = Tune({"one": arm(tmp_path)})
    assert tune.search.__getstate__() == {}
    assert tune.scheduler.__getstate__() == {}


def controller(tune, trial):
    """Of Tune: what it looks at where it stops a trial, or tries one again that failed."""
    made = SimpleNamespace(
        _search_alg=tune.search, _scheduler_alg=tune.scheduler, _fail_fast=False,
        _try_recover=lambda trial, exc: pytest.fail("the trial is tried again"),
    )  # fmt: skip
    made._process_trial_failure = functools.partial(TuneController._process_trial_failure, made)
    running = SimpleNamespace(
        trial_id=trial, status="RUNNING", last_result=tune.last[trial],
        handle_error=lambda error: None, should_recover=lambda: True,
    )  # fmt: skip
    return made, running


def test_an_error_of_the_search_is_not_taken_for_one_of_a_trial(tmp_path):
    """Tune would start the trial again that the search does not know any more."""
    tune = Tune({"one": arm(tmp_path, budget=3)}, notebook=FullDisk())
    tune.suggest("a")
    tune.report("a", 1.0, {"accuracy": 0.5}, "done")
    tune.notebook.is_full = True
    with pytest.raises(SearchError, match="No space left") as caught:
        TuneController.stop_trial(*controller(tune, "a"))
    assert isinstance(caught.value.error, SetupError)


def test_whatever_tune_calls_ends_the_search_where_it_fails(tmp_path):
    tune = Tune({"one": arm(tmp_path, budget=3)}, notebook=FullDisk())
    tune.suggest("a")
    tune.notebook.is_full = True
    with pytest.raises(SearchError):
        tune.report("a", 1.0, {"accuracy": 0.5})
    with pytest.raises(SearchError):
        tune.suggest("b")
    with pytest.raises(SearchError):
        tune.end("a")
