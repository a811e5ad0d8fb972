from __future__ import annotations

import dataclasses
import math
import warnings

import optuna
import pytest
from optuna.trial import TrialState

from raykd.search.schedulers import asha
from raykd.search.study import RETRY_OF, Result, StudySearch, reopen, repeated
from tests.unit.search.studies import DOMAINS, run, space, storage, study

COMPLETE, FAIL, PRUNED = TrialState.COMPLETE, TrialState.FAIL, TrialState.PRUNED
RUNNING, WAITING = TrialState.RUNNING, TrialState.WAITING


def states(search: StudySearch) -> list[TrialState]:
    return [t.state for t in search.study.get_trials()]


def killed(folder, trials: int, **changes):
    """A study whose driver died while trials were running; gives what they had drawn."""
    search = study(folder, **changes)
    return [search.suggest(str(k))["params"] for k in range(trials)]


def test_a_suggestion_has_a_number_and_values_in_the_domains(tmp_path):
    requested = study(tmp_path).suggest("a")
    assert requested["number"] == 0
    assert set(requested["params"]) == set(DOMAINS)
    assert all(DOMAINS[n].contains(v) for n, v in requested["params"].items())


def test_a_finished_trial_is_complete_with_its_value(tmp_path):
    search = study(tmp_path)
    requested = run(search, "a", [0.7])
    (trial,) = study(tmp_path).study.get_trials()
    assert (trial.state, trial.values, trial.params) == (COMPLETE, [0.7], requested["params"])


def test_a_stopped_trial_is_pruned_and_keeps_its_last_report(tmp_path):
    search = study(tmp_path)
    search.suggest("a")
    search.report("a", 0.5, 0.3)
    search.report("a", 1.0, 0.4)
    search.prune("a")
    (trial,) = study(tmp_path).study.get_trials()
    assert (trial.state, trial.value) == (PRUNED, 0.4)
    assert trial.intermediate_values == {500: 0.3, 1000: 0.4}
    with pytest.raises(ValueError, match="No trials are completed"):
        _ = search.study.best_trial


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_an_objective_that_is_no_number_is_a_failure(tmp_path, value):
    search = study(tmp_path)
    run(search, "a", [value])
    assert states(search) == [FAIL]
    assert search.counted() == 1


def test_a_report_that_is_no_number_is_left_out(tmp_path):
    search = study(tmp_path)
    search.suggest("a")
    search.report("a", 1.0, math.nan)
    search.report("a", 2.0, 0.5)
    search.complete("a", [0.5])
    assert search.study.get_trials()[0].intermediate_values == {2000: 0.5}


def test_two_objectives_end_a_trial_together_and_nothing_is_reported_before(tmp_path):
    search = study(tmp_path, directions=("maximize", "minimize"))
    search.suggest("a")
    search.report("a", 1.0, 0.5)
    search.complete("a", [0.8, 12.5])
    search.suggest("b")
    search.complete("b", [0.9, math.nan])
    one, two = search.study.get_trials()
    assert (one.state, one.values, one.intermediate_values) == (COMPLETE, [0.8, 12.5], {})
    assert two.state is FAIL


def test_start_points_come_first_and_what_they_lack_is_drawn(tmp_path):
    search = study(tmp_path, start=({"alpha": 0.25}, {"alpha": 0.5, "kind": "l2"}))
    first, second, third = (search.suggest(str(k))["params"] for k in range(3))
    assert first["alpha"] == 0.25
    assert first["kind"] in ("cos", "l2")
    assert second == {"alpha": 0.5, "kind": "l2"}
    assert third["alpha"] not in (0.25, 0.5)


def test_start_points_are_not_tried_again_when_a_search_is_resumed(tmp_path):
    start = ({"alpha": 0.25}, {"alpha": 0.5, "kind": "l2"})
    first = study(tmp_path, start=start)
    run(first, "a", [0.1])
    second = study(tmp_path, start=start)
    assert second.suggest("b")["params"] == {"alpha": 0.5, "kind": "l2"}
    third = study(tmp_path, start=start)
    assert third.suggest("c")["params"]["alpha"] not in (0.25, 0.5)


def test_a_driver_that_died_between_two_start_points_loses_none(tmp_path):
    study(tmp_path, start=({"alpha": 0.25},))
    search = study(tmp_path, start=({"alpha": 0.25}, {"alpha": 0.5}))
    alphas = [search.suggest(str(k))["params"]["alpha"] for k in range(2)]
    assert alphas == [0.25, 0.5]


def test_a_resumed_sampler_does_not_repeat_its_draws(tmp_path):
    first = study(tmp_path)
    before = [run(first, str(k), [0.5])["params"]["alpha"] for k in range(3)]
    second = study(tmp_path)
    after = [run(second, str(k), [0.5])["params"]["alpha"] for k in range(3)]
    assert not set(before) & set(after)


def test_studies_of_a_storage_do_not_mix(tmp_path):
    run(study(tmp_path, name="task one"), "a", [0.5])
    two = study(tmp_path, name="task two")
    assert two.counted() == 0
    assert two.suggest("a")["number"] == 0
    assert set(optuna.get_all_study_names(storage(tmp_path))) == {"task one", "task two"}


def test_the_budget_counts_what_has_ended(tmp_path):
    search = study(tmp_path)
    run(search, "complete", [0.5])
    run(search, "not a number", [math.nan])
    search.suggest("pruned")
    search.report("pruned", 1.0, 0.2)
    search.prune("pruned")
    search.suggest("failed")
    search.fail("failed")
    search.suggest("running")
    assert search.counted() == 4


