"""``toy/sentiment``: generated sentences, hard enough that a student gains from a teacher.

It needs no download, so it is the task of the quickstart and of fast tests.

Grammar::

    sentence = clause | clause joiner clause            (about half of each)
    clause   = "the" SUBJECT VERB ADVERB ADJECTIVE
    ADVERB   = "not" | "never"                          (30 % of the clauses)
             | "very" | "quite" | "really" | "rather"
    joiner   = "but" | "although" | "and"

Meaning. An adjective is negative, neutral or positive. "not" and "never" turn negative and positive
into each other and leave neutral as it is; the other adverbs change nothing. Of two clauses, "but"
makes the second count and "although" the first; "and" counts both: equal ones agree, a neutral one
gives way to the other, opposite ones make the sentence neutral. For example "the soup was never
bland although the waiter seemed very rude" is positive.

Rows. 10,000 train, 2,000 validation and 2,000 test rows; all 14,000 sentences differ. A quarter of
the train labels is replaced by one of the other two classes, drawn uniformly; validation and test
are clean. A model that sees many noisy rows averages the noise away, one that sees few learns it by
heart: what a teacher knows is worth more to a student than the labels.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain

import numpy as np

from raykd.data.base import Array, DataSettings, Examples
from raykd.data.classification import TextTask
from raykd.data.kinds.classification import KIND as CLASSIFICATION
from raykd.data.sample import limited
from raykd.data.table import no_split

LABELS = ("negative", "neutral", "positive")
SIZES: Mapping[str, int] = {"train": 10_000, "validation": 2_000, "test": 2_000}
LABEL_NOISE = 0.25
TWO_CLAUSES = 0.45
NEGATED = 0.3


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


SUBJECTS = _words(
    "soup waiter music room bread table wine garden coffee window service chef "
    "menu salad host lamp carpet dessert singer terrace fish kitchen owner tea"
)
VERBS = ("was", "seemed", "felt", "looked")
NEGATIONS = ("not", "never")
DEGREES = ("very", "quite", "really", "rather")
JOINERS = ("but", "although", "and")
ADJECTIVES = (
    _words("bad awful rude bland dull dirty stale noisy broken boring sour gloomy"),
    _words(
        "average usual plain normal typical modest medium common ordinary standard regular simple"
    ),
    _words("good great lovely friendly tasty clean fresh charming superb bright pleasant perfect"),
)
_ADVERBS = NEGATIONS + DEGREES
_ALL_ADJECTIVES = tuple(chain.from_iterable(ADJECTIVES))


class GeneratedSplits:
    """What tasks on generated rows have in common: no folder, and the splits of `SIZES`."""

    @property
    def reads_root(self) -> bool:
        """They are generated."""
        return False

    def splits(self, settings: DataSettings) -> tuple[str, ...]:
        """The three splits, wherever `settings` points."""
        return tuple(SIZES)


@dataclass(frozen=True, kw_only=True)
class ToySentiment(GeneratedSplits, TextTask):
    """Sentiment of generated sentences; see the module for the grammar."""

    name: str = "toy/sentiment"
    about: str = "Generated sentences with negation and contrast; 25 % label noise in train."
    kind: str = CLASSIFICATION.name
    labels: tuple[str, ...] = LABELS
    metric: str = "accuracy"
    metrics: tuple[str, ...] = ("accuracy",)

    def load(self, split: str, settings: DataSettings) -> Examples:
        """Rows of one split; the same for the same settings."""
        if split not in SIZES:
            raise no_split(split, self.name, tuple(SIZES))
        return limited(generate(settings.seed)[split], f"{self.name}/{split}", settings)


@functools.lru_cache(maxsize=2)
def generate(seed: int) -> Mapping[str, Examples]:
    """All splits for one seed."""
    rng = np.random.default_rng([seed, 0x70F])
    total = sum(SIZES.values())
    meaning: dict[str, int] = {}
    while len(meaning) < total:
        drawn = _sentences(rng, total)
        meaning = dict(list((meaning | drawn).items())[:total])
    # Shuffled: short sentences repeat more often, so they are rarer among those found last.
    order = rng.permutation(total)
    every = list(meaning)
    texts = tuple(every[i] for i in order)
    labels = np.fromiter(meaning.values(), np.int64, total)[order]
    splits, begin = {}, 0
    for split, size in SIZES.items():
        part = labels[begin : begin + size]
        given = _noisy(rng, part) if split == "train" else part
        splits[split] = Examples(texts=(texts[begin : begin + size],), labels=given)
        begin += size
    return splits


def _sentences(rng: np.random.Generator, count: int) -> dict[str, int]:
    first, first_values = _clauses(rng, count)
    second, second_values = _clauses(rng, count)
    joiner = rng.integers(len(JOINERS), size=count)
    both = np.sign(first_values + second_values)
    joined = np.choose(joiner, [second_values, first_values, both])
    has_two = rng.random(count) < TWO_CLAUSES
    values = np.where(has_two, joined, first_values) + 1
    return {
        f"{one} {JOINERS[j]} {two}" if pair else one: int(value)
        for one, two, j, pair, value in zip(first, second, joiner, has_two, values, strict=True)
    }


def _clauses(rng: np.random.Generator, count: int) -> tuple[list[str], Array]:
    subject = rng.integers(len(SUBJECTS), size=count)
    verb = rng.integers(len(VERBS), size=count)
    negated = rng.random(count) < NEGATED
    negation = rng.integers(len(NEGATIONS), size=count)
    degree = rng.integers(len(DEGREES), size=count) + len(NEGATIONS)
    adverb = np.where(negated, negation, degree)
    adjective = rng.integers(len(_ALL_ADJECTIVES), size=count)
    polarity = adjective // len(ADJECTIVES[0]) - 1
    clauses = [
        f"the {SUBJECTS[s]} {VERBS[v]} {_ADVERBS[d]} {_ALL_ADJECTIVES[a]}"
        for s, v, d, a in zip(subject, verb, adverb, adjective, strict=True)
    ]
    return clauses, np.where(negated, -polarity, polarity)


def _noisy(rng: np.random.Generator, labels: Array) -> Array:
    flipped = rng.random(len(labels)) < LABEL_NOISE
    other = (labels + rng.integers(1, len(LABELS), size=len(labels))) % len(LABELS)
    return np.where(flipped, other, labels)


TASK: Mapping[str, ToySentiment] = {"sentiment": ToySentiment()}
