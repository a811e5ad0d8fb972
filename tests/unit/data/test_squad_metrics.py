from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

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


@pytest.fixture(scope="module")
def script() -> Any:
    """SQuAD's evaluation script of version 1.1, of which lm-evaluation-harness has a copy."""
    package = importlib.util.find_spec("lm_eval")
    if package is None or package.origin is None:
        pytest.skip("lm_eval is not installed")
    # Alone: the package imports far more.
    path = Path(package.origin).parent / "tasks" / "qasper" / "metrics.py"
    spec = importlib.util.spec_from_file_location("squads_script", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert "official evaluation script for v1.1 of the SQuAD" in module.f1_abstractive.__doc__
    return module


ANSWERS = st.text(max_size=8) | st.lists(
    st.sampled_from(["a", "The", "an", "cat", "Cat's", "sat.", "7", "-", "\u00e9t\u00e9", "theory"])
).map(" ".join)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(ANSWERS, st.lists(ANSWERS, min_size=1, max_size=3))
def test_scores_equal_those_of_the_evaluation_script(script, predicted, accepted):
    assert normalised(predicted) == script.normalize_answer(predicted)
    (f1,), (exact,) = (answer_values([predicted], [accepted])[k] for k in ("f1", "exact_match"))
    same = [
        script.normalize_answer(gold) == script.normalize_answer(predicted) for gold in accepted
    ]
    assert exact == float(any(same))
    # Version 2.0 differs in this alone: two answers without any word are the same.
    both_empty = any(normalised(predicted) == normalised(gold) == "" for gold in accepted)
    wanted = max(script.f1_abstractive([predicted], [gold]) for gold in accepted)
    assert f1 == pytest.approx(1.0 if both_empty else wanted)
