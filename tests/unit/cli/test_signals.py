"""The first signal stops a sweep, wherever it arrives."""

from __future__ import annotations

import os
import signal
import sys
import time
import weakref

import pytest

from raykd.cli.signals import Signals
from raykd.errors import Stopped

LONG_S = 30.0


class Deleted:
    """Something that is deleted."""


def delete_and_wait(number: int) -> None:
    target = Deleted()
    watched = weakref.ref(target, lambda gone: os.kill(os.getpid(), number))
    del target
    assert watched() is None  # what was raised in there reached nobody
    until = time.monotonic() + LONG_S
    while time.monotonic() < until:
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_that_arrives_while_an_object_is_deleted_is_not_lost(number, capsys):
    before = signal.getsignal(number), sys.unraisablehook
    with pytest.raises(Stopped) as stopped, Signals(lambda: "no last words"):
        delete_and_wait(number)
    assert stopped.value.exit_code == 128 + number
    assert capsys.readouterr().err == ""
    assert (signal.getsignal(number), sys.unraisablehook) == before


def test_other_errors_that_reach_nobody_are_told_as_ever(monkeypatch):
    told = []
    monkeypatch.setattr(sys, "unraisablehook", lambda lost: told.append(lost.exc_value))
    with Signals(lambda: ""):
        target = Deleted()
        watched = weakref.ref(target, lambda gone: 1 / 0)
        del target
        assert watched() is None
    (error,) = told
    assert isinstance(error, ZeroDivisionError)
