"""Exact match and F1 of text answers, as in the SQuAD benchmark.

Rajpurkar et al., 2016, https://arxiv.org/abs/1606.05250. Answers are compared without case,
punctuation, articles and repeated spaces; of several accepted answers the best match counts. Two
answers without any word are the same (as in the script of SQuAD 2.0; that of 1.1 gives F1 0).
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalised(answer: str) -> str:
    """An answer without case, punctuation, articles and repeated spaces."""
    words = answer.lower().translate(_NO_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", words).split())


def exact_match(predicted: str, accepted: str) -> float:
    """1 if both are the same answer, else 0."""
    return float(normalised(predicted) == normalised(accepted))


def token_f1(predicted: str, accepted: str) -> float:
    """Harmonic mean of the shares of words of either answer that the other one has."""
    predicted_words, accepted_words = normalised(predicted).split(), normalised(accepted).split()
    if not predicted_words or not accepted_words:
        return float(predicted_words == accepted_words)
    shared = sum((Counter(predicted_words) & Counter(accepted_words)).values())
    return 2 * shared / (len(predicted_words) + len(accepted_words))


def best(measure: Callable[[str, str], float], predicted: str, accepted: Sequence[str]) -> float:
    """The largest measure over the accepted answers."""
    return max(measure(predicted, answer) for answer in accepted)


def answer_values(
    predicted: Sequence[str], accepted: Sequence[Sequence[str]]
) -> dict[str, list[float]]:
    """``exact_match`` and ``f1`` of every question, in [0, 1]."""
    pairs = list(zip(predicted, accepted, strict=True))
    return {
        "exact_match": [best(exact_match, p, a) for p, a in pairs],
        "f1": [best(token_f1, p, a) for p, a in pairs],
    }
