"""The time of a row: its median alone, and next to another model that takes turns."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from raykd.training import latency
from raykd.training.device import DistributedContext
from raykd.training.inference import InferenceSetup
from raykd.training.latency import TimedModel, latencies_by_turns, latency_ms
from raykd.training.settings import TrainSettings
from tests.unit.training.toys import COLLATOR, CPU, bert, encoded

WORLD = DistributedContext(0, 1, CPU)


def test_latency_is_the_median_time_of_single_rows_after_a_warm_up(monkeypatch):
    rows: list[int] = []
    clock = itertools.count()

    def collate(encoded, numbers):
        assert len(numbers) == 1
        rows.append(int(numbers[0]))
        if len(rows) <= latency.LATENCY_WARMUP:
            next(clock)  # the first ones are slower
        return COLLATOR(encoded, numbers)

    monkeypatch.setattr(latency.time, "perf_counter", lambda: next(clock) / 1e3)
    actual = latency_ms(
        bert(), encoded(5), InferenceSetup(TrainSettings(precision="fp32"), collate, WORLD)
    )
    assert actual == pytest.approx(1.0)
    assert len(rows) == latency.LATENCY_WARMUP + latency.LATENCY_ROWS
    assert set(rows) == set(range(5))


class Clock:
    """Stands still but where a model reads a row, which takes a time of its own."""

    def __init__(self):
        self.now = 0.0
        self.read = []

    def timed(self, name, row_s, rows):
        """A model that needs `row_s` for a row, and twice that for the first one of a turn."""

        def collate(encoded, numbers):
            is_first = not self.read or self.read[-1][0] != name
            self.now += row_s * (2 if is_first else 1)
            self.read.append((name, int(numbers[0])))
            return COLLATOR(encoded, numbers)

        settings = TrainSettings(precision="fp32")
        return TimedModel(bert(), rows, InferenceSetup(settings, collate, WORLD))


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(latency.time, "perf_counter", lambda: made.now)
    return made


def test_two_models_take_turns_and_what_warms_up_does_not_count(clock):
    rows = encoded(37)
    slow, fast = clock.timed("slow", 0.004, rows), clock.timed("fast", 0.001, rows)
    times = latencies_by_turns(slow, fast)
    assert len(times) == latency.TURNS
    assert [ms for turn in times for ms in turn.one] == pytest.approx([4.0] * latency.LATENCY_ROWS)
    assert [ms for turn in times for ms in turn.other] == pytest.approx(
        [1.0] * latency.LATENCY_ROWS
    )
    turns = [name for name, _ in itertools.groupby(clock.read, lambda pair: pair[0])]
    assert turns == ["slow", "fast"] * latency.TURNS
    # Each turn of both reads the same rows, and these reach from short to long.
    lengths = rows.lengths()
    size = latency.LATENCY_ROWS // latency.TURNS + latency.TURN_WARMUP
    for begin in range(0, len(clock.read), 2 * size):
        one, two = ([row for _, row in clock.read[begin + k : begin + k + size]] for k in (0, size))
        assert one == two
        spread = lengths[one]
        assert spread.max() - spread.min() > (lengths.max() - lengths.min()) / 2


def test_slow_models_have_fewer_turns_and_one_at_least(clock):
    rows = encoded(37)
    slow, fast = clock.timed("slow", 1.0, rows), clock.timed("fast", 0.5, rows)
    (turn,) = latencies_by_turns(slow, fast)
    size = latency.LATENCY_ROWS // latency.TURNS
    assert len(turn.one) == len(turn.other) == size
    assert (turn.one[0], turn.other[0]) == (1000.0, 500.0)
    # One turn stands for all rows: it has some of the shortest and of the longest fifth of them.
    ranks = np.argsort(np.argsort(rows.lengths(), kind="stable"), kind="stable")
    timed = sorted(ranks[[row for _, row in clock.read[-size:]]])
    assert timed[0] < 37 / 5
    assert timed[-1] >= 37 * 4 / 5
    assert abs(np.mean(timed) - 18) < 1.5


@pytest.mark.parametrize("turns", range(1, latency.TURNS + 1))
def test_however_many_turns_there_are_their_rows_are_as_long_as_all_are(clock, turns):
    rows = encoded(37)
    per_turn = latency.LATENCY_ROWS // latency.TURNS + latency.TURN_WARMUP
    row_s = 1.0 / (per_turn + 1)  # the first row takes twice as long
    slow, fast = clock.timed("slow", row_s, rows), clock.timed("fast", 1e-9, rows)
    assert len(latencies_by_turns(slow, fast, longest_s=turns - 0.5)) == turns
    ranks = np.argsort(np.argsort(rows.lengths(), kind="stable"), kind="stable")
    read = {row for _, row in clock.read}
    assert abs(np.mean(ranks[list(read)]) - 18) < 1.5
