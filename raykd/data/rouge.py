"""Rouge-L of generated text, by the package that the field's papers use, for any script."""

from __future__ import annotations

import functools
import string
import unicodedata
from collections.abc import Sequence
from typing import Any

_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ALONE = frozenset({
    "CJK", "HIRAGANA", "KATAKANA", "IDEOGRAPHIC", "BOPOMOFO", "YI", "NUSHU", "TANGUT",
    "THAI", "LAO", "KHMER", "MYANMAR",
})  # fmt: skip
"""Scripts without spaces between words, by the first word of the names of their characters."""


def rouge_l(prediction: str, references: Sequence[str]) -> float:
    """F-measure of the longest common subsequence of tokens, in [0, 1]; the best reference counts.

    Lin, 2004. See `tokens` for what is compared.
    """
    scorer = _scorer()
    found = (scorer.score(reference, prediction)["rougeL"].fmeasure for reference in references)
    return float(max(found))


def tokens(text: str) -> list[str]:
    """What Rouge counts of a text.

    For ASCII these are the tokens of the package `rouge_score`: words of a to z and digits, their
    stems where they are longer than three letters. In other scripts, where the package finds
    nothing, words are letters, digits and the marks on them; of scripts without spaces every
    character is a token.
    """
    found: list[str] = []
    before = ""  # "word" or "alone" where a token ends just before, which marks belong to
    for char in unicodedata.normalize("NFKC", text).lower():
        kind = unicodedata.category(char)[0]
        if kind not in "LN" and not (kind == "M" and before):
            before = ""
            continue
        alone = kind != "M" and _stands_alone(char)
        if kind == "M" or (before == "word" and not alone):
            found[-1] += char
        else:
            found.append(char)
            before = "alone" if alone else "word"
    return [_stem(token) for token in found]


def same_words(prediction: str, references: Sequence[str]) -> float:
    """1 if a reference is the same text without case, punctuation and repeated blanks, else 0.

    Punctuation is that of ASCII, as in the evaluation of Natural Instructions.
    """
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


class _Tokens:
    """`tokens` as the package wants it."""

    def tokenize(self, text: str) -> list[str]:
        """See `tokens`."""
        return tokens(text)


@functools.cache
def _scorer() -> Any:  # a RougeScorer
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(["rougeL"], tokenizer=_Tokens())


@functools.cache
def _default() -> Any:  # a DefaultTokenizer
    from rouge_score.tokenizers import DefaultTokenizer

    return DefaultTokenizer(use_stemmer=True)


@functools.lru_cache(maxsize=50_000)
def _stem(token: str) -> str:
    if not token.isascii():
        return token
    found: list[str] = _default().tokenize(token)
    return found[0]


@functools.lru_cache(maxsize=50_000)
def _stands_alone(char: str) -> bool:
    name = unicodedata.name(char, "")
    return name.replace("-", " ").split(" ")[0] in _ALONE
