"""Guesses what lists in the columns of a table are: tags of words, or sets of classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from raykd.data.guesses import (
    MOST_CLASSES,
    TRAIN,
    Splits,
    TaskGuess,
    as_list,
    class_names,
    distinct,
    first_seen,
    labelled_splits,
    text_columns,
)
from raykd.data.kinds.multi_label import KIND as MULTI_LABEL
from raykd.data.kinds.token_classification import KIND as TOKEN_CLASSES
from raykd.data.table import Table
from raykd.data.values import is_missing, number

TAGS = ("tags", "ner_tags", "ner", "labels", "label", "entities", "pos_tags", "pos")
"""What columns of tags are called, the likeliest first."""
_OUTSIDE = "O"

Lists = Sequence[list[Any]]


def guess_tags(splits: Splits, label: str = "") -> TaskGuess | None:
    """Words and their tags: two columns of lists that are equally long in every row.

    Args:
        splits: The tables.
        label: The column of tags, where the user says it.

    Returns:
        None where there are no such columns.
    """
    train = splits[TRAIN]
    lists = {name: of for name in train.columns if (of := _lists(train, name)) is not None}
    order = {name: place for place, name in enumerate(TAGS)}
    names = [label] if label else sorted(lists, key=lambda n: order.get(n.lower(), len(TAGS)))
    for tags in names:
        for words in lists:
            if words != tags and tags in lists and _are_tags(lists[tags], lists[words]):
                return _of_tags(splits, words, tags)
    return None


def guess_sets(splits: Splits, label: str = "") -> TaskGuess | None:
    """Texts and sets of classes: a column of lists in which few values occur again and again.

    Args:
        splits: The tables.
        label: The column of sets, where the user says it.

    Returns:
        None where there is no such column.

    Raises:
        DataError: There is no column of texts.
    """
    train = splits[TRAIN]
    for name in [label] if label else train.columns:
        lists = _lists(train, name)
        most = min(MOST_CLASSES, MOST_CLASSES if label else max(2, len(train) // 2))
        if lists is None or not 2 <= len(_members(lists)) <= most:
            continue
        labelled = labelled_splits(splits, name)
        texts, why_texts = text_columns(train, [name])
        members = {k: _members(_lists(table, name) or []) for k, table in labelled.items()}
        names = class_names(distinct([item for of in members.values() for item in of]))
        why = [f"column '{name}' holds lists of some of {len(names)} classes"]
        (length, *others) = {len(row) for row in lists}
        # Two of 0 and 1 that are never the same may be both classes of a row.
        is_clear = set(names) == {"False", "True"} or any(
            len(distinct(row)) < length for row in lists
        )
        if not others and length > 1 and is_clear and set(names) in ({"0", "1"}, {"False", "True"}):
            names = [f"{name} {k}" for k in range(length)]
            why = [
                f"column '{name}' holds a 0 or 1 for each of {length} classes: CHECK their names"
            ]
            members = {TRAIN: names}
        seen = first_seen({k: class_names(of) for k, of in members.items()})
        return TaskGuess(
            kind=MULTI_LABEL.name,
            keys={"texts": texts, "label": name, "labels": names},
            why=[*why, *seen, why_texts],
        )
    return None


def _of_tags(splits: Splits, words: str, tags: str) -> TaskGuess:
    labelled = labelled_splits(splits, tags)
    members = {k: _members(_lists(table, tags) or []) for k, table in labelled.items()}
    names = class_names(distinct([item for of in members.values() for item in of]))
    if any(number(name) is None for name in names):  # numbers are in their order already
        # The tags that begin and that continue an entity are next to each other.
        names.sort(key=lambda name: (name != _OUTSIDE, name.partition("-")[2], name))
    why = [
        f"columns '{words}' and '{tags}' hold lists of equal length: words and {len(names)} tags"
    ]
    seen = first_seen({k: class_names(of) for k, of in members.items()})
    return TaskGuess(
        kind=TOKEN_CLASSES.name,
        keys={"texts": [words], "label": tags, "labels": names},
        why=[*why, *seen],
    )


def _lists(table: Table, name: str) -> list[list[Any]] | None:
    """A column of lists; what is missing is an empty one. None where it is no such column."""
    rows: list[list[Any]] = []
    for value in table.columns.get(name, ()):
        items = [] if is_missing(value) else as_list(value)
        if items is None:
            return None
        rows.append(items)
    return rows if any(rows) else None


def _members(lists: Lists) -> list[Any]:
    return distinct([item for of in lists for item in of])


def _are_tags(tags: Lists, words: Lists) -> bool:
    """Whether one list is a tag for each word of the other."""
    if any(len(a) != len(b) for a, b in zip(tags, words, strict=True)):
        return False
    is_text = all(isinstance(word, str) for of in words for word in of)
    count = len(_members(tags))
    return is_text and 2 <= count <= min(MOST_CLASSES, len(_members(words)))
