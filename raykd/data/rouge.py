"""Rouge-L of generated text, by the package that the field's papers use, for any script."""

from __future__ import annotations

import functools
import re
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
_WIDTHS = re.compile("[\ufb50-\ufdff\ufe70-\uffef]+")
"""Letters in another width or in a form by their place in a word."""


def rouge_l(prediction: str, references: Sequence[str]) -> float:
    """F-measure of the longest common subsequence of tokens, in [0, 1]; the best reference counts.

    Lin, 2004. See `tokens` for what is compared.
    """
    scorer = _scorer()
    f_measures = (
        scorer.score(reference, prediction)["rougeL"].fmeasure for reference in references
    )
    return float(max(f_measures))


def tokens(text: str) -> list[str]:
    """What Rouge counts of a text.

    Text in Latin letters has the tokens of the package `rouge_score`: words of a to z and digits,
    which all else separates (accented letters, too), as stems where they are longer than three
    letters. Of other scripts the package finds nothing. There words are letters, digits and the
    marks on them, and in scripts without spaces every character is a token.
    """
    words: list[str] = []
    before = ""  # the kind of the token that ends just before
    for char in _WIDTHS.sub(_folded, text).lower():
        kind = _kind(char)
        if kind == "mark" and before in ("letter", "alone"):
            words[-1] += char
            continue
        if kind in ("ascii", "letter") and kind == before:
            words[-1] += char
        elif kind in ("ascii", "letter", "alone"):
            words.append(char)
        before = kind
    return [_stem(token) for token in words]


def same_words(prediction: str, references: Sequence[str]) -> float:
    """1 if a reference is the same text without case, punctuation and repeated blanks, else 0.

    Punctuation is that of ASCII, as in the evaluation of Natural Instructions.
    """
    return float(any(_plain(prediction) == _plain(reference) for reference in references))


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
        return unicodedata.normalize("NFC", token)
    stems: list[str] = _default().tokenize(token)
    return stems[0]


@functools.lru_cache(maxsize=50_000)
def _kind(char: str) -> str:
    """What a character is: ``ascii``, ``letter``, ``alone``, ``mark``, or empty between tokens."""
    if char.isascii():
        return "ascii" if char.isalnum() else ""
    category = unicodedata.category(char)
    script = unicodedata.name(char, "").replace("-", " ").partition(" ")[0]
    if category[0] == "M":
        return "mark"
    if category[0] != "L" and category != "Nd":
        return ""
    # Signs made of letters (a raised a, a double-struck N) are no letters of a text.
    is_sign = unicodedata.decomposition(char).startswith("<") or script == "MODIFIER"
    if is_sign or script == "LATIN":
        return ""
    return "alone" if script in _ALONE else "letter"


def _folded(match: re.Match[str]) -> str:
    return unicodedata.normalize("NFKC", match.group())
