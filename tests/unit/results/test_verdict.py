import pytest

from raykd.results.records import Status
from raykd.results.store import load_results
from raykd.results.summary import arm_summaries, confirm_seed, scale_of
from raykd.results.verdict import verdict
from tests.synthetic_run import Builder

TASK = "glue/rte"


def confirmed(builder: Builder, **values: list[float]):
    """A run in which each arm has one search trial and the given confirm values."""
    # Rows enough that an interval is that of the seeds, not that of one row.
    builder.teacher(TASK, rows={"teacher": 1, "train": 1, "validation": 249, "test": 27_700})
    for arm in values:
        builder.trial(TASK, arm, 0, objective=0.65)
    for arm, scores in values.items():
        for seed, value in enumerate(scores, start=11):
            builder.trial(TASK, arm, 0, objective=value, confirm_seed=seed, test=value)
    builder.finish()
    return load_results(builder.folder)


def test_a_clear_difference_names_winner_size_interval_and_gap(builder: Builder):
    result = confirmed(
        builder, none=[0.66, 0.67, 0.65], kd=[0.70, 0.71, 0.69], ckd=[0.712, 0.721, 0.703]
    )
    v = verdict(result, TASK)
    # differences 0.012, 0.011, 0.013: mean 1.2 points, variance 0.01 points; the third contrast of
    # the arms, none against the mean of the others, has (2 * 0.01 + 2 * v) / 4 = 0.005 with v = 0:
    # half width 2.7764 * sqrt(0.00333 + ...) / sqrt(3)
    assert v.headline == (
        "ckd beats kd by 1.2 points (95 % CI 1.1 to 1.3, 3 seeds, on these rows): "
        "ckd's configuration against kd's."
    )
    # (0.712 - 0.66) / (0.726 - 0.66) = 0.788
    assert v.details[0].startswith("ckd beats no teacher by 5.2 points (97.5 % CI 5.0 to 5.4, 3")
    assert "recovers 79 % of the gap between no teacher (66.0) and teacher (72.6)" in v.details[1]
    assert v.decided


def test_an_interval_with_zero_is_not_a_win(builder: Builder):
    result = confirmed(
        builder, none=[0.6, 0.61, 0.6], kd=[0.70, 0.72, 0.69], ckd=[0.73, 0.70, 0.70]
    )
    v = verdict(result, TASK)
    assert "cannot be told apart" in v.headline
    assert not v.decided
    assert v.leader == "ckd"


def test_one_seed_gives_no_interval_and_says_so(builder: Builder):
    v = verdict(confirmed(builder, none=[0.6], kd=[0.7], ckd=[0.72]), TASK)
    assert "one seed gives no interval" in v.headline
    assert not v.decided


@pytest.mark.parametrize(
    ("seeds", "teacher", "why"),
    [
        (1, 0.726, "was measured on 1 seed: a share of it takes 3 that both arms have"),
        (2, 0.726, "was measured on 2 seeds: a share of it takes 3 that both arms have"),
        (3, 0.600, "has no share to recover: that teacher is not better"),
        (3, 0.662, "is too small against the spread over seeds, so no share of it is given"),
    ],
)
def test_why_no_share_of_the_gap_is_given(builder: Builder, seeds: int, teacher: float, why: str):
    values = {"none": [0.66, 0.67, 0.65], "kd": [0.70, 0.71, 0.69]}
    builder.teacher(TASK, score=teacher)
    for arm, scores in values.items():
        for seed, value in enumerate(scores[:seeds], start=11):
            builder.trial(TASK, arm, 0, objective=value, confirm_seed=seed, test=value)
    builder.finish()
    gap = next(s for s in verdict(load_results(builder.folder), TASK).details if "The gap" in s)
    assert why in gap


def test_without_confirm_stage_the_search_decides_nothing(builder: Builder):
    builder.teacher(TASK)
    builder.trial(TASK, "kd", 0, objective=0.7)
    builder.trial(TASK, "ckd", 0, objective=0.8)
    v = verdict(load_results(builder.folder), TASK)
    assert v.headline.startswith("Not decided")
    assert (v.leader, v.decided) == ("ckd", False)


def test_without_trials_nothing_was_measured(builder: Builder):
    builder.teacher(TASK)
    assert "no trial was started" in verdict(load_results(builder.folder), TASK).headline
    builder.trial(TASK, "kd", 0, Status.FAILED, None, error="x")
    assert "none of 1 trials" in verdict(load_results(builder.folder), TASK).headline


def test_a_metric_to_minimise_prefers_the_lower_arm(builder: Builder):
    builder.teacher(TASK, score=0.9, mode="min")
    for arm, base in (("kd", 2.0), ("ckd", 1.5)):
        for seed in (11, 12, 13):
            value = base + seed / 1000 * (1 + (arm == "kd"))  # the differences differ, too
            builder.trial(TASK, arm, 0, objective=value, confirm_seed=seed, test=value)
    result = load_results(builder.folder)
    v = verdict(result, TASK)
    assert v.headline.startswith("ckd beats kd by 0.512 accuracy")
    assert scale_of(result, TASK).factor == 1


def test_the_confirmed_configuration_is_chosen_on_the_select_split(builder: Builder):
    builder.teacher(TASK)
    for seed in (11, 12):
        builder.trial(TASK, "kd", 0, objective=0.80, confirm_seed=seed, test=0.70)
        builder.trial(TASK, "kd", 1, objective=0.75, confirm_seed=seed, test=0.99)
    (kd,) = arm_summaries(load_results(builder.folder), TASK)
    assert kd.score == pytest.approx(0.70)


def test_arms_are_paired_by_the_seed_the_user_listed(builder: Builder):
    builder.teacher(TASK)
    trial = builder.trial(TASK, "kd", 0, confirm_seed=11, test=0.7, seed=987654321)
    assert confirm_seed(trial) == 11
