"""The gap recovered and its interval."""

import dataclasses

import numpy as np
import pytest

from raykd.results.gap import gap_recovered

NONE = {1: 0.60, 2: 0.61, 3: 0.59}


def test_the_share_by_hand_in_both_directions():
    assert gap_recovered({1: 0.7, 2: 0.71, 3: 0.69}, NONE, 0.8, "max").share == pytest.approx(0.5)
    losses = {s: 1 - v for s, v in NONE.items()}
    arm = {1: 0.3, 2: 0.29, 3: 0.31}
    assert gap_recovered(arm, losses, 0.2, "min").share == pytest.approx(0.5)


def test_no_share_where_the_gap_is_noise_or_the_seeds_are_few():
    arm = {s: v + 0.01 for s, v in NONE.items()}
    assert gap_recovered(arm, NONE, 0.62, "max") is None
    assert gap_recovered(arm, NONE, 0.5, "max") is None
    assert gap_recovered({1: 0.7, 2: 0.71}, NONE, 0.8, "max") is None
    assert gap_recovered(arm, NONE, 0.8, "max") is not None


def test_the_interval_covers_the_share_if_teachers_vary_as_students_do():
    rng = np.random.default_rng(0)
    hit = shown = 0
    for _ in range(1500):
        shared = rng.normal(0, 0.006, 5)
        none, arm = 0.60 + shared + rng.normal(0, 0.01, 5), 0.63 + shared + rng.normal(0, 0.01, 5)
        teacher = 0.68 + rng.normal(0, np.hypot(0.006, 0.01))
        of_arm, of_none = (dict(enumerate(v)) for v in (arm, none))
        actual = gap_recovered(of_arm, of_none, float(teacher), "max")
        if actual is not None:
            shown += 1
            hit += actual.low <= 0.03 / 0.08 <= actual.high
    assert shown > 1400
    assert 0.93 < hit / shown < 0.985


@pytest.mark.parametrize(("teachers", "sd"), [(3, 0.02), (5, 0.02), (5, 0.002)])
def test_the_interval_covers_the_share_however_teachers_vary_once_some_are_trained(teachers, sd):
    """Students' spread says nothing of that of teachers: with theirs the interval is right."""
    rng = np.random.default_rng(1)
    hit = shown = guessed = 0
    for _ in range(1500):
        none, arm = 0.60 + rng.normal(0, 0.008, 5), 0.66 + rng.normal(0, 0.008, 5)
        scores = [float(v) for v in 0.75 + rng.normal(0, sd, teachers)]
        of_arm, of_none = (dict(enumerate(v)) for v in (arm, none))
        actual = gap_recovered(of_arm, of_none, scores[0], "max", scores[1:])
        alone = gap_recovered(of_arm, of_none, scores[0], "max")
        if actual is None or alone is None:
            continue
        shown += 1
        hit += actual.low <= 0.4 <= actual.high
        guessed += alone.low <= 0.4 <= alone.high
        assert actual.teachers == teachers
    assert shown > 1000
    assert 0.93 < hit / shown < 0.99
    if sd > 0.01:
        assert guessed / shown < 0.9


@pytest.mark.parametrize("others", [(0.8,), (0.801,), (0.8, 0.8)])
def test_teachers_that_happen_to_be_alike_make_no_interval_narrower(others):
    """Two near each other, or any number with one score, do not show that teachers do not vary."""
    arm = {1: 0.7, 2: 0.71, 3: 0.68}
    alone, among = (gap_recovered(arm, NONE, 0.8, "max", of) for of in ((), others))
    assert dataclasses.replace(among, sd=0.0) == dataclasses.replace(alone, sd=0.0)
    assert among.teachers == 1
    assert np.isnan(among.sd)


def test_two_teachers_that_differ_more_than_the_students_count():
    arm = {s: v + 0.1 for s, v in NONE.items()}
    assert gap_recovered(arm, NONE, 0.8, "max") is not None
    assert gap_recovered(arm, NONE, 0.8, "max", (0.7,)) is None


def test_the_share_is_of_the_gap_to_the_teacher_that_students_learnt_from():
    arm = {1: 0.7, 2: 0.71, 3: 0.69}
    alone, among = (
        gap_recovered(arm, NONE, 0.8, "max", others) for others in ((), (0.81, 0.79, 0.82))
    )
    assert alone.share == among.share == pytest.approx(0.5)
    assert alone.teachers == 1
    assert among.sd == pytest.approx(np.std([0.8, 0.81, 0.79, 0.82], ddof=1))
