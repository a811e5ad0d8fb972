"""The thread that feeds a logger: order, failures, a slow one, and continuing after a kill."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from raykd.loggers.base import LoggedTrial, Logger, Memory, Scores, Sweep, SweepEnd, TrialEnd
from raykd.loggers.delivery import LoggerDelivery
from raykd.loggers.feed import LoggerFeed
from raykd.results.logger_record import LoggerRecord
from tests.unit.loggers.test_feed import finished, report, started

SOON_S = 5.0


class Keeping(Logger[None]):
    """Keeps what it receives, as steps; fails or waits where it is made to."""

    def __init__(self, fails: Callable[[Any], None] = lambda message: None) -> None:
        sweep = Sweep(name="s", run="s-1", folder=Path("/nowhere"), settings={})
        super().__init__(None, sweep)
        self.kept: list[Any] = []
        self.flushed = 0
        self.received: Memory | None = None
        self.fails = fails

    def connect(self, memory: Memory) -> None:
        self.received = memory
        self.fails("open")

    def _take(self, message: Any) -> None:
        self.fails(message)
        self.kept.append(getattr(message, "step", "start"))

    def trial_started(self, trial: LoggedTrial) -> None:
        self._take(trial)

    def scores(self, scores: Scores) -> None:
        self._take(scores)

    def trial_finished(self, end: TrialEnd) -> None:
        self._take(end)

    def sweep_finished(self, end: SweepEnd) -> None:
        self._take(end)

    def flush(self) -> None:
        self.flushed = len(self.kept)

    def memory(self) -> Memory:
        return {"flushed": self.flushed}


def end(delivery: LoggerDelivery, limit_s: float = SOON_S) -> LoggerRecord:
    delivery.end()
    return delivery.finish(limit_s)


class Bench:
    """An event log, and deliveries of it one after the other."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "events.jsonl"
        self.log.touch()
        self.state = folder / "keeping.json"
        self.warnings: list[str] = []

    def write(self, *events: dict[str, Any]) -> None:
        with self.log.open("a") as file:
            file.writelines(json.dumps(event) + "\n" for event in events)

    def open(self, logger: Logger[Any], backoff_s: tuple[float, ...] = (0.01, 0.01)) -> Any:
        delivery = LoggerDelivery(
            "keeping", lambda: logger, self.log, LoggerFeed(with_steps=True), self.state,
            self.warnings.append, backoff_s,
        )  # fmt: skip
        delivery.start()
        return delivery

    def all(self, logger: Logger[Any]) -> LoggerRecord:
        return end(self.open(logger))


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def test_everything_is_reported_in_order_also_what_comes_later(bench):
    logger = Keeping()
    bench.write(started(), report(1))
    delivery = bench.open(logger)
    until = time.monotonic() + SOON_S
    while logger.flushed < 2 and time.monotonic() < until:
        time.sleep(0.005)
    bench.write(report(2), finished())
    delivery.wake()
    record = end(delivery)
    assert logger.kept == ["start", 1, 2, 2]
    assert (record.sent, record.unsent, record.why) == (4, 0, "")


def test_a_call_that_fails_is_made_again(bench):
    failures = iter([ConnectionError("down"), ConnectionError("down")])

    def fails(message):
        if isinstance(message, Scores) and (failure := next(failures, None)):
            raise failure

    bench.write(started(), report(1), finished())
    logger = Keeping(fails)
    record = bench.all(logger)
    assert logger.kept == ["start", 1, 1]
    assert (record.unsent, bench.warnings) == (0, [])


def test_one_that_stays_down_is_switched_off_once_and_told_the_rest_when_resumed(bench):
    def fails(message):
        if isinstance(message, Scores) and message.step == 2:
            raise ConnectionError("http://me:hunter2@host/?api_key=hunter2 refused\nmore")

    bench.write(started(), report(1), report(2), report(3), finished())
    record = bench.all(Keeping(fails))
    why = "ConnectionError: http://***@host/?api_key=*** refused"
    assert bench.warnings == [why]
    assert (record.sent, record.unsent, record.why) == (2, 3, why)

    bench.write(started(trial_id="b"))
    logger = Keeping()
    record = bench.all(logger)
    assert logger.kept[-4:] == [2, 3, 3, "start"]
    assert (record.unsent, record.why) == (0, "")


@pytest.mark.parametrize("failure", [RuntimeError("no server"), SystemExit(1)])
def test_one_that_cannot_be_opened_says_why(bench, failure):
    def fails(message):
        raise failure

    bench.write(started(), report(1))
    record = bench.all(Keeping(fails))
    assert (record.place, record.sent, record.unsent) == ("", 0, 2)
    assert record.why.startswith(type(failure).__name__)
    assert bench.warnings == [record.why]


def test_a_slow_logger_holds_nobody_up(bench):
    held = threading.Event()

    def fails(message):
        if isinstance(message, Scores):
            held.wait(SOON_S)

    bench.write(started(), report(1), report(2), finished())
    delivery = bench.open(Keeping(fails))
    began = time.monotonic()
    for _ in range(1000):
        delivery.wake()
    assert time.monotonic() - began < 0.5
    record = end(delivery, 0.05)
    held.set()
    assert time.monotonic() - began < SOON_S
    assert (record.sent, record.unsent) == (1, 3)
    assert record.why


def test_a_new_driver_continues_where_the_last_flush_was(bench):
    bench.write(started(), report(1), report(2))
    first = Keeping()
    assert bench.all(first).sent == 3
    bench.write(started(), report(1), report(2), report(3), finished())  # as after a kill
    second = Keeping()
    record = bench.all(second)
    assert first.received == {}
    assert second.received == {"flushed": 3}
    assert second.kept == [3, 3]
    assert record.sent == 5


def test_lines_that_were_cut_are_passed_over(bench):
    bench.write(started())
    with bench.log.open("a") as file:
        file.write('{"event": "trial_re\n')
    bench.write(report(1))
    with bench.log.open("a") as file:
        file.write('{"event": "trial_report"')
    logger = Keeping()
    bench.all(logger)
    assert logger.kept == ["start", 1]


def test_the_state_of_an_earlier_raykd_is_understood(bench):
    bench.write(started(), report(1))
    bench.all(Keeping())
    state = json.loads(bench.state.read_text())
    assert state.pop("sent") == 2
    bench.state.write_text(json.dumps(state | {"told": 2}))
    logger = Keeping()
    assert bench.all(logger).sent == 2
    assert logger.kept == []


def test_a_state_that_cannot_be_read_begins_anew(bench):
    bench.write(started(), report(1))
    bench.state.write_text('{"read": 3')
    logger = Keeping()
    bench.all(logger)
    assert (logger.received, logger.kept) == ({}, ["start", 1])
