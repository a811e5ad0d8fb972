"""On which rows arms differ."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from raykd.report.sections import disagreement
from raykd.results.records import SweepResult
from tests.cases.planted_records import TASK, sweep

#          row: 0  1  2  3
KD = [[1, 1, 0, 1], [1, 1, 0, 0]]
CKD = [[1, 0, 1, 1], [1, 0, 1, 1]]


def answered(**arms: Sequence[Sequence[float]]) -> SweepResult:
    """A sweep whose confirm runs, by arm and seed, have these outcomes on the test rows."""
    scores = {arm: [float(np.mean(run)) for run in runs] for arm, runs in arms.items()}
    result = sweep(rows=4, **scores)
    kept: dict[str, np.ndarray] = {}
    trials = []
    for trial in result.trials:
        if trial.stage == "confirm":
            run = arms[trial.arm][int(trial.trial_id.rpartition(".")[2]) - 11]
            kept[trial.trial_id] = np.array(run, np.float32)
            trial = dataclasses.replace(trial, row_outcomes=trial.trial_id)
        trials.append(trial)
    return dataclasses.replace(result, trials=tuple(trials), row_outcomes=kept)


def cells(result: SweepResult) -> list[Mapping[str, str]]:
    actual = disagreement.record(result)
    assert actual is not None
    return [dict(zip(actual.columns, row, strict=True)) for row in actual.tasks[0].rows]


def test_the_rows_of_two_arms_are_counted_by_who_is_right():
    (pair,) = cells(answered(kd=KD, ckd=CKD))
    assert (pair["first"], pair["second"]) == ("ckd", "kd")
    # ckd alone: row 2 twice, row 3 once; kd alone: row 1 twice; both: row 0 twice, row 3 once.
    assert pair["both right"] == "37.5 %"
    assert pair["first alone"] == "37.5 %"
    assert pair["second alone"] == "25.0 %"
    assert pair["neither"] == "0.0 %"
    assert pair["differ"] == "62.5 %"
    assert pair["two runs of the first differ"] == "0.0 %"
    assert pair["of the second"] == "25.0 %"


def test_rows_that_one_arm_always_gets_right_and_the_other_never_are_named():
    actual = disagreement.record(answered(kd=KD, ckd=CKD))
    assert actual is not None
    assert actual.tasks[0].notes == (
        "ckd is right with every seed and kd with none on 1 row: 2",
        "kd is right with every seed and ckd with none on 1 row: 1",
    )
    assert actual.heading == (
        "ckd and kd differ on 62.5 % of the test rows with the same seed; two seeds of ckd on 0.0 %"
    )
    assert (
        "<li>kd is right with every seed and ckd with none on 1 row: 1.</li>"
        in disagreement.render(actual)
    )


def test_the_best_arm_is_compared_with_every_other_one():
    pairs = cells(answered(none=[[0, 0, 0, 1]] * 2, kd=KD, ckd=CKD))
    assert [(p["first"], p["second"]) for p in pairs] == [("ckd", "kd"), ("ckd", "none")]


def test_one_seed_says_nothing_of_seeds():
    (pair,) = cells(answered(kd=KD[:1], ckd=CKD[:1]))
    assert pair["two runs of the first differ"] == pair["of the second"] == "n/a"


def test_outcomes_that_are_not_right_or_wrong_are_left_out():
    result = answered(kd=KD, ckd=[[0.5, 0.1, 1, 1], [1, 0, 1, 1]])
    assert disagreement.record(result) is None
    assert disagreement.record(sweep(kd=[0.7, 0.71], ckd=[0.72, 0.73])) is None
    assert result.tasks[0].name == TASK


def test_with_several_searches_runs_of_one_search_and_seed_are_compared():
    result = answered(kd=[*KD, *KD], ckd=[*CKD, *CKD])
    numbers = {f"{arm}.{11 + k}": k for arm in ("kd", "ckd") for k in range(4)}
    trials = []
    for trial in result.trials:
        if trial.stage == "confirm":
            k = numbers[f"{trial.arm}.{trial.trial_id.rpartition('.')[2]}"]
            place = f"r{k // 2 + 1}." if k > 1 else ""
            name = f"glue-rte.{trial.arm}.{place}c0.{1 + k % 2}"
            trial = dataclasses.replace(trial, repeat=k // 2, trial_id=name)
        trials.append(trial)
    spec = {**result.spec, "search": {"repeats": 2}, "confirm": {"seeds": [1, 2]}}
    result = dataclasses.replace(result, spec=spec, trials=tuple(trials))
    (pair,) = cells(result)
    # The same runs twice over.
    assert pair["both right"] == "37.5 %"
    assert pair["first alone"] == "37.5 %"
    actual = disagreement.record(result)
    assert actual is not None
    assert actual.heading.startswith(
        "ckd and kd differ on 62.5 % of the test rows with the same search and seed; two runs of "
    )
    assert actual.tasks[0].notes[0] == (
        "ckd is right with every search and seed and kd with none on 1 row: 2"
    )
