from __future__ import annotations

import sys

import pytest

from raykd.data.text_scores import TextMeasure, bleu, chrf, matched, user_score
from raykd.errors import DataError, SpecError

TEXTS = ["the cat sat on the mat", "a dog", "answer: 12"]
ACCEPTED = [["the cat is on the mat", "there is a cat"], ["a dog"], ["the answer: 12"]]


def test_bleu_and_chrf_are_those_of_sacrebleu():
    sacrebleu = pytest.importorskip("sacrebleu")
    streams = [[of[0] for of in ACCEPTED], [of[1] if len(of) > 1 else None for of in ACCEPTED]]
    assert bleu(TEXTS, ACCEPTED) == pytest.approx(
        sacrebleu.corpus_bleu(TEXTS, streams).score / 100, abs=1e-12
    )
    assert chrf(TEXTS, ACCEPTED) == pytest.approx(
        sacrebleu.corpus_chrf(TEXTS, streams).score / 100, abs=1e-12
    )
    assert bleu(["a b c d e"], [["a b c d e"]]) == pytest.approx(1)


@pytest.mark.parametrize(
    ("text", "accepted", "right"),
    [
        ("so the answer is 7.", "the answer is 7", True),
        ("the answer is 3, no, the answer is 7", "the answer is 7", True),  # the last one counts
        ("7", "the answer is 7", False),  # does not say it as asked
        ("the answer is 7", "7", True),  # an accepted text may be the value alone
        ("the answer is 8", "7", False),
    ],
)
def test_what_a_pattern_captures_is_compared(text, accepted, right):
    assert matched(r"answer is (-?\d+)", [text], [[accepted]]) == float(right)


def test_a_pattern_without_groups_captures_all_of_its_place():
    assert matched(r"[A-D]", ["I say B"], [["B"]]) == 1
    assert matched(r"[A-D]", ["I say B", "no"], [["C", "B"], ["A"]]) == 0.5


def test_a_function_of_the_users_own_is_a_metric(tmp_path, monkeypatch):
    (tmp_path / "my_scores.py").write_text(
        "def short(texts, accepted):\n    return sum(len(t) < 6 for t in texts) / len(texts)\n"
        "def none(texts, accepted):\n    return None\n"
        "def fails(texts, accepted):\n    return texts[99]\n"
        "value = 5\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    measure = TextMeasure(names=("my_scores.short", "exact_match"))
    assert measure(TEXTS, ACCEPTED) == {"my_scores.short": 1 / 3, "exact_match": 1 / 3}
    for name, words in (("none", "gives None, expected a number"), ("fails", "IndexError")):
        with pytest.raises(DataError, match=words):
            TextMeasure(names=(f"my_scores.{name}",))(TEXTS, ACCEPTED)
    for name, words in (("my_scores.value", "no function"), ("not_there.f", "cannot be imported")):
        with pytest.raises(SpecError, match=words):
            user_score(name)
    sys.modules.pop("my_scores")
