"""``toy_text/replies``: generated replies to generated sentences, for a first run offline.

The prompt is a sentence of ``toy/sentiment``. The reply names its sentiment and two words that say
the same, for example "positive: fresh and charming." Any two of twelve words would do, so a reply
is never certain: what a teacher knows of the alternatives is worth more than the one that was
drawn. In train, a quarter of the sentiments is wrong, as in ``toy/sentiment``.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from raykd.data import columns
from raykd.data.base import DataSettings, Examples
from raykd.data.sample import limited
from raykd.data.table import Table, no_split
from raykd.data.tasks.toy import ADJECTIVES, LABELS, SIZES, GeneratedSplits, generate
from raykd.data.text_generation import Accuracy, Example, GenerationTask, rows_of

REPLY = "\nreply:"


def same_sentiment(text: str, accepted: Sequence[str]) -> bool:
    """Whether a reply begins with the sentiment of one that is accepted."""
    return text.split(":")[0].strip() in {of.split(":")[0].strip() for of in accepted}


@dataclass(frozen=True, kw_only=True)
class ToyReplies(GeneratedSplits, GenerationTask):
    """Replies to sentences; see the module."""

    name: str = "toy_text/replies"
    about: str = "Generated replies to sentences, any of many words; 25 % noise in train."
    hub: tuple[str, str] = ("", "")
    metrics: tuple[str, ...] = ("log_likelihood", "token_accuracy", "accuracy")
    text_metrics: tuple[str, ...] = ("accuracy",)
    max_new_tokens: int = 16
    measure: Accuracy = field(default_factory=lambda: Accuracy(same_sentiment))

    def load(self, split: str, settings: DataSettings) -> Examples:
        """Rows of one split; the same for the same settings."""
        if split not in SIZES:
            raise no_split(split, self.name, tuple(SIZES))
        return limited(_replies(self.name, settings.seed, split), f"{self.name}/{split}", settings)

    def read_table(self, table: Table) -> Examples:
        """Sentences with their sentiments, each with words that are drawn for it."""
        return _answered(table)


def _answered(table: Table) -> Examples:
    examples = []
    labels = columns.class_ids(table, "label", LABELS)
    for text, label in zip(columns.texts(table, "text"), labels, strict=True):
        # Drawn from the sentence, so that a row is the same wherever it stands.
        random = np.random.default_rng(list(text.encode()))
        one, two = random.choice(len(ADJECTIVES[label]), size=2, replace=False)
        words = ADJECTIVES[label]
        response = f" {LABELS[label]}: {words[one]} and {words[two]}."
        examples.append(Example(before="", context=text, after=REPLY, response=response))
    return rows_of(examples, table)


@functools.lru_cache(maxsize=len(SIZES))
def _replies(name: str, seed: int, split: str) -> Examples:
    """All rows of a split for one seed."""
    rows = generate(seed)[split]
    table = {"text": rows.texts[0], "label": rows.labels.tolist()}
    return _answered(Table(columns=table, origin=name))


TASK: Mapping[str, ToyReplies] = {"replies": ToyReplies()}
