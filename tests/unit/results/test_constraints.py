"""Constraints in the verdict: what was left out, what is left of an arm, and who may be taken."""

import dataclasses

import pytest

from raykd.results.constraints import weights_of
from raykd.results.diagnose import diagnose
from raykd.results.merge import merge
from raykd.results.records import SweepResult
from raykd.results.store import load_results
from raykd.results.summary import arm_summaries
from raykd.results.verdict import verdict
from tests.synthetic_run import Builder

TASK = "glue/rte"
BOUND = "latency_ms <= 5"


def swept(builder: Builder, confirmed_ms: float) -> SweepResult:
    """kd is better than ckd; two of its three trials are too slow, and so is all of none."""
    builder.teacher(TASK)
    for number, ms in enumerate((4.0, 7.0, 9.0)):
        violated = (BOUND,) if ms > 5 else ()
        objective = 0.6 + ms / 100
        for arm in ("kd", "ckd", "none"):
            slow = arm == "none" or violated
            builder.trial(
                TASK, arm, number, objective=objective, violated=(BOUND,) if slow else (),
                metrics={"accuracy": objective, "latency_ms": 8.0 if arm == "none" else ms},
            )  # fmt: skip
    for seed in range(5):
        for arm, test, ms in (("kd", 0.8, confirmed_ms), ("ckd", 0.6, 4.0)):
            metrics = {
                "accuracy": 0.64, "test/accuracy": test + seed / 1000, "latency_ms": ms,
            }  # fmt: skip
            builder.trial(TASK, arm, 0, objective=0.64, confirm_seed=seed, metrics=metrics)
    result = load_results(builder.folder)
    bound = {"metric": "latency_ms", "relation": "<=", "bound": 5}
    search = {**result.spec["search"], "constraints": [bound]}
    object.__setattr__(result, "spec", {**result.spec, "search": search})
    return result


def test_the_best_trial_of_an_arm_keeps_to_the_bound_and_the_others_are_counted(builder: Builder):
    arms = {a.name: a for a in arm_summaries(swept(builder, 4.0), TASK)}
    assert arms["kd"].best is not None
    assert arms["kd"].best.number == 0
    assert {name: arm.infeasible for name, arm in arms.items()} == {"none": 3, "kd": 2, "ckd": 2}
    assert arms["none"].best is None


def test_it_is_reported_what_was_left_out_and_which_arm_has_nothing_left(builder: Builder):
    actual = {(c.code, c.arm): c for c in diagnose(swept(builder, 4.0))}
    left_out = actual["infeasible-trials", "kd"].message
    assert left_out == (
        "kd was chosen without 2 of its 3 completed trials, which do not keep to a constraint "
        f"({BOUND}: 2)."
    )
    nothing = actual["no-feasible-trial", "none"]
    assert nothing.message.startswith("The student without a teacher has no configuration to conf")
    assert "the nearest were latency_ms 8" in nothing.hint


def test_an_arm_that_keeps_to_the_bound_may_be_taken(builder: Builder):
    within = verdict(swept(builder, 4.0), TASK)
    assert (within.leader, within.decided) == ("kd", True)


def test_an_arm_whose_confirm_runs_go_beyond_the_bound_is_no_part_of_the_comparison(
    builder: Builder,
):
    result = swept(builder, 6.5)
    actual = verdict(result, TASK)
    assert (actual.leader, actual.decided) == ("ckd", False)
    assert f"kd does not keep to {BOUND} (6.5) and is left out of the comparison." in actual.details
    codes = {(c.code, c.arm) for c in diagnose(result)}
    assert ("confirmed-beyond-constraint", "kd") in codes


@pytest.mark.parametrize("first", ["bounded", "free"])
def test_runs_that_are_compared_keep_to_their_own_bounds(builder: Builder, first: str):
    bounded = dataclasses.replace(swept(builder, 6.5), run="bounded")
    free = dataclasses.replace(
        bounded, run="free",
        spec={**bounded.spec, "search": {**bounded.spec["search"], "constraints": []}},
    )  # fmt: skip
    both = merge(sorted((bounded, free), key=lambda run: run.run != first))
    out = {a.name: a.beyond for a in arm_summaries(both, TASK)}
    mine = {name for name in out if name.rpartition("/")[2] == "kd"}
    assert len(mine) == 2  # the baseline of the first run keeps its name
    of_bounded = "kd" if first == "bounded" else "bounded/kd"
    assert {name: bool(out[name]) for name in mine} == {name: name == of_bounded for name in mine}


def test_a_student_has_the_weights_that_were_counted_where_sizes_are_searched(builder: Builder):
    result = swept(builder, 4.0)
    task, (trial, *_) = result.task(TASK), result.trials
    assert weights_of(trial, task) == task.student_parameters
    counted = dataclasses.replace(trial, metrics={**trial.metrics, "parameters": 1234.0})
    assert weights_of(counted, task) == 1234
