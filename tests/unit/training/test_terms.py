import pytest
import torch

from raykd.errors import TrialError
from raykd.training.device import World
from raykd.training.terms import CHECK_STEPS, TermLedger

NAMES = ("task", "soft")


@pytest.fixture
def ledger():
    return TermLedger(World(0, 1, torch.device("cpu")))


def test_means_since_the_last_call(ledger):
    for step in (1, 2):
        ledger.add(NAMES, torch.tensor([step * 1.0, 10.0]), step)
    assert ledger.means(2) == {"loss": 11.5, "task": 1.5, "soft": 10.0}
    ledger.add(NAMES, torch.tensor([5.0, 0.0]), 3)
    assert ledger.means(3) == {"loss": 5.0, "task": 5.0, "soft": 0.0}
    assert ledger.means(3) == {}


def test_means_over_more_steps_than_are_kept(ledger):
    count = 2 * CHECK_STEPS + 3
    for step in range(1, count + 1):
        ledger.add(("task",), torch.tensor([float(step)]), step)
    assert ledger.means(count)["task"] == (count + 1) / 2


@pytest.mark.parametrize(("value", "word"), [(float("nan"), "NaN"), (float("inf"), "infinite")])
def test_the_first_bad_step_is_named(ledger, value, word):
    for step in range(1, 8):
        bad = value if step >= 5 else 1.0
        ledger.add(NAMES, torch.tensor([1.0, bad]), step)
    with pytest.raises(TrialError, match=rf"loss became {word} at step 5 \(term 'soft'\)"):
        ledger.means(7)


def test_a_bad_step_is_found_within_a_long_epoch(ledger):
    for step in range(1, CHECK_STEPS):
        ledger.add(("task",), torch.tensor([1.0 if step < 3 else float("nan")]), step)
    with pytest.raises(TrialError, match="at step 3 "):
        ledger.add(("task",), torch.ones(1), CHECK_STEPS)


def test_terms_may_not_change_their_names(ledger):
    ledger.add(("task",), torch.ones(1), 1)
    with pytest.raises(TrialError, match="changed from"):
        ledger.add(NAMES, torch.ones(2), 2)


def test_what_is_watched_is_no_part_of_the_loss(ledger):
    ledger.add(("task", "similar"), torch.tensor([1.0, 5.0]), 1, watched=1)
    assert ledger.means(1) == {"loss": 1.0, "task": 1.0, "similar": 5.0}
