from __future__ import annotations

from dataclasses import replace

import pytest

from raykd.methods.base import Setting
from raykd.models.base import Anatomy
from raykd.spec import arms
from raykd.spec.arms import combinations, refusals, union_signals
from raykd.spec.load import load_spec
from tests.unit.spec.files import ARMS, HEAD, write

TEACHER = Anatomy(layers=4, hidden=8, heads=2, vocabulary=100)
STUDENT = Anatomy(layers=2, hidden=4, heads=2, vocabulary=100)
SETTING = Setting(teacher=TEACHER, student=STUDENT, kind="classification", num_labels=3)


def spec_of(folder, arm: str):
    return load_spec(write(folder, HEAD + ARMS + arm))


def test_choices_are_enumerated_numbers_stand_at_their_high_end(tmp_path):
    spec = spec_of(
        tmp_path,
        "    alpha: {uniform: [0.1, 0.9]}\n    window: {choice: [3, null]}\n    scale: 2\n",
    )
    assert list(combinations(spec.methods["one"])) == [
        {"scale": 2, "alpha": 0.9, "window": 3},
        {"scale": 2, "alpha": 0.9, "window": None},
    ]


def test_conditional_parameters_are_there_only_when_active(tmp_path):
    spec = spec_of(
        tmp_path,
        "    angles: {choice: [true, false]}\n"
        "    wrangle: {choice: [2, 3], when: {angles: true}}\n"
        "    scale: {uniform: [1, 2], when: {wrangle: 2}}\n",
    )
    assert list(combinations(spec.methods["one"])) == [
        {"angles": True, "wrangle": 2, "scale": 2.0},
        {"angles": True, "wrangle": 3},
        {"angles": False},
        {"angles": False},
    ]


def test_the_union_covers_every_combination(tmp_path):
    arm = """\
    layers: {choice: [last, none]}
    angles: {choice: [false, true]}
    wrangle: {uniform: [0.5, 2], when: {angles: true}}
"""
    union = union_signals(spec_of(tmp_path, arm), SETTING)
    assert union.logits
    assert union.hidden_states == (4,)
    assert union.attentions == (0,)


def test_nothing_is_served_that_no_trial_reads(tmp_path):
    union = union_signals(spec_of(tmp_path, "    layers: none\n"), SETTING)
    assert union.hidden_states == ()
    assert union.attentions == ()


def test_too_many_combinations_count_with_all_a_method_may_read(tmp_path, monkeypatch):
    monkeypatch.setattr(arms, "MAX_COMBINATIONS", 1)
    spec = spec_of(tmp_path, "    layers: {choice: [none, last]}\n")
    assert union_signals(spec, SETTING).hidden_states == "all"


@pytest.mark.parametrize(("layers", "refused"), [("last", True), ("none", False)])
def test_hidden_states_need_the_same_tokens(tmp_path, layers, refused):
    spec = spec_of(tmp_path, f"    layers: {layers}\n")
    found = refusals(spec, replace(SETTING, same_tokens=False))
    assert [label for label, _ in found] == (["one"] if refused else [])
    assert all("split text differently" in reason for _, reason in found)
    assert refusals(spec, SETTING) == []
