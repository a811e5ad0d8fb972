from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from raykd.errors import TrialError
from raykd.losses.terms import LossTerms, Mean
from raykd.training.device import DistributedContext
from raykd.training.terms import CHECK_STEPS, LossTracker, shares, step_of, totals
from tests.ranks import on_ranks

CPU = torch.device("cpu")
ALONE = DistributedContext(0, 1, CPU)


class Noted:
    """A loss tracker that takes plain numbers; ranks go through `shares` as in the loop."""

    def __init__(self, world: DistributedContext = ALONE) -> None:
        self.loss_tracker, self.world, self.steps = LossTracker(world), world, 0

    def add(self, metrics=None, takes_part=True, **terms):
        actual = LossTerms(
            {n: _scalar(v) for n, v in (metrics or {}).items()},
            **{n: _scalar(v) for n, v in terms.items()},
        )
        self.steps += 1
        step = step_of(actual, 1, takes_part=takes_part, device=CPU)
        every = torch.stack([*actual.values(), *actual.metrics.values()])
        counted = totals(step, self.world)
        if self.world.size > 1:
            every = every * shares(step, counted, self.world)
        self.loss_tracker.add(step, counted, every, self.steps)
        return self

    def means(self):
        return self.loss_tracker.means(self.steps)


def _scalar(value):
    return value if isinstance(value, Mean) else torch.tensor(float(value))


def mean(value, count):
    return Mean(torch.tensor(float(value)), count)


def test_means_since_the_last_call():
    noted = Noted().add(task=1, soft=10).add(task=2, soft=10)
    assert noted.means() == {"loss": 11.5, "task": 1.5, "soft": 10.0}
    noted.add(task=5, soft=0)
    assert noted.means() == {"loss": 5.0, "task": 5.0, "soft": 0.0}
    assert noted.means() == {}


def test_means_over_more_steps_than_are_kept():
    noted, count = Noted(), 2 * CHECK_STEPS + 3
    for step in range(1, count + 1):
        noted.add(task=step)
    assert noted.means()["task"] == (count + 1) / 2


@pytest.mark.parametrize(("value", "word"), [(float("nan"), "NaN"), (float("inf"), "infinite")])
def test_the_first_bad_step_is_named(value, word):
    noted = Noted()
    for step in range(1, 8):
        noted.add(task=1, soft=value if step >= 5 else 1.0)
    with pytest.raises(TrialError, match=rf"loss became {word} at step 5 \(term 'soft'\)"):
        noted.means()


def test_a_bad_step_is_found_within_a_long_epoch():
    noted = Noted()
    for step in range(1, CHECK_STEPS):
        noted.add(task=1.0 if step < 3 else float("nan"))
    with pytest.raises(TrialError, match="at step 3 "):
        noted.add(task=1)


def test_a_term_that_is_absent_from_a_step_is_no_part_of_its_mean():
    noted = Noted().add(task=1, rationale=4).add(task=3).add(rationale=6, task=2)
    # Of the loss it is: 5, 3 and 8.
    assert noted.means() == pytest.approx({"loss": 16 / 3, "task": 2.0, "rationale": 5.0})


def test_a_term_that_counts_nothing_in_a_step_is_as_one_that_is_absent():
    noted = Noted().add(task=1, rationale=mean(4, 7)).add(task=3, rationale=mean(0, 0))
    assert noted.means() == {"loss": 4.0, "task": 2.0, "rationale": 4.0}
    assert Noted().add(task=1, rationale=mean(0, 0)).means() == {"loss": 1.0, "task": 1.0}


def test_terms_may_come_and_go_and_change_places_between_looks():
    noted = Noted().add(task=1, soft=2)
    assert noted.means() == {"loss": 3.0, "task": 1.0, "soft": 2.0}
    noted.add(hidden=5).add({"seen": 7}, soft=1, hidden=2).add({"soft": 4}, hidden=2)
    actual = noted.means()
    # `soft` was a term once, and once only a metric.
    assert actual == pytest.approx({"loss": 10 / 3, "hidden": 3.0, "soft": 2.5, "seen": 7.0})


def test_what_is_watched_is_no_part_of_the_loss():
    assert Noted().add({"similar": 5}, task=1).means() == {"loss": 1.0, "task": 1.0, "similar": 5.0}


def test_the_logged_loss_is_the_sum_also_where_a_term_has_its_name():
    noted = Noted().add({"task": 1, "distil": 1}, loss=2, sinkhorn=3)
    assert noted.means() == {"loss": 5.0, "sinkhorn": 3.0, "task": 1.0, "distil": 1.0}


def over_ranks(size, per_rank):
    """What is logged of one step, on every rank."""
    return on_ranks(size, lambda world: Noted(world).add(**per_rank[world.rank]).means())


def test_a_term_is_the_mean_over_all_that_the_ranks_counted():
    one, two = over_ranks(2, [{"task": mean(3, 1), "soft": 4.0}, {"task": mean(1, 9), "soft": 8.0}])
    # One token of loss 3 and nine of loss 1; the other term counts a row on each rank.
    assert one == two == pytest.approx({"loss": 7.2, "task": 1.2, "soft": 6.0})


def test_a_rank_without_anything_to_count_has_no_influence():
    actual = over_ranks(3, [{"task": mean(3, 2)}, {"task": mean(0, 0)}, {"task": mean(6, 1)}])
    assert actual[0] == pytest.approx({"loss": 4.0, "task": 4.0})


def test_a_rank_without_rows_counts_only_what_is_not_of_the_batch():
    def run(world):
        kept = Mean(torch.tensor(float(world.rank)), 1, of_batch=False)
        return (
            Noted(world).add(task=7.0 + world.rank, kept=kept, takes_part=world.rank == 0).means()
        )

    assert on_ranks(2, run)[1] == pytest.approx({"loss": 7.5, "task": 7.0, "kept": 0.5})


def test_a_term_that_no_rank_counts_is_zero_and_not_logged():
    actual = over_ranks(2, [{"task": 1, "rationale": mean(0, 0)}] * 2)
    assert actual[0] == {"loss": 1.0, "task": 1.0}


def test_more_terms_than_a_step_can_have_are_refused():
    many = {f"t{k}": 1.0 for k in range(70)}
    with pytest.raises(TrialError, match="70 loss terms"):
        over_ranks(2, [many, many])


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(0, 40), min_size=1, max_size=7),
    st.integers(1, 5),
    st.randoms(use_true_random=False),
)
def test_the_share_of_every_item_is_the_same_however_items_lie_on_ranks(lengths, size, random):
    """The mean over tokens, one over their number for each of them, whoever holds it."""
    values = [[random.uniform(-1, 1) for _ in range(n)] for n in lengths]
    everything = [v for row in values for v in row]

    def run(world):
        own = [v for row in values[world.rank :: size] for v in row]
        terms = LossTerms(t=Mean(torch.tensor(sum(own) / max(len(own), 1)), len(own)))
        step = step_of(terms, 1, takes_part=world.rank < len(lengths), device=CPU)
        return float(terms["t"] * shares(step, totals(step, world), world)[0])

    expected = sum(everything) / max(len(everything), 1)
    assert sum(on_ranks(size, run)) / size == pytest.approx(expected, abs=1e-5)
