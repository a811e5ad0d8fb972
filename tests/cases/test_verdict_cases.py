"""Records that once made a report say what is not so, each with what it has to say.

The scores are those of confirm seeds.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from raykd.report.sections import arms as arms_section
from raykd.results.diagnose import diagnose
from raykd.results.records import Status, TaskRecord
from raykd.results.summary import arm_summaries, rank_arms
from raykd.results.verdict import verdict
from tests.cases.planted_records import TASK, caveats, heading, sweep, trial, with_record
from tests.synthetic_run import Builder

# ---------------------------------------------------------------------------- lost confirm runs

HARD_SEED = {
    "none": [0.60, 0.61, 0.60, 0.57, 0.60],
    "kd": [0.700, 0.706, 0.703, 0.660, 0.702],
    "arm2": [0.696, 0.701, 0.699, None, 0.697],
}


def test_an_arm_that_lost_a_hard_seed_is_ranked_without_that_seed():
    result = sweep(**HARD_SEED)
    order = [a.name for a in rank_arms(arm_summaries(result, TASK), "max")]
    assert order == ["kd", "arm2", "none"]  # although the mean of arm2 alone is higher
    v = verdict(result, TASK)
    assert v.leader == "kd"
    assert "-" not in v.headline.split("points")[0]


def test_no_arm_wins_by_a_negative_number_whatever_is_lost():
    """Every pattern of one lost run in one arm: the declared winner is ahead where both ran."""
    for gone in range(5):
        scores = {k: list(v) for k, v in HARD_SEED.items()}
        scores["arm2"][3] = 0.65
        scores["arm2"][gone] = None
        v = verdict(sweep(rows=100_000, **scores), TASK)
        beats = re.match(r"(\S+) beats (\S+) by (\S+) points", v.headline)
        assert v.leader == "kd"
        assert beats is None or float(beats[3]) > 0


def test_whatever_is_lost_who_is_taken_is_better_than_everyone():
    """Random tables with gaps: the verdict is true of the seeds that two arms share."""
    rng = np.random.default_rng(5)
    taken = 0
    for _ in range(150):
        count, seeds = int(rng.integers(2, 6)), int(rng.integers(1, 8))
        level = rng.normal(0.6, 0.05, (count, 1))
        scores = np.clip(level + rng.normal(0, 0.004, (count, seeds)), 0, 1)
        gaps = (rng.random((count, seeds)) < 0.15) & (rng.random((count, 1)) < 0.4)
        gaps[:, 0] = False
        table = {
            arm: [None if gone else float(v) for v, gone in zip(row, lost, strict=True)]
            for arm, row, lost in zip(("none", "kd", "a", "b", "c"), scores, gaps, strict=False)
        }
        result = sweep(**table)
        v = verdict(result, TASK)
        assert heading(result).startswith("Take") == v.decided
        assert ("beats" in v.headline) <= (not gaps[list(table).index(v.leader)].any())
        if v.decided:
            taken += 1
            own = table[v.leader]
            assert None not in own
            for arm, other in table.items():
                pairs = [(x, y) for x, y in zip(own, other, strict=True) if y is not None]
                assert arm == v.leader or len(pairs) >= 3
                assert arm == v.leader or sum(x - y for x, y in pairs) > 0
    assert taken > 20


def test_an_arm_that_diverges_on_some_seeds_is_not_the_one_to_take():
    result = sweep(
        none=[0.60, 0.61, 0.60, 0.61, 0.60],
        kd=[0.70, 0.705, 0.70, 0.695, 0.70],
        arm2=[0.72, 0.724, None, None, 0.722],
    )
    v = verdict(result, TASK)
    assert not v.decided
    assert "lost 2 of its 5 confirm runs" in v.headline
    assert "beats" not in v.headline
    assert not heading(result).startswith("Take")
    lost = caveats(result)["lost-confirm-runs"]
    assert lost.arm == "arm2"
    assert "2 of 5" in lost.message
    assert "seeds 13, 14: loss is not finite" in lost.message
    table = arms_section.record(result).tasks[0]
    cells = dict(zip(table.columns, next(r.cells for r in table.rows if r.cells[0] == "arm2"),
                     strict=True))  # fmt: skip
    assert cells["confirm runs"] == "3 of 5 (2 lost)"
    assert cells["gap recovered"] == "n/a"


def test_an_arm_that_lost_every_run_is_counted_and_left_out():
    result = sweep(none=[0.6, 0.61, 0.6], kd=[0.70, 0.705, 0.70])
    gone = dataclasses.replace(
        trial("arm2", "confirm", "c0.11", None, {}), status=Status.FAILED, error="boom"
    )
    spec = {**result.spec, "methods": {**result.spec["methods"], "arm2": {"method": "kd"}}}
    result = dataclasses.replace(result, trials=(*result.trials, gone), spec=spec)
    assert caveats(result)["lost-confirm-runs"].arm == "arm2"
    assert verdict(result, TASK).decided


def test_a_completed_run_without_a_finite_value_is_lost_too():
    result = sweep(none=[0.6, 0.61, 0.6], kd=[0.70, 0.705, float("nan")])
    assert "accuracy is not finite" in caveats(result)["lost-confirm-runs"].message


# --------------------------------------------------------------------------------- certainty


def test_equal_differences_on_three_seeds_are_no_certainty():
    result = sweep(none=[0.60, 0.61, 0.60], kd=[0.70, 0.71, 0.69], a=[0.703, 0.713, 0.693])
    v = verdict(result, TASK)
    assert (v.leader, v.decided) == ("a", False)
    printed = re.search(r"95 % CI (\S+) to (\S+),", v.headline)
    assert float(printed[1]) < 0 < float(printed[2])


def test_an_interval_that_has_a_width_is_not_printed_without_one():
    result = sweep(277_000, none=[0.60, 0.61, 0.60], kd=[0.70, 0.71, 0.69],
                   a=[0.703, 0.713, 0.693])  # fmt: skip
    printed = re.search(r"95 % CI (\S+) to (\S+),", verdict(result, TASK).headline)
    assert float(printed[1]) < 0.3 < float(printed[2])


def test_an_interval_is_at_least_that_of_one_row():
    # sd 1/277, t(0.975, 2) = 4.302653: half width 4.302653 / 277 / sqrt(3) = 0.00897
    (none, kd) = arm_summaries(sweep(none=[0.6, 0.6, 0.6], kd=[0.7, 0.7, 0.7]), TASK)
    assert none.versus.interval.high == pytest.approx(-0.1 + 0.0089680, rel=1e-4)
    assert kd.confirmed.high == pytest.approx(0.7 + 0.0089680, rel=1e-4)
    assert kd.confirmed.sd == pytest.approx(0.0, abs=1e-12)  # what was measured stays what it was


def test_a_metric_in_nats_has_no_rows_to_be_certain_by():
    result = sweep(metric="log_likelihood", teacher=-0.4, none=[-0.6] * 3, kd=[-0.5] * 3)
    assert not verdict(result, TASK).decided
    result = sweep(metric="log_likelihood", teacher=-0.4, none=[-0.6] * 6, kd=[-0.5] * 6)
    assert verdict(result, TASK).decided


def test_two_seeds_never_make_a_winner():
    result = sweep(rows=100_000, none=[0.60, 0.601], kd=[0.70, 0.701])
    assert not verdict(result, TASK).decided
    assert heading(result) == "No winner yet; kd is ahead, but few seeds"
    assert "fewer than 3 seeds" in verdict(result, TASK).headline


def test_an_interval_stays_within_what_the_metric_can_be():
    result = sweep(metric="f1_macro", none=[0.3, 0.31, 0.3], kd=[0.98, 0.55, 0.86])
    kd = arm_summaries(result, TASK)[1]
    # mean 0.79667, sd 0.22189, t(0.975, 2) = 4.302653: 0.2455 to 1.3479
    assert (kd.confirmed.low, kd.confirmed.high) == (pytest.approx(0.2455, abs=1e-4), 1.0)
    wide = sweep(metric="matthews", none=[0.9, -0.9, 0.1], kd=[-0.9, 0.9, 0.0])
    interval = arm_summaries(wide, TASK)[0].versus.interval
    assert (interval.low, interval.high) == (-2.0, 2.0)


# ------------------------------------------------------------------------------ who is taken

TIE = {
    "none": [0.60, 0.61, 0.60, 0.61, 0.60],
    "kd": [0.65, 0.655, 0.652, 0.648, 0.65],
    "a": [0.70, 0.705, 0.70, 0.695, 0.70],
    "b": [0.7001, 0.705, 0.7003, 0.695, 0.7],
}


def test_two_best_arms_that_cannot_be_told_apart_are_both_named():
    result = sweep(**TIE)
    v = verdict(result, TASK)
    assert not v.decided
    assert v.leading == ("b", "a")
    assert heading(result) == "No winner yet: b and a are ahead; they cannot be told apart"
    assert v.headline.startswith("b and a cannot be told apart")
    assert any(d.startswith("b beats kd by 4.9 points") for d in v.details)
    assert not any("either" in d for d in v.details)


def test_a_winner_is_ahead_of_every_other_arm():
    scores = {**TIE, "a": [0.68, 0.684, 0.681, 0.676, 0.68]}
    result = sweep(**scores)
    v = verdict(result, TASK)
    assert (v.decided, v.leader, v.leading) == (True, "b", ("b",))
    assert heading(result).startswith(
        "Take b's configuration: ahead of every other arm on these rows (least lead"
    )
    assert "over a" in heading(result)
    assert "spread over seeds" not in heading(result)


def test_the_baseline_has_to_show_as_much_as_any_other_arm():
    scores = {"none": TIE["none"], "kd": TIE["b"], "a": TIE["a"], "b": TIE["kd"]}
    v = verdict(sweep(**scores), TASK)
    assert (v.leader, v.decided, set(v.leading)) == ("kd", False, {"kd", "a"})
    beaten = {**scores, "a": [0.66, 0.664, 0.661, 0.656, 0.66]}
    v = verdict(sweep(**beaten), TASK)
    assert (v.leader, v.decided) == ("kd", True)


def test_the_arm_without_teacher_is_not_nobody():
    result = sweep(none=[0.70, 0.705, 0.70], kd=[0.60, 0.61, 0.60])
    assert heading(result).startswith("Take the student without a teacher: ahead of every other")
    assert verdict(result, TASK).headline.endswith("none is the student without a teacher.")
    equal = sweep(none=[0.70, 0.705, 0.70], kd=[0.70, 0.70, 0.705])
    assert "their means are equal" in verdict(equal, TASK).headline
    near = sweep(none=[0.70, 0.71, 0.69], kd=[0.70, 0.69, 0.72])
    assert heading(near) == "No winner yet: kd and no teacher cannot be told apart"
    assert re.search(r"\bnone\b", " ".join(c.message for c in diagnose(near))) is None


def test_three_arms_that_are_alike_are_all_named():
    result = sweep(none=[0.4, 0.41, 0.4], a=[0.7, 0.71, 0.69], b=[0.71, 0.69, 0.7],
                   c=[0.7, 0.69, 0.715])  # fmt: skip
    v = verdict(result, TASK)
    assert set(v.leading) == {"a", "b", "c"}
    assert any(d.endswith("either.") for d in v.details)
    assert heading(result).count(",") == 1  # x, y and z


# --------------------------------------------------------------------------- configurations


def confirm(builder: Builder, arm: str, alpha: float, seeds: Sequence[int], value: float) -> None:
    for seed in seeds:
        builder.trial(TASK, arm, 0, objective=value, test=value + seed / 10_000,
                      params={"alpha": alpha}, confirm_seed=seed)  # fmt: skip


def test_two_configurations_are_never_averaged(tmp_path: Path):
    from raykd.results.store import load_results

    builder = Builder(tmp_path / "run")
    builder.start()
    builder.teacher(TASK)
    seeds = (11, 12, 13, 14, 15)
    confirm(builder, "kd", 0.1, seeds, 0.75)
    builder.finish("interrupted")
    builder.event("sweep_resumed")
    confirm(builder, "kd", 0.9, seeds[:1], 0.95)
    result = load_results(builder.folder)
    (kd,) = arm_summaries(result, TASK)
    assert kd.chosen == {"alpha": 0.1}
    assert {s: round(v, 2) for s, v in kd.seeds.items()} == dict.fromkeys(seeds, 0.75)
    assert "other-configuration" in caveats(result)
    confirm(builder, "kd", 0.9, seeds[1:], 0.95)
    (kd,) = arm_summaries(load_results(builder.folder), TASK)
    assert kd.chosen == {"alpha": 0.9}
    assert min(kd.seeds.values()) > 0.9
    assert len(kd.seeds) == 5


# --------------------------------------------------------------------------------- the tables


def test_the_cost_of_the_search_is_without_the_confirm_runs():
    (_, kd) = arm_summaries(sweep(none=[0.6, 0.61, 0.6], kd=[0.7, 0.71, 0.72]), TASK)
    assert (kd.device_seconds, kd.confirm_seconds) == (20.0, 900.0)
    assert kd.trial_seconds == 10.0


def test_p_values_are_left_out_where_they_cannot_speak():
    two = arms_section.record(sweep(none=[0.6, 0.61], kd=[0.7, 0.72])).tasks[0]
    assert "p (Holm)" not in two.columns
    assert "fewer than 3 seeds decide nothing" in two.caption
    five = arms_section.record(sweep(none=[0.6, 0.61, 0.6], kd=[0.7, 0.71, 0.72])).tasks[0]
    assert "p (Holm)" in five.columns
    assert {len(r.cells) for r in five.rows} == {len(five.columns)}


def test_a_mark_of_the_table_is_corrected_over_its_arms():
    """A difference whose own interval excludes zero, and not the one that counts all arms."""
    scores = {"none": [0.6] * 5, "kd": [0.70, 0.71, 0.69, 0.70, 0.70]}
    scores |= {"a": [0.715, 0.72, 0.71, 0.70, 0.715]}
    scores |= {f"b{k}": [0.70, 0.705, 0.69, 0.71, 0.70] for k in range(5)}
    a = next(s for s in arm_summaries(sweep(rows=100_000, **scores), TASK) if s.name == "a")
    assert a.versus.interval.low > 0
    assert a.versus.undecided == (a.versus.corrected.low <= 0) == (a.p_holm >= 0.05)
    assert a.versus.corrected.low < a.versus.interval.low


def test_the_caption_says_what_several_tables_find_by_chance():
    one = sweep(none=[0.6, 0.61, 0.6], kd=[0.7, 0.71, 0.72])
    caption = arms_section.record(one).tasks[0].caption
    assert "in 95 % of tables without a difference none is found." in caption
    tasks = tuple(dataclasses.replace(one.tasks[0], name=f"task{k}") for k in range(4))
    trials = tuple(dataclasses.replace(t, task=k.name) for k in tasks for t in one.trials)
    four = arms_section.record(dataclasses.replace(one, tasks=tasks, trials=trials))
    # 1 - 0.95 ** 4
    assert "with 4 tasks up to 19 % of such sweeps show one in some table" in four.tasks[0].caption


def test_an_arm_that_lost_most_of_its_runs_is_left_out():
    result = sweep(
        none=[0.60, 0.61, 0.60, 0.61, 0.60],
        kd=[0.70, 0.705, 0.70, 0.695, 0.70],
        a=[0.75, None, None, None, 0.75],
    )
    v = verdict(result, TASK)
    assert (v.leader, v.decided) == ("kd", True)
    assert "a lost 3 of 5 confirm runs and is left out of the comparison." in v.details


# --------------------------------------------------------------------- sizes, and what is equal


def margin(points: float, rows: int = 100_000, **scores: list[float]):
    result = sweep(rows=rows, **scores)
    return dataclasses.replace(result, spec={**result.spec, "report": {"margin": points}})


def test_a_lead_below_the_margin_is_sure_and_small():
    scores = {
        "none": [0.6, 0.61, 0.59, 0.6, 0.601],
        "kd": [0.700, 0.710, 0.690, 0.700, 0.701],
        "a": [0.7012, 0.7111, 0.6911, 0.7012, 0.7022],
    }
    small = margin(0.5, **scores)
    assert verdict(small, TASK).decided
    assert heading(small).startswith("a is ahead of every other arm on these rows (least lead 0.1")
    assert heading(small).endswith("but by less than matters to you")
    assert "smaller than your margin of 0.5 points" in " ".join(verdict(small, TASK).details)
    assert heading(margin(0.05, **scores)).startswith("Take a")


def test_equal_within_a_margin_is_reported_only_where_the_interval_lies_inside():
    rng = np.random.default_rng(0)
    level = rng.normal(0.7, 0.01, 12)
    scores = {
        "none": (level - 0.1).tolist(),
        "kd": (level + rng.normal(0, 0.004, 12)).tolist(),
        "a": (level + rng.normal(0, 0.004, 12)).tolist(),
    }
    result = margin(1.0, **scores)
    assert re.fullmatch(
        r"No winner: (kd and a|a and kd) are ahead, and equal within 1 point", heading(result)
    )
    assert any("are equal within 1 point (90 % CI" in d for d in verdict(result, TASK).details)
    unsure = margin(0.1, **scores)
    assert "cannot be told apart" in heading(unsure)
    (size,) = [d for d in verdict(unsure, TASK).details if d.startswith("With 12 seeds")]
    assert (taken := re.search(r"0.1 points would take about (\d+) seeds an arm \((\d+) ", size))
    assert int(taken[2]) == 3 * int(taken[1]) > 3 * 12  # three arms, each seed one run of each
    assert "confirm runs in all)" in size


def test_what_the_sweep_could_have_found_stands_next_to_a_leader_that_lost_a_run():
    result = sweep(
        rows=100_000, none=[0.6, 0.61, 0.6, 0.61], kd=[0.7, 0.71, 0.7, 0.705],
        a=[0.75, 0.76, 0.75, None],
    )  # fmt: skip
    v = verdict(result, TASK)
    assert (v.leader, v.decided) == ("a", False)
    (size,) = [d for d in v.details if "differences from about" in d]
    assert size.startswith("With 3 seeds,")


def test_likelihoods_are_given_as_perplexities_too():
    scores = {"none": [-3.9, -3.91, -3.89], "kd": [-3.5, -3.52, -3.48]}
    details = verdict(sweep(metric="log_likelihood", teacher=-3.0, **scores), TASK).details
    # exp(3.5), exp(3.9), exp(3.0)
    assert (
        "As perplexities per token, of which less is better: kd 33.1, no teacher 49.4 and "
        "teacher 20.1." in details
    )
    assert not any("perplex" in d for d in verdict(sweep(none=[0.6], kd=[0.7]), TASK).details)


def test_collapsed_runs_are_counted_and_kept():
    scores = {"none": [0.60, 0.61, 0.60, 0.61, 0.60], "kd": [0.70, 0.527, 0.70, 0.527, 0.70],
              "a": [0.70, 0.705, 0.70, 0.695, 0.70]}  # fmt: skip
    result = with_record(sweep(**scores), constant={"test": [0.473, 0.527]})
    kd = next(a for a in arm_summaries(result, TASK) if a.name == "kd")
    assert kd.collapsed == (12, 14)
    assert kd.score == pytest.approx(np.mean(scores["kd"]))
    caveat = caveats(result)["collapsed-runs"]
    assert "2 of 5 confirm runs of kd collapsed" in caveat.message
    assert "median 70.0" in caveat.message
    cells = next(r.cells for r in arms_section.record(result).tasks[0].rows if r.cells[0] == "kd")
    assert "5 (2 collapsed)" in cells


def test_an_arm_that_collapses_less_often_is_more_reliable_where_that_is_sure():
    kd = [0.70, 0.527] * 6
    a = [0.70 + 0.002 * (k % 3) for k in range(12)]
    result = with_record(sweep(none=[0.6] * 12, kd=kd, a=a), constant={"test": [0.473, 0.527]})
    text = " ".join(verdict(result, TASK).details)
    assert "a is more reliable than kd: 0 of 12 confirm runs collapsed or were lost against" in text
    few = with_record(sweep(none=[0.6] * 4, kd=kd[:4], a=a[:4]), constant={"test": [0.473, 0.527]})
    assert "more reliable" not in " ".join(verdict(few, TASK).details)


# ------------------------------------------------------------------------------------- resuming


def test_what_a_resumption_made_untrue_is_not_said(tmp_path: Path):
    from raykd.results.store import load_results

    builder = Builder(tmp_path / "run")
    builder.start()
    builder.teacher(TASK)
    builder.event("note", message="stopped by the user; results so far are kept")
    builder.event("note", message="the teacher was lost and published again")
    builder.event("sweep_finished", status="failed", seconds=1)
    assert sum("ended with an error" in n for n in load_results(builder.folder).notes) == 1
    before = builder.clock
    builder.clock += 3600
    builder.event("sweep_resumed")
    builder.trial(TASK, "kd", 0)
    builder.finish()
    result = load_results(builder.folder)
    assert result.notes == ("the teacher was lost and published again",)
    took = result.finished - result.started
    assert result.worked == pytest.approx(took - 3600)
    from raykd.report.build import render_page
    from raykd.report.sections import timeline

    assert "without the 60 min before it was resumed" in timeline.record(result).heading
    page = render_page(result, "directory")
    assert "(without the 60 min before it was resumed)" in page
    assert before > result.started


def test_records_of_older_runs_are_read_with_what_their_metrics_are(tmp_path: Path):
    from raykd.results.serialization import from_dict, to_dict
    from raykd.results.summary import scale_of

    result = sweep(metric="log_likelihood", teacher=-0.4, none=[-0.62] * 3, kd=[-0.55] * 3)
    plain = json.loads(json.dumps(to_dict(result.tasks[0])))
    for added in ("units", "constant", "shared"):
        plain.pop(added)
    old = dataclasses.replace(result, tasks=(from_dict(TaskRecord, plain),))
    scale = scale_of(old, TASK)
    assert (scale.show(-0.55), scale.signed(0.07), scale.unit) == ("-0.55", "+0.07", "nats")
