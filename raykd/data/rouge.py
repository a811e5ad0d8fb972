"""Rouge-L of generated text, by the package that the field's papers use."""

from __future__ import annotations

import functools
import string
from collections.abc import Sequence
from typing import Any

_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def rouge_l(prediction: str, references: Sequence[str]) -> float:
    """F-measure of the longest common subsequence of stems, in [0, 1]; the best reference counts.

    Lin, 2004. Only letters a to z and digits count, so text in other scripts scores 0.
    """
    scorer = _scorer()
    found = (scorer.score(reference, prediction)["rougeL"].fmeasure for reference in references)
    return float(max(found))


def same_words(prediction: str, references: Sequence[str]) -> float:
    """1 if a reference is the same text without case, punctuation and repeated blanks, else 0."""
    return float(any(_plain(prediction) == _plain(reference) for reference in references))


def score_generated(
    predictions: Sequence[str], references: Sequence[Sequence[str]]
) -> dict[str, float]:
    """Mean ``rouge_l`` and ``exact_match`` of texts, in [0, 1].

    Raises:
        ValueError: The two are not equally many.
    """
    pairs = list(zip(predictions, references, strict=True))
    return {
        "rouge_l": sum(rouge_l(p, r) for p, r in pairs) / len(pairs),
        "exact_match": sum(same_words(p, r) for p, r in pairs) / len(pairs),
    }


def _plain(text: str) -> str:
    return " ".join(text.lower().translate(_NO_PUNCTUATION).split())


@functools.cache
def _scorer() -> Any:  # a RougeScorer
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(["rougeL"], use_stemmer=True)
