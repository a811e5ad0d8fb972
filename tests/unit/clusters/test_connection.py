"""Connecting to a cluster: what Ray replaces meanwhile."""

from __future__ import annotations

import contextlib
import os
import signal
import sys

import pytest
import ray

from raykd.clusters import connection
from raykd.errors import SetupError


@pytest.fixture
def stopped():
    """Signals that a handler of raykd's got."""
    numbers = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: numbers.append(number))
    yield numbers
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("fails", [False, True])
def test_a_sigterm_while_ray_connects_is_handled_as_ever(stopped, monkeypatch, fails):
    def init(**options: object) -> None:
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(number))  # as Ray does
        os.kill(os.getpid(), signal.SIGTERM)
        assert stopped == []
        if fails:
            raise ConnectionError("no answer")

    monkeypatch.setattr(ray, "init", init)
    own = signal.getsignal(signal.SIGTERM)
    ends = pytest.raises(SetupError) if fails else contextlib.nullcontext()
    with ends, connection._own_handlers():
        connection._connect("127.0.0.1:1")
    assert stopped == [signal.SIGTERM]
    assert signal.getsignal(signal.SIGTERM) is own
    os.kill(os.getpid(), signal.SIGTERM)
    assert len(stopped) == 2
