"""Sweeps that are killed and resumed end as one that was left alone (20 kills)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.chaos.campaign import Campaign, Outcome, campaign

SEED = 19

pytestmark = pytest.mark.timeout(3600)  # each wait in a chain has a limit of its own

CHAINS = {
    1: (
        ("driver", "raylet", "worker", "SIGTERM"),
        ("GCS", "all", "worker", "Ctrl-C twice"),
        ("Ctrl-C", "coordinator", "driver", "Ctrl-C three times"),
        ("worker", "Tune's trial", "all", "raylet"),
    ),
    2: (("worker", "driver", "GCS", "Ctrl-C"),),
}
"""What is killed in each chain, by the number of slots."""


@pytest.fixture(scope="module")
def one_slot() -> Iterator[Campaign]:
    with campaign(SEED, 1) as one:
        yield one


@pytest.fixture(scope="module")
def two_slots() -> Iterator[Campaign]:
    with campaign(SEED, 2) as two:
        yield two


def check(outcome: Outcome, kills: int, slots: int) -> None:
    assert [kill for kill in outcome.kills if kill.faults] == []
    assert outcome.difference.nothing, outcome.difference
    assert len(outcome.kills) <= kills
    # A state is kept after every evaluation: at most one is computed again for each slot and kill.
    assert outcome.repeated <= slots * kills


@pytest.mark.slow
@pytest.mark.parametrize("targets", CHAINS[1], ids=" ".join)
def test_with_one_slot(one_slot: Campaign, targets: tuple[str, ...]) -> None:
    check(one_slot.chain(targets), len(targets), 1)


@pytest.mark.slow
@pytest.mark.parametrize("targets", CHAINS[2], ids=" ".join)
def test_with_two_slots(two_slots: Campaign, targets: tuple[str, ...]) -> None:
    check(two_slots.chain(targets), len(targets), 2)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "wait_s"),
    [("raylet", 0.0), ("raylet", 1.0), ("GCS", 0.0), ("GCS", 1.0), ("coordinator", 0.0)],
)
def test_a_cluster_that_is_lost_after_the_end_costs_nothing(
    one_slot: Campaign, target: str, wait_s: float
) -> None:
    folder = one_slot.new_folder()
    kill = one_slot.new_chain(folder).strike_after_the_end(target, wait_s)
    assert (kill.code, kill.faults) == (0, [])
    message = (folder / "said-0.txt").read_text()
    assert "report: " in message
    assert "error" not in message
