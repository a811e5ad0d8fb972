"""More train rows: copies of texts in which some words are replaced by likely ones.

Jiao et al., "TinyBERT", 2020, https://arxiv.org/abs/1909.10351, section 3.3, as the CKD authors use
it. Words that are one word piece get what a masked language model would put there; words of several
pieces get their neighbours among word vectors. Labels are kept: with a teacher, its outputs on the
new rows count more than they do.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from raykd.data.base import Examples

_TOKEN = re.compile(r"\w+|[^\w\s]")
_WORD = re.compile(r"[a-z]+")
# Words that carry the grammar of a sentence; another one in their place breaks it.
_GRAMMAR = """
a about above after again against all am an and any are as at be because been before being below
between both but by can cannot could did do does doing down during each few for from further had
has have having he her here hers herself him himself his how i if in into is it its itself just
may me might more most must my myself no nor not now of off on once only or other our ours
ourselves out over own same shall she should so some such than that the their theirs them
themselves then there these they this those through to too under until up very was we were what
when where which while who whom whose why will with would you your yours yourself yourselves s t d
ll m re ve
"""
STOP_WORDS = frozenset(_GRAMMAR.split())


class WordSource(Protocol):
    """Gives words that may stand in the place of others."""

    def candidates(self, places: Sequence[tuple[tuple[str, ...], int]]) -> Sequence[Sequence[str]]:
        """Words for each place (the words of a text, and which of them), best first."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Augmentation:
    """How much is replaced.

    Attributes:
        copies: Copies of each text (of either text of a pair); equal ones are dropped.
        probability: With which an eligible word is replaced.
        seed: Decides words and places.
    """

    copies: int
    probability: float
    seed: int


def augment(rows: Examples, sources: Sequence[WordSource], how: Augmentation) -> Examples:
    """The rows, followed by the new ones.

    Of a pair each text is varied next to the original of the other one.

    Args:
        rows: One or two text columns.
        sources: Asked in turn; the first one that knows words for a place is used.
        how: How much is replaced.
    """
    texts = dict.fromkeys(text for column in rows.texts for text in column)
    options = _options(list(texts), sources)
    columns: list[list[str]] = [list(column) for column in rows.texts]
    origin = list(range(len(rows)))
    rng = np.random.default_rng([how.seed, 0xA06])
    for side, column in enumerate(rows.texts):
        for row, text in enumerate(column):
            for varied in _varied(text, options[text], how, rng):
                for k, other in enumerate(rows.texts):
                    columns[k].append(varied if k == side else other[row])
                origin.append(row)
    labels = rows.labels[np.asarray(origin)]
    return Examples(texts=tuple(tuple(column) for column in columns), labels=labels)


def words_of(text: str) -> tuple[str, ...]:
    """Lower-case words and punctuation."""
    return tuple(_TOKEN.findall(text.lower()))


def is_eligible(word: str) -> bool:
    """Whether a word may be replaced."""
    return _WORD.fullmatch(word) is not None and word not in STOP_WORDS


def _options(
    texts: Sequence[str], sources: Sequence[WordSource]
) -> Mapping[str, Mapping[int, Sequence[str]]]:
    """For every text, candidates by the number of the word."""
    places = [
        (text, words, k)
        for text in texts
        for words in [words_of(text)]
        for k, word in enumerate(words)
        if is_eligible(word)
    ]
    options: dict[str, dict[int, Sequence[str]]] = {text: {} for text in texts}
    for source in sources:
        open_ = [(t, w, k) for t, w, k in places if k not in options[t]]
        given = source.candidates([(w, k) for _, w, k in open_])
        for (text, words, k), candidates in zip(open_, given, strict=True):
            others = [c for c in candidates if c != words[k]]
            if others:
                options[text][k] = others
    return options


def _varied(
    text: str,
    options: Mapping[int, Sequence[str]],
    how: Augmentation,
    rng: np.random.Generator,
) -> Iterable[str]:
    """Distinct variants of a text, at most as many as requested."""
    words = words_of(text)
    seen = {" ".join(words)}
    for _ in range(how.copies):
        varied = list(words)
        for k, candidates in options.items():
            if rng.random() < how.probability:
                varied[k] = candidates[int(rng.integers(len(candidates)))]
        made = " ".join(varied)
        if made not in seen:
            seen.add(made)
            yield made
