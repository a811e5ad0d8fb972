"""Slots that fall silent are reported once, and a second time where they stay silent."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from raykd.trial import signs_of_life
from raykd.trial.signs_of_life import HUNG, HUNG_SILENCES, SILENT, SignsOfLife

SILENCE_S = 30.0


@pytest.fixture
def clock(monkeypatch):
    now = [1_000.0]
    monkeypatch.setattr(signs_of_life, "time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


def later(clock, seconds, signs):
    clock[0] += seconds
    return list(signs.news())


def test_a_slot_is_silent_and_then_hung(clock):
    signs = SignsOfLife(SILENCE_S)
    signs.heard(0)
    assert later(clock, SILENCE_S - 1, signs) == []
    assert later(clock, 2, signs) == [(0, SILENT)]
    assert later(clock, 2, signs) == []
    assert later(clock, HUNG_SILENCES * SILENCE_S, signs) == [(0, HUNG)]
    assert later(clock, 10 * HUNG_SILENCES * SILENCE_S, signs) == []


def test_one_that_is_heard_again_is_told_anew(clock):
    signs = SignsOfLife(SILENCE_S)
    for _ in range(3):
        signs.heard(0)
        assert later(clock, SILENCE_S + 1, signs) == [(0, SILENT)]
    signs.heard(0)
    assert later(clock, SILENCE_S - 1, signs) == []


def test_nothing_is_expected_of_one_that_ended(clock):
    signs = SignsOfLife(SILENCE_S)
    signs.heard(0)
    signs.heard(1)
    signs.forget(0)
    assert later(clock, SILENCE_S + 1, signs) == [(1, SILENT)]
