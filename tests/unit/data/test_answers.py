from __future__ import annotations

import pytest

from raykd.data.answers import exact_match, normalised, score_answers, token_f1


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
    found = score_answers(["in 1999", "nobody"], [["1998", "in 1999"], ["somebody"]])
    assert found == {"exact_match": 0.5, "f1": 0.5}
