"""Looks at the confirm runs: planned before the first seed, each on record, until one decides."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from raykd.results.alpha_spending import spending_levels
from raykd.results.event_log import EventLog
from raykd.results.merge import merge
from raykd.results.seed_looks import chance_at_last
from raykd.results.seed_plan import look_of
from raykd.results.store import load_results, read_events
from raykd.results.summary import arm_summaries, compare, task_metric
from raykd.results.verdict import verdict
from raykd.spec.schema import SweepSpec
from raykd.spec.schema_stages import ConfirmSpec, SeedPlan
from raykd.sweep.seed_looks import SeedLooks
from tests.synthetic_run import Builder
from tests.synthetic_run import spec as synthetic

TASK = "glue/rte"
PLAN = ConfirmSpec(seeds=SeedPlan(start=5, then=(10, 20)))


def planned(**confirm: object) -> SweepSpec:
    return synthetic().model_copy(update={"confirm": PLAN, **confirm})


@pytest.fixture
def builder(tmp_path: Path) -> Builder:
    made = Builder(tmp_path / "run", planned())
    made.start()
    made.teacher(TASK, rows={"teacher": 1, "train": 1, "validation": 249, "test": 10_000})
    return made


def log_of(builder: Builder) -> EventLog:
    return EventLog(builder.folder / "events.jsonl", lambda event: None)


def confirm(builder: Builder, seeds: tuple[int, ...], lead: float, shift: int = 0) -> None:
    for seed in seeds:
        rng = np.random.default_rng(seed + shift)
        shared = rng.normal(0, 0.01)
        for arm, mean in (("none", 0.60), ("kd", 0.70), ("ckd", 0.70 + lead)):
            value = mean + shared + rng.normal(0, 0.01)
            builder.trial(TASK, arm, 0, objective=value, confirm_seed=seed, test=value)


def run(builder: Builder, lead: float, shift: int = 0) -> list[tuple[int, ...]]:
    """The seeds that are run, look by look."""
    actual = []
    looks = SeedLooks(builder.spec, builder.folder, log_of(builder), TASK)
    for seeds in looks:
        confirm(builder, seeds, lead, shift)
        actual.append(seeds)
        looks.taken()
    return actual


def test_a_list_of_seeds_is_one_look_without_a_record(builder: Builder):
    builder.spec = planned(confirm=ConfirmSpec(seeds=(3, 1)))
    assert run(builder, 0.03) == [(3, 1)]
    assert not load_results(builder.folder).seed_plans


def test_a_large_difference_ends_at_the_first_look_and_says_so(builder: Builder):
    assert run(builder, 0.08) == [(1, 2, 3, 4, 5)]
    events, _ = read_events(builder.folder / "events.jsonl")
    kinds = [e["event"] for e in events]
    assert kinds.index("seed_plan") < kinds.index("trial_started")
    result = load_results(builder.folder)
    plan = result.seed_plans[TASK]
    assert (plan.ended, plan.seeds, plan.looks) == ("decided", 5, (5, 10, 20))
    assert plan.levels == spending_levels((5, 10, 20))
    v = verdict(result, TASK)
    assert v.decided
    assert "98.8 % CI" in v.headline
    (message,) = [d for d in v.details if d.startswith("The plan had looks")]
    assert "ended at the first one (5 seeds, level 1.2 %): it was decided" in message
    assert not any(a.missing for a in arm_summaries(result, TASK))


def test_a_smaller_one_takes_more_looks_each_at_its_own_level(builder: Builder):
    actual = run(builder, 0.014)
    assert len(actual) > 1
    assert actual[:2] == [(1, 2, 3, 4, 5), (6, 7, 8, 9, 10)]
    result = load_results(builder.folder)
    look = len(actual) - 1
    at = look_of(result, TASK)
    assert at.level() == result.seed_plans[TASK].levels[look]
    v = verdict(result, TASK)
    together = compare(task_metric(result, TASK), arm_summaries(result, TASK))
    alone = [together.difference(v.leader, name).p for name in together.order()[1:]]
    assert v.decided
    # Stopped at p = 0.01, the plan as a whole has three to four times as much.
    assert max(alone) < v.p < 0.05
    assert v.p == at.overall(max(alone))


def test_between_two_looks_the_stricter_one_counts(builder: Builder):
    assert run(builder, 0.08) == [(1, 2, 3, 4, 5)]
    result = load_results(builder.folder)
    plan = dataclasses.replace(result.seed_plans[TASK], ended="", looks=(4, 10, 20))
    cut = dataclasses.replace(result, seed_plans={TASK: plan})  # five of ten seeds were run
    assert look_of(cut, TASK).level() == plan.levels[0]
    decreasing = dataclasses.replace(plan, levels=(0.03, 0.01, 0.02))
    cut = dataclasses.replace(result, seed_plans={TASK: decreasing})
    assert look_of(cut, TASK).level() == 0.01


def test_arms_of_several_runs_are_compared_at_the_strictest_look_in_any_order(builder: Builder):
    run(builder, 0.08)
    planned_run = load_results(builder.folder)
    made = Builder(builder.folder.parent / "listed", planned(confirm=ConfirmSpec(seeds=(1, 2, 3))))
    made.start()
    made.teacher(TASK)
    run(made, 0.08)
    listed = load_results(made.folder)
    assert look_of(listed, TASK).level() == 0.05
    for both in ([planned_run, listed], [listed, planned_run]):
        assert look_of(merge(both), TASK) == look_of(planned_run, TASK)
    late = dataclasses.replace(planned_run.seed_plans[TASK], ended="last", seeds=20)
    other = dataclasses.replace(planned_run, seed_plans={TASK: late})
    for both in ([planned_run, other], [other, planned_run]):
        assert look_of(merge(both), TASK) == look_of(planned_run, TASK)


def test_the_last_look_is_the_end(builder: Builder):
    ends = set()
    for shift in range(3):
        made = Builder(builder.folder.parent / f"run{shift}", planned())
        made.start()
        made.teacher(TASK)
        run(made, 0.004, shift=100 * shift)
        ends.add(load_results(made.folder).seed_plans[TASK].ended)
    assert ends <= {"last", "futile", "decided"}
    assert ends & {"last", "futile"}


def test_a_lead_of_nothing_is_futile_and_a_large_one_is_not(builder: Builder):
    run(builder, 0.0)
    result = load_results(builder.folder)
    plan = result.seed_plans[TASK]
    assert plan.seeds >= 5
    assert 0.0 <= chance_at_last(result, TASK, plan, 1) <= 1.0
    more = Builder(builder.folder.parent / "more", planned())
    more.start()
    more.teacher(TASK)
    run(more, 0.05)
    sure = load_results(more.folder)
    assert chance_at_last(sure, TASK, sure.seed_plans[TASK], 1) > 0.9


def test_a_resumed_sweep_keeps_the_plan_and_takes_no_look_twice(builder: Builder):
    looks = SeedLooks(builder.spec, builder.folder, log_of(builder), TASK)
    for seeds in looks:
        confirm(builder, seeds, 0.014)
        looks.taken()
        break  # the driver is killed
    builder.event("sweep_resumed")
    actual = run(builder, 0.014)
    assert actual[0] == (1, 2, 3, 4, 5)  # given again, for runs that were lost
    events, _ = read_events(builder.folder / "events.jsonl")
    looked = [e["seeds"] for e in events if e["event"] == "seed_look"]
    assert looked == sorted(set(looked))
    assert sum(e["event"] == "seed_plan" for e in events) == 1


def test_a_plan_that_has_ended_gives_the_seeds_it_had(builder: Builder):
    assert run(builder, 0.08) == [(1, 2, 3, 4, 5)]
    looks = SeedLooks(builder.spec, builder.folder, log_of(builder), TASK)
    assert list(looks) == [(1, 2, 3, 4, 5)]


def test_the_plan_is_part_of_the_resolved_file(builder: Builder):
    plain = json.loads((builder.folder / "resolved.json").read_text())
    assert plain["confirm"]["seeds"] == {"start": 5, "then": [10, 20]}
    assert builder.spec.confirm_runs == 20
