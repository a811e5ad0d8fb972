"""Named entities in tags of words, and how many of them were found.

A tag is ``O`` or a prefix and a type, ``B-PER``. Prefixes are those of IOB1, IOB2, IOE and IOBES;
what begins and ends an entity is decided as in the script of CoNLL-2000, which seqeval follows:
``I-PER`` after ``O`` begins one.
"""

from __future__ import annotations

from collections.abc import Sequence

OUTSIDE = "O"
PREFIXES = frozenset("BIESLU")

Entity = tuple[str, int, int]
"""Type, first and last word."""


def parts(tag: str) -> tuple[str, str]:
    """Prefix and type of a tag; a tag without a prefix has none and is its own type."""
    if tag == OUTSIDE:
        return OUTSIDE, ""
    prefix, dash, kind = tag.partition("-")
    return (prefix, kind) if dash and prefix in PREFIXES else ("I", tag)


def entities(tags: Sequence[str]) -> set[Entity]:
    """The entities of a sentence."""
    spans: set[Entity] = set()
    begin, before, kind_before = 0, OUTSIDE, ""
    for k, tag in enumerate([*tags, OUTSIDE]):
        prefix, kind = parts(tag)
        if before != OUTSIDE and _ends(before, prefix, kind_before, kind):
            spans.add((kind_before, begin, k - 1))
        if prefix != OUTSIDE and _begins(before, prefix, kind_before, kind):
            begin = k
        before, kind_before = prefix, kind
    return spans


def _ends(before: str, prefix: str, kind_before: str, kind: str) -> bool:
    """Whether an entity ends with the word before."""
    return before in "ESLU" or prefix in "BSUO" or kind != kind_before


def _begins(before: str, prefix: str, kind_before: str, kind: str) -> bool:
    """Whether an entity begins with this word."""
    return prefix in "BSU" or before in "ESLUO" or kind != kind_before


def score_entities(
    predicted: Sequence[Sequence[str]], wanted: Sequence[Sequence[str]]
) -> dict[str, float]:
    """Micro-averaged precision, recall and F1 of entities, 0 where there is none.

    An entity is found where type, first and last word are right.
    """
    right = given = there = 0
    for predicted_tags, wanted_tags in zip(predicted, wanted, strict=True):
        given_spans, true_spans = entities(predicted_tags), entities(wanted_tags)
        right += len(given_spans & true_spans)
        given, there = given + len(given_spans), there + len(true_spans)
    return {
        "entity_precision": right / given if given else 0.0,
        "entity_recall": right / there if there else 0.0,
        "entity_f1": 2 * right / (given + there) if given + there else 0.0,
    }
