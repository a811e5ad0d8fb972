from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from raykd.teachers import digest as digests
from raykd.teachers.digest import NOT_DECISIVE, closure, code_digest, digest

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class One:
    x: int = 1


@dataclass(frozen=True)
class Two:
    x: int = 1


SAME = {
    "numbers that are equal": (1, 1.0),
    "the order of a mapping": ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    "a list and a tuple": ([1, "2"], (1, "2")),
    "numbers of numpy": (np.int64(3), 3),
    "arrays by their values": (np.arange(4), np.arange(8)[::2] // 2),
}
DIFFERENT = {
    "a number and its text": (1, "1"),
    "truth and one": (True, 1),
    "nothing and its name": (None, "None"),
    "two texts or one": (["ab", "c"], ["a", "bc"]),
    "nesting": ([[1], 2], [1, [2]]),
    "values": ({"a": 1}, {"a": 2}),
    "names": ({"a": 1}, {"b": 1}),
    "types of records": (One(), Two()),
    "types of arrays": (np.zeros(2, np.float32), np.zeros(2, np.int32)),
    "shapes": (np.zeros((2, 3)), np.zeros((3, 2))),
    "one bit": (1.0, math.nextafter(1.0, 2.0)),
    "signs of infinity": (math.inf, -math.inf),
    "keys 0 and '0'": ({0: "a"}, {"0": "a"}),
}


@pytest.mark.parametrize("pair", SAME)
def test_equal_values_have_equal_digests(pair):
    one, two = SAME[pair]
    assert digest(one) == digest(two)


@pytest.mark.parametrize("pair", DIFFERENT)
def test_different_values_have_different_digests(pair):
    one, two = DIFFERENT[pair]
    assert digest(one) != digest(two)


@pytest.mark.parametrize("value", [math.nan, np.zeros(0), np.zeros((0, 3)), "\ud800", 10**400, ""])
def test_odd_values_have_one(value):
    assert len(digest(value, digits=12)) == 12


def test_what_has_no_fixed_form_is_refused():
    with pytest.raises(TypeError, match="set"):
        digest({1, 2})


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Writes a module of one's own and gives the digest of its code."""
    monkeypatch.syspath_prepend(tmp_path)

    def of(name: str, text: str) -> str:
        (tmp_path / f"{name}.py").write_text(text)
        digests._code.cache_clear()
        digests._code_digest.cache_clear()
        return code_digest(name)

    return of


def test_comments_docstrings_and_layout_do_not_count_and_code_does(module):
    one = module("mine_a", '"""Text."""\ndef f(x):\n    """More."""\n    return x + 1\n')
    # The name of a module counts, so each version is written under the same one.
    same = module("mine_a", "# hello\ndef f( x ):\n\n    return x+1  # why\n")
    other = module("mine_a", "def f(x):\n    return x + 2\n")
    assert one == same != other


def test_code_counts_with_what_it_imports_of_raykd():
    actual = closure(["raykd.teachers.finetune"])
    for name in ("training.loop", "training.optim", "training.batches", "training.device",
                 "training.seeding", "training.settings", "data.collate", "models.dropout",
                 "training.vocab_subset", "losses.vocabulary", "models.forward"):  # fmt: skip
        assert f"raykd.{name}" in actual
    assert not actual & set(NOT_DECISIVE)
    # Who prepares, serves and reports has no say in how a teacher is trained.
    layers = {name.split(".")[1] for name in actual if "." in name}
    assert layers <= {
        "training", "models", "data", "losses", "methods", "teachers", "private_api"
    }  # fmt: skip
    assert {n for n in actual if n.startswith("raykd.teachers")} <= {
        "raykd.teachers", "raykd.teachers.finetune"
    }  # fmt: skip


def test_recording_counts_with_all_that_makes_parts():
    actual = closure(["raykd.teachers.prepare"])
    for name in (
        "recording",
        "scoring",
        "teacher_text",
        "teacher_variants",
        "student_init",
        "vocab_cache.hidden",
        "vocab_cache.signal",
    ):
        assert f"raykd.teachers.{name}" in actual


def test_a_changed_import_changes_the_digest(module, monkeypatch):
    before = module("mine_b", "from raykd.models.signals import ragged\n")
    alone = module("mine_c", "import os\n")
    original = digests._code

    def changed(name: str):
        return ("other", ()) if name == "raykd.models.signals.ragged" else original(name)

    monkeypatch.setattr(digests, "_code", changed)
    digests._code_digest.cache_clear()
    assert code_digest("mine_b") != before
    assert code_digest("mine_c") == alone
