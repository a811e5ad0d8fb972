import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from raykd.report.sections import (
    budget,
    curves,
    failures,
    hyperparameters,
    teacher,
    timeline,
    tradeoffs,
)
from raykd.report.studies import distribution_of, importances, studies_of, study_of
from raykd.results.records import Status, SweepResult
from raykd.results.store import load_results
from tests.synthetic_run import Builder

TASK = "glue/rte"
State = optuna.trial.TrialState


@pytest.mark.parametrize(
    ("domain", "expected"),
    [
        ({"kind": "uniform", "low": 0, "high": 1, "step": None}, FloatDistribution(0, 1)),
        ({"kind": "loguniform", "low": 0.1, "high": 1}, FloatDistribution(0.1, 1, log=True)),
        ({"kind": "quniform", "low": 0, "high": 1, "step": 0.5}, FloatDistribution(0, 1, step=0.5)),
        ({"kind": "int", "low": 1, "high": 4}, IntDistribution(1, 4)),
        ({"kind": "logint", "low": 1, "high": 4}, IntDistribution(1, 4, log=True)),
        (
            {"kind": "choice", "low": None, "high": None, "choices": [1, "<b>"]},
            CategoricalDistribution([1, "&lt;b&gt;"]),
        ),
    ],
)
def test_domains_become_distributions(domain: dict, expected: object):
    assert distribution_of(domain) == expected


def test_a_study_keeps_pruned_and_failed_trials_as_such(result: SweepResult):
    study = study_of(result, TASK, "ckd")
    states = [t.state for t in study.get_trials(deepcopy=False)]
    assert states.count(State.PRUNED) == 3
    assert states.count(State.FAIL) == 2
    assert states.count(State.COMPLETE) == 7
    pruned = next(t for t in study.get_trials() if t.state is State.PRUNED)
    assert list(pruned.intermediate_values) == [30, 60]


def test_conditional_parameters_are_there_only_when_they_were_active(result: SweepResult):
    for trial in study_of(result, TASK, "ckd").get_trials():
        assert ("wrangle" in trial.params) == trial.params["angles"]


def test_objectives_are_in_the_units_of_the_report(result: SweepResult):
    assert 60 < study_of(result, TASK, "kd").best_value < 80


def test_arms_without_a_completed_trial_have_no_study(builder_with: Builder):
    builder_with.trial(TASK, "kd", 0)
    builder_with.trial(TASK, "ckd", 0, Status.PRUNED)
    assert list(studies_of(load_results(builder_with.folder), TASK)) == ["kd"]


def test_a_trial_in_two_studies_has_a_number_in_each(result: SweepResult):
    study = study_of(result, TASK, "kd")
    other = optuna.create_study()
    other.add_trials(study.get_trials()[5:])
    assert [t.number for t in study.get_trials()] == list(range(12))
    assert [t.number for t in other.get_trials()] == list(range(7))


def test_importances_need_enough_different_trials(builder_with: Builder):
    for n in range(19):
        builder_with.trial(TASK, "kd", n, objective=0.6 + n / 100)
    assert importances(study_of(load_results(builder_with.folder), TASK, "kd")) == {}
    builder_with.trial(TASK, "kd", 19, objective=0.8)
    actual = importances(study_of(load_results(builder_with.folder), TASK, "kd"))
    assert set(actual) == {"lr", "alpha", "temperature"}
    assert sum(actual.values()) == pytest.approx(1)


@pytest.fixture
def builder_with(tmp_path) -> Builder:
    builder = Builder(tmp_path / "run")
    builder.start()
    builder.teacher(TASK)
    return builder


def test_hyperparameters_mark_the_five_best_and_leave_out_the_colour_scale(result: SweepResult):
    record = hyperparameters.record(result)
    assert record is not None
    kd = next(a for a in record.arms if a.title == f"kd on {TASK}")
    scores = [float(row[1]) for row in kd.best]
    assert scores == sorted(scores, reverse=True)
    assert len(scores) == 5
    parallel = kd.figures[-1].spec["data"]
    assert sum(t.get("line", {}).get("width") == 2.5 for t in parallel) == 5


