"""The findings on early stopping, on records made by hand."""

from __future__ import annotations

import dataclasses

import pytest

from raykd.report.sections import stopping
from raykd.results.diagnose import diagnose
from raykd.results.early_stopping import early_stopping
from raykd.results.records import Evaluation, Status, SweepResult, TrialResult
from raykd.results.store import load_results
from tests.synthetic_run import METRIC, Builder


@pytest.fixture(scope="module")
def result(full_run: Builder) -> SweepResult:
    return load_results(full_run.folder)


TASK, ARM = "glue/rte", "kd"


def trial(number: int, early: float, end: float | None, **changes: object) -> TrialResult:
    """A trial with a score after epoch 1 and, where it was not stopped, after epoch 2."""
    scores = [early] if end is None else [early, end]
    history = tuple(
        Evaluation(step=e, epoch=float(e), seconds=1.0 * e, metrics={METRIC: score}, terms={})
        for e, score in enumerate(scores, start=1)
    )
    return TrialResult(
        sweep="run", task=TASK, arm=ARM, method=ARM, trial_id=f"t{number}", number=number,
        stage="search", status=Status.PRUNED if end is None else Status.COMPLETED, params={},
        objective=scores[-1], metrics={METRIC: scores[-1]}, history=history, **changes,
    )  # fmt: skip


def of(result: SweepResult, *trials: TrialResult, lag: int | None = 1) -> SweepResult:
    tasks = tuple(t for t in result.tasks if t.name == TASK)
    return dataclasses.replace(result, tasks=tasks, trials=trials, lags={TASK: lag})


FIRST = (trial(0, 0.5, 0.6), trial(1, 0.55, 0.7))
STOPPED = tuple(trial(k, 0.3, None) for k in (2, 3, 4))


def test_trials_that_nothing_was_selected_of_show_what_a_rung_foretells(result: SweepResult):
    control = (trial(5, 0.4, 0.65, control=True, spared=1.0), trial(6, 0.6, 0.8, control=True))
    chosen = trial(7, 0.58, 0.1)  # it survived, so that it is no fair witness
    actual = early_stopping(of(result, *FIRST, *STOPPED, *control, chosen), TASK)
    assert actual is not None
    (rung,) = actual.rungs
    # 0.5 0.55 0.4 0.6 against 0.6 0.7 0.65 0.8: the third one is too far down once.
    assert (rung.epoch, rung.stopped, rung.pairs, rung.in_order) == (1.0, 3, 6, 5)
    assert rung.tau == pytest.approx(2 / 3)
    assert (actual.stopped, actual.control, actual.spared, actual.lost_best) == (3, 2, 1, 0)
    assert actual.most_lost == pytest.approx(0.95)  # of one


def test_a_spared_trial_that_became_the_best_is_a_caveat(result: SweepResult):
    best = trial(5, 0.2, 0.95, control=True, spared=1.0)
    run = of(result, *FIRST, *STOPPED, best)
    (caveat,) = [c for c in diagnose(run) if c.code == "stopped-too-early"]
    assert "1 of 1 trials that early stopping would have ended" in caveat.message
    assert "of 1 like them that ran on, 1 became the best" in stopping.record(run).heading


def test_a_rung_that_foretells_nothing_is_a_caveat(result: SweepResult):
    control = [trial(k, 0.5 + 0.01 * (k % 2), 0.5 + 0.01 * k, control=True) for k in range(5, 17)]
    run = of(result, *STOPPED, *control)
    (caveat,) = [c for c in diagnose(run) if c.code == "uninformative-rung"]
    assert "after epoch 1" in caveat.message
    assert not [c for c in diagnose(of(result, *FIRST, *STOPPED)) if c.code == caveat.code]


def test_without_a_control_group_nothing_is_claimed(result: SweepResult):
    actual = stopping.record(of(result, *FIRST, *STOPPED))
    assert actual is not None
    assert "3 of 5 search trials were stopped early; whether one of them" in actual.heading
    assert "search.control" in actual.findings[0][1]
    assert actual.rows[0][-1] == "too few"
    assert "No trial was kept" in stopping.render(actual)


def test_where_nobody_was_stopped_there_is_no_section(result: SweepResult):
    assert stopping.record(of(result, *FIRST)) is None
