from __future__ import annotations

import collections
import re
import string

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raykd.data.squad_metrics import answer_values, exact_match, normalised, token_f1


def test_case_punctuation_articles_and_spaces_do_not_count():
    assert normalised("  The  U.S.A.'s an  apple ") == "usas apple"
    assert exact_match("The Denver Broncos!", "denver broncos") == 1


@pytest.mark.parametrize(
    ("predicted", "accepted", "f1"),
    [
        ("denver broncos", "the broncos", 2 / 3),
        ("x", "y", 0.0),
        ("a a b", "a b", 1.0),  # articles are dropped on both sides
        ("b b", "b", 2 / 3),
        ("the", "an", 1.0),
        ("", "word", 0.0),
    ],
)
def test_words_in_common(predicted, accepted, f1):
    assert token_f1(predicted, accepted) == pytest.approx(f1)


def test_the_best_of_the_accepted_answers_counts():
    values = answer_values(["in 1999", "nobody"], [["1998", "in 1999"], ["somebody"]])
    assert values == {"exact_match": [1.0, 0.0], "f1": [1.0, 0.0]}


def squads_normalised(text: str) -> str:
    """As the evaluation script of SQuAD 2.0 has it."""
    plain = "".join(char for char in text.lower() if char not in set(string.punctuation))
    return " ".join(re.sub(re.compile(r"\b(a|an|the)\b", re.UNICODE), " ", plain).split())


def squads_f1(gold: str, predicted: str) -> float:
    """As the evaluation script of SQuAD 2.0 has it."""
    gold_tokens = squads_normalised(gold).split() if gold else []
    predicted_tokens = squads_normalised(predicted).split() if predicted else []
    common = collections.Counter(gold_tokens) & collections.Counter(predicted_tokens)
    same = sum(common.values())
    if len(gold_tokens) == 0 or len(predicted_tokens) == 0:
        return float(gold_tokens == predicted_tokens)
    if same == 0:
        return 0.0
    precision, recall = 1.0 * same / len(predicted_tokens), 1.0 * same / len(gold_tokens)
    return 2 * precision * recall / (precision + recall)


ANSWERS = st.text(max_size=8) | st.lists(
    st.sampled_from(["a", "The", "an", "cat", "Cat's", "sat.", "7", "-", "\u00e9t\u00e9", "theory"])
).map(" ".join)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(ANSWERS, st.lists(ANSWERS, min_size=1, max_size=3))
def test_scores_equal_those_of_the_evaluation_script(predicted, accepted):
    assert normalised(predicted) == squads_normalised(predicted)
    (f1,), (exact,) = (answer_values([predicted], [accepted])[k] for k in ("f1", "exact_match"))
    assert f1 == pytest.approx(max(squads_f1(gold, predicted) for gold in accepted))
    same = [squads_normalised(gold) == squads_normalised(predicted) for gold in accepted]
    assert exact == float(any(same))
