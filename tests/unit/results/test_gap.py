"""The gap recovered and its interval."""

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
        found = gap_recovered(of_arm, of_none, float(teacher), "max")
        if found is not None:
            shown += 1
            hit += found.low <= 0.03 / 0.08 <= found.high
    assert shown > 1400
    assert 0.93 < hit / shown < 0.985
