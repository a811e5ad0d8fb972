"""Whoever lost a job is stopped, also in a loop that never reports."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest
import ray

from raykd.trial.coordinator import GO, STOP
from raykd.trial.heartbeat import HUNG_EXIT, UNANSWERED, Heartbeat, JobLost, TimeLimit

EVERY_S = 0.05


class Answers:
    """What the coordinator says: to continue, until it is to stop, then that at once."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.asked = 0

    def __call__(self, timeout_s: float) -> str:
        self.asked += 1
        return STOP if self.stop.wait(timeout_s) else GO


def stop_soon(answers, after_s=0.1):
    timer = threading.Timer(after_s, answers.stop.set)
    timer.start()
    return timer


def for_ever():
    while True:
        pass


def test_a_job_that_is_not_lost_is_not_disturbed():
    answers = Answers()
    with (
        Heartbeat(answers, interrupts=True, every_s=EVERY_S) as heartbeat,
        heartbeat.interruptible(),
    ):
        time.sleep(4 * EVERY_S)
    assert answers.asked >= 3


def test_the_first_sign_of_life_comes_at_once():
    answers = Answers()
    with Heartbeat(answers, interrupts=True, every_s=60.0):
        time.sleep(0.05)
        assert answers.asked == 1
        answers.stop.set()


@pytest.mark.parametrize("failures", [1, 3])
def test_a_question_that_fails_ends_nothing(failures):
    asked = []

    def ask(timeout_s):
        asked.append(timeout_s)
        if len(asked) <= failures:
            raise ray.exceptions.RaySystemError("x")
        return STOP if len(asked) == failures + 2 else GO

    with (
        Heartbeat(ask, interrupts=True, every_s=EVERY_S) as heartbeat,
        pytest.raises(JobLost),
        heartbeat.interruptible(),
    ):
        time.sleep(5)
    assert len(asked) >= failures + 2


def test_a_job_that_nobody_answers_for_is_lost():
    def ask(timeout_s):
        raise ray.exceptions.RaySystemError("x")

    began = time.monotonic()
    with (
        Heartbeat(ask, interrupts=True, every_s=EVERY_S) as heartbeat,
        pytest.raises(JobLost),
        heartbeat.interruptible(),
    ):
        for_ever()
    assert time.monotonic() - began >= (UNANSWERED - 1) * EVERY_S


def test_the_time_of_a_job_is_up_also_where_saying_so_fails_at_first():
    answers, said = Answers(), []

    def passed(stack):
        said.append(stack)
        if len(said) == 1:
            raise ray.exceptions.RaySystemError("x")
        answers.stop.set()

    limit = TimeLimit(seconds=0.1, passed=passed, hung=print)
    with (
        Heartbeat(answers, interrupts=True, every_s=EVERY_S, limit=limit) as heartbeat,
        pytest.raises(JobLost),
        heartbeat.interruptible(),
    ):
        for_ever()
    assert len(said) == 2


def test_a_loop_that_never_reports_is_interrupted():
    answers = Answers()
    stop_soon(answers)
    began = time.monotonic()
    with Heartbeat(answers, interrupts=True, every_s=EVERY_S) as heartbeat:
        with pytest.raises(JobLost), heartbeat.interruptible():
            for_ever()
        # Code after it runs as ever.
        assert sum(range(100_000)) == 4_999_950_000
    assert time.monotonic() - began < 5


def test_code_that_swallows_it_is_interrupted_again():
    answers = Answers()
    stop_soon(answers)
    swallowed = []

    def stubborn():
        while True:
            try:
                for_ever()
            except BaseException as exc:
                swallowed.append(exc)
                if len(swallowed) == 2:
                    raise

    heartbeat = Heartbeat(answers, interrupts=True, every_s=EVERY_S)
    with heartbeat, pytest.raises(JobLost), heartbeat.interruptible():
        stubborn()
    assert len(swallowed) == 2


def test_an_exception_of_the_job_stays_what_it_is():
    with (
        Heartbeat(Answers(), interrupts=True, every_s=EVERY_S) as heartbeat,
        pytest.raises(ZeroDivisionError),
        heartbeat.interruptible(),
    ):
        _ = 1 / 0


def test_what_is_lost_before_it_begins_does_not_begin():
    answers = Answers()
    answers.stop.set()
    with Heartbeat(answers, interrupts=True, every_s=EVERY_S) as heartbeat:
        time.sleep(0.1)
        with pytest.raises(JobLost), heartbeat.interruptible():
            pytest.fail("it began")


def test_one_of_several_ranks_is_not_interrupted():
    answers = Answers()
    answers.stop.set()
    with (
        Heartbeat(answers, interrupts=False, every_s=EVERY_S) as heartbeat,
        heartbeat.interruptible(),
    ):
        time.sleep(4 * EVERY_S)
    assert answers.asked >= 3, "it stays alive until its next report"


def test_many_jobs_that_end_as_they_are_lost_leave_nothing_behind():
    """An interrupt that comes as the job ends hits the job or nothing, never what follows."""
    for k in range(200):
        answers = Answers()
        stop_soon(answers, after_s=k / 100_000)
        with Heartbeat(answers, interrupts=True, every_s=EVERY_S) as heartbeat:
            try:
                with heartbeat.interruptible():
                    sum(range(k * 50))
            except JobLost:
                continue
            sum(range(1000))


def waits_here():
    while True:
        time.sleep(0.01)


def test_a_job_that_takes_too_long_is_reported_with_where_it_was():
    answers, reported = Answers(), []

    def passed(stack):
        reported.append(stack)
        answers.stop.set()

    limit = TimeLimit(seconds=0.2, passed=passed, hung=reported.append)
    began = time.monotonic()
    with (
        Heartbeat(answers, interrupts=True, every_s=5.0, limit=limit) as heartbeat,
        pytest.raises(JobLost),
        heartbeat.interruptible(),
    ):
        waits_here()
    assert 0.2 <= time.monotonic() - began < 5
    (stack,) = reported
    assert "in waits_here" in stack


def test_a_job_within_its_limit_is_not_disturbed():
    reported = []
    limit = TimeLimit(seconds=5.0, passed=reported.append, hung=reported.append)
    with (
        Heartbeat(Answers(), interrupts=True, every_s=EVERY_S, limit=limit) as heartbeat,
        heartbeat.interruptible(),
    ):
        time.sleep(4 * EVERY_S)
    assert not reported


HANGS = """
import threading, time
from raykd.trial.coordinator import STOP
from raykd.trial.heartbeat import Heartbeat, TimeLimit

def never_returns():
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()  # in C, without an end: no exception gets in

def hung(stack):
    print(stack, flush=True)
    raise OSError("nobody hears it")

limit = TimeLimit(seconds=None, passed=print, hung=hung, hung_s=0.3)

def ask(timeout_s):
    time.sleep(0.3)  # after the code has begun
    return STOP

with Heartbeat(ask, interrupts=True, every_s=0.1, limit=limit) as heartbeat:
    with heartbeat.interruptible():
        never_returns()
"""


def test_a_process_whose_code_never_comes_back_is_ended_with_where_it_was():
    done = subprocess.run(
        [sys.executable, "-c", HANGS], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == HUNG_EXIT, done.stderr
    assert "in never_returns" in done.stdout
