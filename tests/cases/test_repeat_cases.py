"""Verdicts on several searches of each arm: the search is what is counted."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from raykd.errors import RaykdError
from raykd.report.sections import arms as arms_section
from raykd.report.sections import metrics as metrics_section
from raykd.report.sections import verdict as verdict_section
from raykd.results.merge import merge
from raykd.results.records import Status, SweepResult, TrialResult
from raykd.results.summary import arm_summaries
from raykd.results.verdict import verdict
from tests.cases.planted_records import TASK, caveats, heading, sweep, trial

Search = Sequence[float | None]
"""What the confirm runs of the configuration of one search score, by seed."""

AHEAD = {
    "none": [[0.60, 0.62], [0.63, 0.61], [0.60, 0.60], [0.61, 0.63]],
    "kd": [[0.70, 0.72], [0.73, 0.71], [0.69, 0.71], [0.72, 0.70]],
}


def searches(arms: Mapping[str, Sequence[Search]]) -> SweepResult:
    """A sweep of which every arm was searched several times."""
    plain = sweep(**{arm: [own[0][0]] for arm, own in arms.items()})
    trials: list[TrialResult] = []
    for arm, own in arms.items():
        for repeat, scores in enumerate(own):
            place = f"r{repeat + 1}." if repeat else ""
            first = trial(arm, "search", f"{place}s000", 0.7, {"accuracy": 0.7})
            trials.append(dataclasses.replace(first, repeat=repeat))
            for seed, value in enumerate(scores, start=1):
                metrics = {} if value is None else {"accuracy": value, "test/accuracy": value}
                done = trial(arm, "confirm", f"{place}c0.{seed}", value, metrics)
                status = Status.FAILED if value is None else Status.COMPLETED
                error = "loss is not finite" if value is None else ""
                done = dataclasses.replace(done, repeat=repeat, status=status, error=error)
                trials.append(dataclasses.replace(done, params={"alpha": repeat / 10}))
    repeats = max(len(own) for own in arms.values())
    spec = {**plain.spec, "search": {"repeats": repeats}, "confirm": {"seeds": [1, 2]}}
    return dataclasses.replace(plain, spec=spec, trials=tuple(trials))


def test_the_searches_are_counted_and_not_their_seeds():
    result = searches(AHEAD)
    kd = next(a for a in arm_summaries(result, TASK) if a.name == "kd")
    assert kd.seeds == pytest.approx({1: 0.71, 2: 0.72, 3: 0.70, 4: 0.71})
    assert len(kd.runs) == 8
    v = verdict(result, TASK)
    assert v.headline.startswith("kd beats none by 9.7 points (95 % CI ")
    assert "4 searches, on these rows" in v.headline
    assert "configuration" not in v.headline
    assert heading(result).startswith("Take kd: ahead of every other arm over searches")


def test_what_a_smaller_difference_takes_is_counted_in_search_trials():
    rng = np.random.default_rng(3)
    alike = {arm: [[s, s] for s in rng.normal(0.7, 0.01, 5).tolist()] for arm in ("none", "kd")}
    result = searches(alike)
    spec = {**result.spec, "search": {"repeats": 5, "trials": 8}, "report": {"margin": 0.8}}
    details = " ".join(verdict(dataclasses.replace(result, spec=spec), TASK).details)
    needed = re.search(r"about ([\d,]+) searches an arm \(([\d,]+) search trials in all\)", details)
    assert needed
    assert int(needed[2].replace(",", "")) == int(needed[1].replace(",", "")) * 8 * 2


def test_what_is_said_of_one_search_is_said_of_one_search_alone():
    several = caveats(searches(AHEAD))
    assert "one-search" not in several
    one = sweep(**{arm: [s for own in of for s in own] for arm, of in AHEAD.items()})
    assert "one-search" in caveats(one)
    assert "): kd's configuration against none's; none is the" in verdict(one, TASK).headline
    assert heading(one).startswith("Take kd's configuration: ")


def test_the_page_speaks_of_searches():
    result = searches(AHEAD)
    page = verdict_section.render(verdict_section.record(result))
    assert "paired by search" in page
    assert "one configuration" not in page
    arms = arms_section.record(result)
    assert arms is not None
    chart = arms.tasks[0].chart
    assert chart is not None
    assert "paired by search" in chart.finding
    assert chart.columns[-1] == "searches"
    runs = arms.tasks[0].columns.index("confirm runs")
    assert [row.cells[runs] for row in arms.tasks[0].rows] == ["8", "8"]


def test_a_search_that_lost_a_run_is_no_value_and_its_arm_is_not_taken():
    lost = {**AHEAD, "kd": [*AHEAD["kd"][:3], [0.74, None]]}
    result = searches(lost)
    kd = next(a for a in arm_summaries(result, TASK) if a.name == "kd")
    assert list(kd.seeds) == [1, 2, 3]
    v = verdict(result, TASK)
    assert not v.decided
    assert "kd lost 1 of its 8 confirm runs" in v.headline
    output = caveats(result)["lost-confirm-runs"].message
    assert "lost 1 of 8 confirm runs (search 4 seed 2: loss is not finite)" in output


def test_a_search_whose_runs_have_not_ended_is_missing():
    partly = searches({**AHEAD, "kd": AHEAD["kd"][:3]})
    kd = next(a for a in arm_summaries(partly, TASK) if a.name == "kd")
    assert list(kd.seeds) == [1, 2, 3]
    assert kd.missing == ((4, 1), (4, 2))
    assert "kd 2" in caveats(partly)["unfinished-confirm"].message


def test_a_collapsed_run_is_named_by_search_and_seed():
    fallen = {**AHEAD, "kd": [*AHEAD["kd"][:3], [0.72, 0.50]]}
    assert "search 4 seed 2" in caveats(searches(fallen))["collapsed-runs"].message


def test_two_searches_decide_nothing():
    result = searches({arm: own[:2] for arm, own in AHEAD.items()})
    assert not verdict(result, TASK).decided
    assert caveats(result)["few-searches"].message.endswith("no teacher 2, kd 2.")
    assert heading(result) == "No winner yet; kd is ahead, but few searches"


def test_rows_count_next_to_searches_where_their_outcomes_were_kept():
    rng = np.random.default_rng(0)
    result = searches(AHEAD)
    kept, trials = {}, []
    for one in result.trials:
        if one.stage == "confirm":
            right = np.zeros(277, np.float32)
            right[rng.permutation(277)[: round(277 * (one.objective or 0.0))]] = 1
            value = float(right.mean())
            kept[one.trial_id] = right
            one = dataclasses.replace(
                one, row_outcomes=one.trial_id, metrics={"test/accuracy": value}
            )
        trials.append(one)
    result = dataclasses.replace(result, trials=tuple(trials), row_outcomes=kept)
    kd = next(a for a in arm_summaries(result, TASK) if a.name == "kd")
    assert {k: float(of.mean()) for k, of in kd.outcomes.items()} == pytest.approx(kd.seeds)
    assert "4 searches and 277 rows" in verdict(result, TASK).headline


def test_runs_with_other_numbers_of_searches_are_not_compared():
    one, several = sweep(kd=[0.7, 0.71]), searches(AHEAD)
    with pytest.raises(RaykdError, match="different numbers of searches"):
        merge([dataclasses.replace(one, run="a"), dataclasses.replace(several, run="b")])


def test_the_table_of_metrics_is_of_all_searches_as_the_verdict_is():
    result = searches(AHEAD)
    both = {"test/f1": 0.5, "test/accuracy": 0.0}
    trials = tuple(
        dataclasses.replace(t, metrics={**both, **t.metrics}) if t.stage == "confirm" else t
        for t in result.trials
    )
    actual = metrics_section.record(dataclasses.replace(result, trials=trials))
    assert actual is not None
    rows = {row[0]: row[1:] for row in actual.tables[0][2]}
    assert rows["kd"] == ("71.0 ± 0.8", "50.0 ± 0.0")  # of 71.0, 72.0, 70.0 and 71.0
    assert rows["none"][0] == "61.3 ± 1.0"  # of 61.0, 62.0, 60.0 and 62.0
    assert actual.heading.endswith("mean and spread over the searches")
    assert "over the searches" in metrics_section.render(actual)


def test_the_configuration_that_is_shown_is_said_to_be_of_one_search():
    card = verdict_section.record(searches(AHEAD)).tasks[0]
    assert card.of_search == " (search 1 of 4, each has its own)"
    assert "Configuration of kd (search 1 of 4, each has its own)" in verdict_section.render(
        verdict_section.record(searches(AHEAD))
    )
    assert verdict_section.record(sweep(none=[0.6, 0.61], kd=[0.7, 0.71])).tasks[0].of_search == ""


def test_a_caveat_on_an_interval_says_its_level():
    close = {
        "none": [[0.60, 0.60], [0.66, 0.66], [0.61, 0.61], [0.64, 0.64]],
        "kd": [[0.65, 0.65], [0.63, 0.63], [0.60, 0.60], [0.66, 0.66]],
        "ckd": [[0.61, 0.61], [0.67, 0.67], [0.64, 0.64], [0.60, 0.60]],
    }
    message = caveats(searches(close))["interval-contains-zero"].message
    assert re.search(r"the 97\.5 % interval of the difference, -\d.* to \+\d.*, contains", message)
