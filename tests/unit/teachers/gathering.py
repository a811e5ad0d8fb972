"""Reads recordings in tests: signals of some rows, by layer or block."""

from __future__ import annotations

from raykd.models.signals.attention_maps import AttentionMap
from raykd.models.signals.hidden_states import HiddenState
from raykd.models.signals.logits import Logits


def states_of(recorded, rows, length, layers):
    return {k: recorded.gather(HiddenState(k), rows, length=length) for k in layers}


def maps_of(recorded, rows, length, blocks):
    return {k: recorded.gather(AttentionMap(k), rows, length=length) for k in blocks}


def logits_of(recorded, rows, length=0):
    return recorded.gather(Logits(), rows, length=length)


def tokens_of(recorded, rows):
    (signal,) = (s for s in recorded.signals if s.kind == "tokens")
    return recorded.gather(signal, rows, length=0)