def test_hyperparameters_draw_few_of_many_trials_and_the_best_among_them(
    builder_with: Builder, monkeypatch
):
    monkeypatch.setattr(hyperparameters, "MAX_LINES", 8)
    for n in range(20):
        builder_with.trial(TASK, "kd", n, objective=0.6 + (7 * n % 20) / 100)
    record = hyperparameters.record(load_results(builder_with.folder))
    assert record is not None
    drawn = next(f for f in record.arms[0].figures if f.key.startswith("plot-parallel"))
    assert drawn.title == "Completed trials of kd"
    assert drawn.finding == "8 of 20 trials; the 5 best are coloured."
    assert len(drawn.rows) == 8
    assert {"79", "78", "77", "76", "75"} <= {row[1] for row in drawn.rows}
    lines = [t for t in drawn.spec["data"] if t.get("line", {}).get("width")]
    assert len(lines) == 8


def test_log_ticks_are_written_out_and_few():
    assert hyperparameters.log_ticks(1.9e-5, 9e-5) == [2e-5, 5e-5, 1e-4]
    assert hyperparameters.log_ticks(0.1, 1000) == [0.1, 1, 10, 100, 1000]


def test_budget_draws_one_best_line_per_arm(result: SweepResult):
    record = budget.record(result)
    assert record is not None
    data = record.tasks[0][1][0].spec["data"]
    assert [t["name"] for t in data if t.get("showlegend")] == ["none", "kd", "ckd"]


def test_budget_says_nothing_of_a_few_trials(builder_with: Builder):
    for n in range(11):
        builder_with.trial(TASK, "kd", n, objective=0.6 - n / 100)
    few = budget.record(load_results(builder_with.folder))
    assert few.heading == "With fewer than 12 trials an arm, nobody can tell"
    builder_with.trial(TASK, "kd", 11, objective=0.5)
    none = budget.record(load_results(builder_with.folder))
    assert none.heading.startswith("No arm found a new best in the last quarter")
    assert "75 %" in none.heading
    builder_with.trial(TASK, "kd", 12, objective=0.7)
    enough = budget.record(load_results(builder_with.folder))
    assert enough.heading == "A new best in the last quarter of the trials: kd"


def test_curves_mark_early_stops_and_count_them(result: SweepResult):
    record = curves.record(result)
    assert record is not None
    assert record.heading == "18 of 72 search trials were stopped early"
    names = [t["name"] for t in record.tasks[0][1][0].spec["data"]]
    assert names == ["all trials", "stopped early", "none", "kd", "ckd"]


def test_failures_with_other_numbers_fall_together(result: SweepResult):
    record = failures.record(result)
    assert [g.count for g in record.groups] == [4]
    assert "CUDA out of memory" in record.groups[0].traceback


def test_teacher_forwards_per_example(result: SweepResult):
    assert teacher.forwards_per_example(result.teachers[0]) == 1
    record = teacher.record(result)
    assert record is not None
    assert record.heading.endswith("it saw each distinct row once")


def test_tradeoffs_only_when_there_is_something_to_trade(builder_with: Builder):
    builder_with.trial(TASK, "kd", 0, objective=0.6, device_seconds=10.0)
    builder_with.trial(TASK, "ckd", 0, objective=0.6, device_seconds=40.0)
    assert tradeoffs.record(load_results(builder_with.folder)) is None
    builder_with.trial(TASK, "ckd", 1, objective=0.7, device_seconds=40.0)
    record = tradeoffs.record(load_results(builder_with.folder))
    assert record is not None
    rows = record.tasks[0][1][0].rows
    assert [r[1] for r in rows] == ["glue-rte.kd.s000", "glue-rte.ckd.s001"]


def test_idle_time_of_slots(builder_with: Builder):
    builder_with.trial(TASK, "kd", 0, started=100.0, seconds=10.0, slot=0)
    builder_with.trial(TASK, "kd", 1, started=130.0, seconds=10.0, slot=0)
    trials = list(load_results(builder_with.folder).trials)
    assert timeline.idle_share(trials) == pytest.approx(0.5)
