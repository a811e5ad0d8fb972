from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer
from rouge_score.tokenizers import DefaultTokenizer

from raykd.data.rouge import rouge_l, same_words, tokens
from raykd.data.text_scores import TextMeasure

GENERATED = TextMeasure(names=("rouge_l", "exact_match"))

# Letters of English, French, Polish, Vietnamese ..., and what stands between words.
LATIN = st.text(
    st.characters(max_codepoint=0x24F)
    | st.sampled_from("\u2014\u2026\u201c\u2019\u0301\u20ac\u1ea1\u2122")
)
WORDS = st.lists(st.sampled_from(["The", "cats", "cat", "running", "ran", "a", "7", "it's"])).map(
    " ".join
)
IDENTICAL = {
    "Chinese": "苹果是红色的。",
    "Japanese": "東京タワーは高いです。",
    "Thai": "ภาษาไทยไม่มีช่องว่าง",
    "Russian": "Яблоко красное.",
    "Arabic": "التفاحة حمراء",
    "Hindi": "सेब लाल है।",
    "Korean": "사과는 빨갛다.",
    "Greek": "γλώσσα είναι ζωή.",
    "mixed": "iPhone 15 的电池 ist größer.",
}


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(LATIN | WORDS)
def test_tokens_of_latin_text_are_those_of_the_package(text):
    assert tokens(text) == DefaultTokenizer(use_stemmer=True).tokenize(text)


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(WORDS, WORDS, WORDS)
def test_scores_of_ascii_are_those_of_the_package(prediction, one, two):
    scorer = RougeScorer(["rougeL"], use_stemmer=True)
    wanted = max(scorer.score(of, prediction)["rougeL"].fmeasure for of in (one, two))
    assert rouge_l(prediction, [one, two]) == wanted


@pytest.mark.parametrize("script", IDENTICAL)
def test_identical_texts_score_1_in_every_script(script):
    text = IDENTICAL[script]
    assert GENERATED([text], [[text]]) == {"rouge_l": 1.0, "exact_match": 1.0}
    assert rouge_l(text, ["@@@"]) == 0


@pytest.mark.parametrize(
    ("prediction", "reference", "expected"),
    [
        # 5 of 6 characters in the same order, on either side.
        ("苹果是绿色的。", "苹果是红色的。", 5 / 6),
        # 2 of 3 words of either.
        ("яблоко очень красное", "Яблоко было красное!", 2 / 3),
        ("naïve café", "na ve", 0.8),  # as the package has it: na, ve, caf
        ("яблоко 5", "5", 2 / 3),
        ("Ｆｕｌｌ　ｗｉｄｔｈ", "full width", 1.0),  # noqa: RUF001
        ("ab 你好", "ab 再见", 1 / 3),
    ],
)
def test_scores_by_hand(prediction, reference, expected):
    assert rouge_l(prediction, [reference]) == pytest.approx(expected)


def test_marks_belong_to_the_letter_before_them():
    assert tokens("सेब लाल") == ["सेब", "लाल"]
    assert tokens("ดีมาก") == ["ดี", "ม", "า", "ก"]
    assert tokens("\u304b\u3099") == tokens("\u304c") == ["\u304c"]  # ga, in one part or two
    assert tokens("\u1112\u1161\u11ab") == tokens("\ud55c") == ["\ud55c"]  # han


@pytest.mark.parametrize(
    ("prediction", "reference", "expected"),
    [("The  Cat.", "the cat", 1.0), ("the cat", "cat", 0.0), ("it's", "its", 1.0), ("", "", 1.0)],
)
def test_same_words(prediction, reference, expected):
    assert same_words(prediction, ["nothing", reference]) == expected


def test_as_many_predictions_as_references():
    with pytest.raises(ValueError, match="argument 2"):
        GENERATED(["a"], [["a"], ["b"]])