def test_an_abandoned_trial_stays_open_for_the_next_driver(tmp_path):
    search = study(tmp_path)
    requested = search.suggest("a")
    search.abandon("a")
    assert states(search) == [RUNNING]
    again = study(tmp_path)
    assert reopen(again.study, {}) == (0,)
    assert again.suggest("b") == requested


def test_trials_cut_short_run_again_under_their_number_and_count_once(tmp_path):
    drawn = killed(tmp_path, 2)
    search = study(tmp_path)
    assert reopen(search.study, {}) == (0, 1)
    assert states(search) == [WAITING, WAITING]
    assert search.counted() == 0
    again = [search.suggest(str(k)) for k in range(2)]
    assert again == [{"number": k, "params": params} for k, params in enumerate(drawn)]
    search.complete("0", [0.5])
    assert states(search) == [COMPLETE, RUNNING]
    assert search.counted() == 1
    assert search.suggest("2")["number"] == 2


def test_reopening_twice_changes_nothing_more(tmp_path):
    killed(tmp_path, 2)
    assert reopen(study(tmp_path).study, {}) == (0, 1)
    search = study(tmp_path)
    assert reopen(search.study, {}) == ()
    assert states(search) == [WAITING, WAITING]


def test_a_trial_cut_short_twice_runs_a_third_time(tmp_path):
    (drawn,) = killed(tmp_path, 1)
    second = study(tmp_path)
    reopen(second.study, {})
    second.suggest("second")
    third = study(tmp_path)
    assert reopen(third.study, {}) == (0,)
    assert third.suggest("third") == {"number": 0, "params": drawn}
    third.complete("third", [0.5])
    assert states(third) == [COMPLETE]
    assert third.counted() == 1


def test_what_a_trial_reported_before_it_was_cut_stands(tmp_path):
    first = study(tmp_path)
    first.suggest("a")
    first.report("a", 1.0, 0.3)
    search = study(tmp_path)
    reopen(search.study, {})
    search.suggest("again")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # Optuna warns of a step that is reported twice
        for epoch, value in ((1.0, 0.31), (2.0, 0.4)):
            search.report("again", epoch, value)
    assert search.study.get_trials()[0].intermediate_values == {1000: 0.3, 2000: 0.4}


def test_studies_of_an_earlier_raykd_with_retries_of_their_own_number_are_settled(tmp_path):
    (drawn,) = killed(tmp_path, 1)
    # Enqueued, and died before the old trial was recorded.
    study(tmp_path).study.enqueue_trial(drawn, user_attrs={RETRY_OF: 0})
    search = study(tmp_path)
    assert reopen(search.study, {}) == ()
    assert states(search) == [FAIL, WAITING]
    assert repeated(search.study) == {0}
    assert search.counted() == 0


def test_trials_whose_end_is_on_record_are_told_from_it(tmp_path):
    killed(tmp_path, 4)
    search = study(tmp_path)
    assert reopen(search.study, {0: Result(values=[0.75]), 2: PRUNED, 3: FAIL}) == (1,)
    assert states(search) == [COMPLETE, WAITING, PRUNED, FAIL]
    assert search.study.get_trials()[0].value == 0.75
    assert search.counted() == 3


def test_settled_trials_are_left_alone(tmp_path):
    first = study(tmp_path)
    run(first, "a", [0.5])
    search = study(tmp_path)
    assert reopen(search.study, {0: Result(values=[0.9])}) == ()
    assert search.study.get_trials()[0].value == 0.5


def test_a_start_point_cut_short_while_it_was_drawn_keeps_its_values(tmp_path):
    first = study(tmp_path, start=({"alpha": 0.25},))
    first.study.ask()
    search = study(tmp_path, start=({"alpha": 0.25},))
    assert reopen(search.study, {}) == (0,)
    assert search.suggest("a")["params"]["alpha"] == 0.25
    assert search.suggest("b")["params"]["alpha"] != 0.25


def test_the_searcher_keeps_no_state_of_its_own(tmp_path):
    run(study(tmp_path), "a", [0.5])
    assert [path.name for path in tmp_path.iterdir()] == ["studies.journal"]


def test_other_programs_see_what_an_objective_and_a_study_are(tmp_path):
    named = dataclasses.replace(
        space(), metrics=("accuracy, validation split",), about={"method": "kd", "run": "toy-1"}
    )
    for _ in range(2):
        made = StudySearch(named, storage(tmp_path), lambda seed: optuna.samplers.RandomSampler())
    assert made.study.metric_names == ["accuracy, validation split"]
    assert (tmp_path / "studies.journal").read_text().count("validation split") == 1
    assert made.study.user_attrs == {"lag": 0, "method": "kd", "run": "toy-1"}
    assert (tmp_path / "studies.journal").read_text().count("toy-1") == 1


def test_a_trial_that_continues_is_judged_as_it_was_at_the_same_epoch(tmp_path):
    """What it reported after that, before its driver died, is not there yet."""
    pruner = asha.build(asha.Params(grace_period=1, reduction_factor=2), max_epochs=4)
    search = study(tmp_path, pruner=pruner)
    for trial, score in (("good", 0.9), ("bad", 0.1)):
        search.suggest(trial)
        search.report(trial, 1.0, score)
    assert search.should_stop("bad", 1.0)
    search.report("bad", 1.5, 0.2)
    assert search.should_stop("bad", 1.0)
    assert not search.should_stop("bad", 1.5)
