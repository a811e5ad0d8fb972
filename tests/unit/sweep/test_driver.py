"""The reported end of a sweep, where an error of its work follows from something else."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from raykd.errors import ClusterLost, SetupError
from raykd.sweep import driver

FOLLOWS = RuntimeError("the actor died")


def raising(exc: Exception) -> Callable[[], None]:
    def look() -> None:
        raise exc

    return look


@pytest.mark.parametrize("lost", [ClusterLost("the raylet has ended"), SetupError("no jobs")])
def test_what_was_lost_ended_the_sweep_and_not_what_follows_from_it(monkeypatch, lost):
    monkeypatch.setattr(driver, "NOTICE_S", 0.0)
    assert driver._cause(FOLLOWS, raising(lost)) is lost
    assert driver._cause(KeyboardInterrupt(), raising(lost)) is lost


@pytest.mark.parametrize("exc", [FOLLOWS, KeyboardInterrupt()])
def test_an_error_of_another_thread_does_not_take_the_place_of_the_first(monkeypatch, exc):
    monkeypatch.setattr(driver, "NOTICE_S", 0.0)
    assert driver._cause(exc, raising(FOLLOWS)) is exc
    assert driver._cause(exc, raising(KeyError("kind"))) is exc


@pytest.mark.parametrize("exc", [FOLLOWS, KeyboardInterrupt()])
def test_where_nothing_is_lost_it_is_the_error_itself(monkeypatch, exc):
    monkeypatch.setattr(driver, "NOTICE_S", 0.0)
    assert driver._cause(exc, lambda: None) is exc
