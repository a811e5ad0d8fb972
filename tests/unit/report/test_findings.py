"""Headings and notes are computed: each is there when it is so, and not when it is not."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import pytest

from raykd.report.build import render_page
from raykd.report.charts import arm_styles
from raykd.report.sections import (
    arms,
    hyperparameters,
    reproduce,
    teacher,
    tradeoffs,
    trials,
    tunability,
    verdict,
)
from raykd.results.export import as_csv
from raykd.results.records import SweepResult, TrialResult
from raykd.results.store import load_results
from tests.synthetic_run import SEEDS, Builder, write_run
from tests.synthetic_run import spec as search_space

TASK = "glue/rte"


@pytest.fixture
def builder(tmp_path: Path) -> Builder:
    made = Builder(tmp_path / "run")
    made.start()
    made.teacher(TASK)
    return made


def search(builder: Builder, arm: str, score: float, cost: float, count: int = 6) -> None:
    for n in range(count):
        builder.trial(TASK, arm, n, objective=score + n / 1000, device_seconds=cost + n)


def confirm(builder: Builder, arm: str, score: float) -> None:
    for k, seed in enumerate(SEEDS):
        value = score + (0.004, -0.003, 0.0, 0.005, -0.004)[k]
        builder.trial(TASK, arm, 0, objective=value, confirm_seed=seed, test=value)


def tradeoff(builder: Builder, kd: tuple[float, float], ckd: tuple[float, float]) -> str:
    """The heading where two arms have these scores and costs."""
    for arm, (score, cost) in (("kd", kd), ("ckd", ckd)):
        search(builder, arm, score, cost)
    builder.trial(TASK, "kd", 50, objective=0.1, device_seconds=0.5)  # so that there is a front
    for arm, (score, _) in (("kd", kd), ("ckd", ckd)):
        confirm(builder, arm, score)
    record = tradeoffs.record(load_results(builder.folder))
    assert record is not None
    return record.heading


def test_a_better_score_costs_more_where_it_does(builder: Builder):
    actual = tradeoff(builder, kd=(0.70, 20.0), ckd=(0.75, 60.0))
    assert actual == "A better score costs more: ckd takes 62 s against 22 s of kd"


def test_a_better_score_that_is_the_cheapest_costs_nothing(builder: Builder):
    actual = tradeoff(builder, kd=(0.75, 20.0), ckd=(0.70, 60.0))
    assert actual == "No arm is better at a price: kd has the best score, and is the cheapest"


def test_a_price_for_nothing_that_is_sure_is_said_to_be_that(builder: Builder):
    actual = tradeoff(builder, kd=(0.70, 20.0), ckd=(0.701, 60.0))
    assert actual.endswith("and cannot be told apart from it")


def test_a_front_between_two_trials_is_no_finding(builder: Builder):
    builder.trial(TASK, "kd", 0, objective=0.6, device_seconds=10.0)
    builder.trial(TASK, "ckd", 0, objective=0.7, device_seconds=40.0)
    record = tradeoffs.record(load_results(builder.folder))
    assert record.heading.startswith("Too few trials to tell")


def test_how_easy_is_reported_by_medians_and_not_of_a_few_trials(builder: Builder):
    search(builder, "kd", 0.70, 20.0, count=9)
    search(builder, "ckd", 0.60, 20.0, count=10)
    few = tunability.record(load_results(builder.folder))
    assert few.heading == f"{TASK}: too few completed trials to tell (10 an arm are needed)"
    assert {row[-1] for row in few.tasks[0][1][0].rows} == {"n/a"}
    builder.trial(TASK, "kd", 9, objective=0.709)
    enough = tunability.record(load_results(builder.folder))
    assert enough.heading == f"{TASK}: median search score kd 70.4, ckd 60.5"
    assert [row[-1] for row in enough.tasks[0][1][0].rows] == ["10 %", "0 %"]
    expected = enough.tasks[0][1][1]
    assert expected.finding.endswith("those of tpe are not.")


def test_a_hyperparameter_is_named_when_it_stands_out_among_enough_trials(builder: Builder):
    for n in range(19):
        builder.trial(TASK, "kd", n, objective=0.6 + n / 100,
                      params={"alpha": 0.1 + n / 30, "lr": 2e-5, "temperature": 2})  # fmt: skip
    few = hyperparameters.record(load_results(builder.folder))
    assert few.heading.startswith("Too few completed trials")
    assert few.arms[0].finding == (
        "19 completed trials are too few to rank the hyperparameters: it takes 20."
    )
    assert not any("mportance" in f.title for f in few.arms[0].figures)
    assert few.arms[0].figures[0].finding.endswith("in so few, a slope or a hump may be chance.")
    for n in range(19, 22):
        builder.trial(TASK, "kd", n, objective=0.6 + n / 100,
                      params={"alpha": 0.1 + n / 30, "lr": 2e-5, "temperature": 2})  # fmt: skip
    enough = hyperparameters.record(load_results(builder.folder))
    assert enough.heading == "What mattered most: alpha for kd"
    assert enough.arms[0].finding.startswith("alpha carries ")
    assert enough.arms[0].figures[0].title == "Importance of the searched parameters of kd"
    assert enough.arms[0].figures[1].finding.endswith("a slope or a hump suggests that it matters.")


def test_no_two_arms_look_the_same():
    arms = ["none", "kd", "pkd", "tinybert", "sinkd", "one_to_one", "ckd", "stark"]
    arms += [f"arm{k}" for k in range(25)] + ["sft"]
    styles = arm_styles(arms)
    assert len({(s.colour, s.dash) for s in styles.values()}) == len(arms)
    assert len({(s.colour, s.pattern) for s in styles.values()}) == len(arms)
    # neighbours differ in the dash as well: never by colour alone
    assert all(styles[a].dash != styles[b].dash for a, b in itertools.pairwise(arms[1:7]))


def test_the_subtitle_is_computed_and_the_description_is_the_files(builder: Builder):
    page = render_page(load_results(builder.folder), "directory")
    head = page[page.index("<header>") : page.index("</header>")]
    assert "Student: bert 6x384 (11,000,000 weights), trained on 1,000 rows." in head
    assert "A synthetic sweep" not in head
    facts = dict(reproduce.record(load_results(builder.folder)).facts)
    assert facts["description in the file"].startswith("A synthetic sweep")


def test_the_two_most_important_parameters_are_drawn_together_from_enough_trials(tmp_path: Path):
    for count, kinds in ((12, 0), (30, 2)):
        run = write_run(tmp_path / str(count), search_space(trials=count)).folder
        actual = hyperparameters.record(load_results(run))
        assert actual is not None
        panel = next(a for a in actual.arms if a.title == "ckd on glue/rte")
        pairs = [f for f in panel.figures if f.key.startswith("plot-pair-")]
        assert len(pairs) == kinds
        assert all(len(f.columns) == 3 and len(f.rows) > 5 for f in pairs)


def test_validation_and_test_scores_stand_in_columns_of_their_own(builder: Builder):
    builder.trial(TASK, "kd", 0, objective=0.815)
    builder.trial(TASK, "kd", 0, objective=0.8, confirm_seed=11, test=0.783)
    record = trials.record(load_results(builder.folder))
    places = [record.columns.index(f"score ({split})") for split in ("validation", "test")]
    assert [tuple(r.cells[p] for p in places) for r in record.rows] == [
        ("81.5", ""), ("80.0", "78.3"),
    ]  # fmt: skip


def test_mean_ranks_stand_next_to_what_equal_arms_would_have(result: SweepResult):
    record = arms.record(result)
    # Three arms in the same order on two tasks: by chance in one of seven sweeps.
    assert record.heading == (
        "No arm ranks above the others over 2 tasks beyond chance (Friedman's test, p = 0.14)"
    )
    assert record.matrix_columns[-1] == "mean rank"
    assert "2 is that of arms that are alike" in record.matrix_note
    assert record.matrix_note.endswith("p = 0.14.")


def test_mean_ranks_are_a_finding_only_where_they_differ_beyond_chance(result: SweepResult):
    tasks = tuple(
        dataclasses.replace(t, name=f"{t.name}{k}") for k in range(2) for t in result.tasks
    )
    trials = tuple(
        dataclasses.replace(t, task=f"{t.task}{k}") for k in range(2) for t in result.trials
    )
    more = dataclasses.replace(result, tasks=tasks, trials=trials)
    heading = arms.record(more).heading
    assert heading.startswith("The arms rank differently over 4 tasks (Friedman's test, p = 0.018)")
    assert heading.endswith("ckd 1.00, kd 2.00, no teacher 3.00 (2 if all were alike)")


def test_two_arms_have_no_ranks(result: SweepResult):
    methods = {k: v for k, v in result.spec["methods"].items() if k != "ckd"}
    two = dataclasses.replace(
        result, spec={**result.spec, "methods": methods},
        trials=tuple(t for t in result.trials if t.arm != "ckd"),
    )  # fmt: skip
    record = arms.record(two)
    assert record.heading == "2 arms on 2 tasks"
    assert record.matrix_columns == ("arm", "glue/rte", "glue/mrpc")


def as_text(result: SweepResult) -> SweepResult:
    """The run with a log-likelihood above -1 as the metric that decides."""

    def nats(t: TrialResult) -> TrialResult:
        metrics = {"log_likelihood": -0.55, "test/log_likelihood": -0.62}
        return dataclasses.replace(t, objective=-0.55, metrics=metrics)

    tasks = tuple(
        dataclasses.replace(t, metric="log_likelihood", units={"log_likelihood": "log_likelihood"})
        for t in result.tasks
    )
    teachers = tuple(
        dataclasses.replace(t, metrics={"test/log_likelihood": -0.4}) for t in result.teachers
    )
    trials = tuple(nats(t) if t.objective is not None else t for t in result.trials)
    return dataclasses.replace(result, tasks=tasks, teachers=teachers, trials=trials)


def test_likelihoods_are_nats_in_every_table(result: SweepResult):
    run = as_text(result)
    record = arms.record(run)
    assert record.tasks[0].rows[1].cells[1] == "-0.62"
    assert record.tasks[0].chart.spec["layout"]["xaxis"]["title"]["text"] == "log_likelihood (nats)"
    assert "test/log_likelihood -0.4" in teacher.record(run).rows[0][3]
    lines = as_csv(run).splitlines()
    place = lines[0].split(",").index("metric")
    assert lines[1].split(",")[place : place + 4] == [
        "log_likelihood",
        "validation",
        "-0.55",
        "nats",
    ]


def test_the_csv_has_the_scores_of_the_report(result: SweepResult):
    lines = [line.split(",") for line in as_csv(result).splitlines()]
    place = lines[0].index("metric")
    confirmed = next(t for t in result.trials if t.stage == "confirm")
    row = next(line for line in lines if confirmed.trial_id in line)
    assert row[place : place + 2] == ["accuracy", "test"]
    assert float(row[place + 2]) == pytest.approx(100 * confirmed.metrics["test/accuracy"])
    assert row[place + 3] == "points"


def test_the_card_says_where_the_student_is_and_how_small(result: SweepResult):
    kept = [
        dataclasses.replace(t, checkpoint="checkpoints/glue-rte/ckd/best")
        if t.trial_id == "glue-rte.ckd.c0.11"
        else t
        for t in result.trials
    ]
    card = verdict.record(dataclasses.replace(result, trials=tuple(kept))).tasks[0]
    student = dict(card.student)
    assert student["folder"] == f"runs/{result.run}/checkpoints/glue-rte/ckd/best"
    assert student["size"] == "11,000,000 weights, 10 % of the teacher's"
    assert student["trained as"] == "glue-rte.ckd.c0.11"
    assert student["to use it"].startswith(f"raykd export runs/{result.run} DIR --task glue/rte")
    assert verdict.record(result).tasks[0].student == ()


def test_a_trial_says_how_it_is_run_again_and_what_confirmed_it(result: SweepResult):
    rows = {r.trial_id: r for r in trials.record(result).rows}
    actual = rows["glue-rte.ckd.s000"]
    assert actual.again == f"raykd trial runs/{result.run} --trial glue-rte.ckd.s000"
    best = next(r for r in rows.values() if dict(r.facts).get("confirmed by"))
    assert "c0.11" in dict(best.facts)["confirmed by"]
    merged = dataclasses.replace(result.trials[0], trial_id="older/glue-rte.kd.s001")
    again = trials.record(dataclasses.replace(result, trials=(merged,))).rows[0].again
    assert again == "raykd trial runs/older --trial glue-rte.kd.s001"


def test_trials_stand_best_first_with_a_column_for_each_searched_parameter(result: SweepResult):
    actual = trials.record(result)
    place = actual.columns.index("score (validation)")
    scores = [
        float(r.values[place])
        for r in actual.rows
        if r.cells[1] == "glue/rte" and r.cells[3] == "search" and r.values[place]
    ]
    assert scores == sorted(scores, reverse=True)
    assert actual.first == {"score (validation)": "descending", "score (test)": "descending"}
    assert {"lr", "alpha", "wrdist"} <= set(actual.columns)
    assert dict(actual.choices)["arm"] == ("ckd", "kd", "none")
