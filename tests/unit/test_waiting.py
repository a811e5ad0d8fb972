"""Waits have a name, a limit and a line: for what, since when, what to do."""

from __future__ import annotations

import time

from raykd.waiting import Waiting


def test_a_wait_is_spoken_of_each_time_it_is_twice_as_long_until_its_limit(monkeypatch):
    now, said = [1000.0], []
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    waiting = Waiting("a node", "look at it", said.append, limit_s=1800.0)
    spoken_at = []
    while waiting.still():
        spoken_at += [round((now[0] - 1000) / 60)] * (len(said) - len(spoken_at))
        now[0] += 10.0
    assert now[0] == 2800.0
    assert spoken_at == [1, 2, 4, 8, 16]
    assert said[1].startswith("still waiting for a node, for 2 min (since ")
    assert said[1].endswith(", at most 30 min): look at it")
