"""A job that makes no progress is spoken of: since when, where it is, what to do."""

from __future__ import annotations

import threading
import time

import pytest

from raykd.training.pace import Pace
from raykd.trial.coordinator import GO
from raykd.trial.heartbeat import Heartbeat
from raykd.trial.quiet import QuietWatch


def sleeps_here(heard):
    while not heard.is_set():
        time.sleep(0.01)


def test_a_trial_that_sleeps_is_named_with_where_it_is_and_what_to_do():
    said, heard = [], threading.Event()

    def tell(message):
        said.append(message)
        heard.set()

    def ask(timeout_s):
        time.sleep(0.02)
        return GO

    watch = QuietWatch("toy.kd.s001", tell, is_trial=True, quiet_s=0.1, pace=Pace())
    with Heartbeat(ask, interrupts=True, look=watch.look) as heartbeat, heartbeat.interruptible():
        sleeps_here(heard)
    (message,) = said
    assert message.startswith("toy.kd.s001 has made no step for 0.1 s, since ")
    assert "search.trial_time_limit" in message
    assert "in sleeps_here" in message


@pytest.fixture
def clock(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_it_is_reported_again_each_time_it_is_twice_as_long(clock):
    said = []
    watch = QuietWatch("a", said.append, is_trial=True, pace=Pace())
    at = []
    for minute in range(60):
        clock[0] = 1000.0 + 60 * minute
        watch.look(lambda: "")
        at += [minute] * (len(said) - len(at))
    assert at == [5, 10, 20, 40]
    assert "no step for 40 min" in said[-1]


def test_long_steps_are_nothing_special(clock):
    said, pace = [], Pace()
    watch = QuietWatch("a", said.append, is_trial=True, pace=pace)
    for step in range(5):
        clock[0] += 100.0
        pace.made()
        watch.look(lambda: "")
        assert step < 5
    clock[0] += 1999.0
    watch.look(lambda: "")
    assert not said
    clock[0] += 1.0
    watch.look(lambda: "")
    (message,) = said
    assert "the longest step so far took 100.0 s" in message


def test_what_was_before_a_job_is_no_step_of_it(clock):
    pace = Pace()
    clock[0] += 5000.0
    said = []
    watch = QuietWatch("a", said.append, is_trial=True, pace=pace)
    clock[0] += 1.0
    pace.made()
    assert pace.longest == 1.0
    watch.look(lambda: "")
    assert not said


def test_the_longest_step_is_one_of_this_job(clock):
    said, pace = [], Pace()
    QuietWatch("a", said.append, is_trial=True, pace=pace)
    clock[0] += 100.0
    pace.made()
    watch = QuietWatch("b", said.append, is_trial=True, pace=pace)
    clock[0] += 2.0
    pace.made()
    clock[0] += 300.0
    watch.look(lambda: "")
    (message,) = said
    assert message.startswith("b has made no step for 5 min")
    assert "the longest step so far took 2.0 s" in message


@pytest.mark.parametrize("is_trial", [True, False])
def test_the_time_limit_of_trials_is_no_advice_for_other_jobs(clock, is_trial):
    said = []
    watch = QuietWatch("a", said.append, is_trial=is_trial, pace=Pace())
    clock[0] += 300.0
    watch.look(lambda: "here")
    (message,) = said
    assert ("search.trial_time_limit" in message) is is_trial
    assert "Ctrl-C ends the sweep. It is in:\nhere" in message
