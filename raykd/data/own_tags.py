"""Tags of words that a search space describes itself: named entities and the like.

Axes: N row, M word with a label, C class.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from raykd.data.base import NO_LABEL, Array, Examples, TokenizedDataset
from raykd.data.class_names import class_ids
from raykd.data.entities import score_entities
from raykd.data.keys import at_key
from raykd.data.kinds.token_classification import KIND as TAGS
from raykd.data.notes import note
from raykd.data.prompts import ROWS_AT_ONCE
from raykd.data.table import Faults, Table
from raykd.data.user_rows import UserRows
from raykd.data.values import shown, spelled
from raykd.errors import DataError


@dataclass(frozen=True, kw_only=True)
class OwnTags(UserRows):
    """Words and their tags, in columns that the user names.

    Attributes:
        words: Column of lists of words, or of words with blanks between them.
        tags: Column of as many tags.
    """

    words: str
    tags: str
    kind: str = TAGS.name

    def read_table(self, table: Table) -> Examples:
        """Words joined by blanks as the text of a row, and its tags.

        Raises:
            DataError: Rows have other numbers of words and tags, or unknown tags.
        """
        with at_key(".texts[0]"):
            words = _lists(table, self.words, f"texts of task '{self.name}'")
        with at_key(".label"):
            tags = _lists(table, self.tags, f"label of task '{self.name}'")
            faults = Faults(table.origin)
            for row, (own, of) in enumerate(zip(words, tags, strict=True)):
                if len(own) != len(of):
                    what = f"has {len(own)} words and {len(of)} tags"
                    hint = "every word needs one tag; words are those of the column, not its tokens"
                    faults.add("rows have not as many tags as words", table.place(row), what, hint)
                elif not own:
                    faults.add("rows have no word", table.place(row), "has no word", "remove them")
            faults.check()
            ids = self._ids(table, tags)
        return Examples(
            texts=(tuple(" ".join(map(str, own)) for own in words),),
            labels=np.zeros(len(words), np.int64),
            fields={
                "words": tuple(tuple(map(str, own)) for own in words),
                "tags": tuple(tuple(of) for of in ids),
            },
        )

    def _ids(self, table: Table, tags: list[list[Any]]) -> list[list[int]]:
        """The class of every tag; the places in messages are those of rows."""
        owners = [row for row, of in enumerate(tags) for _ in of]
        flat = Table(
            columns={self.tags: [tag for of in tags for tag in of]},
            origin=table.origin,
            places=[table.place(row) for row in owners],
            class_names=table.class_names,
        )
        numbers = class_ids(flat, self.tags, self.labels, own=self.name).tolist()
        at = np.cumsum([0, *(len(of) for of in tags)])
        return [numbers[a:b] for a, b in pairwise(at)]

    def class_counts(self, rows: Examples) -> Array | None:
        """Words with each tag, also of what is cut."""
        tags = [tag for of in rows.fields["tags"] for tag in of]
        return np.bincount(np.asarray(tags, np.int64), minlength=len(self.labels))

    def encode(self, rows: Examples, tokenizer: Any, max_length: int) -> TokenizedDataset:
        """Words as the tokenizer splits them; the first token of each has its label.

        Raises:
            DataError: The tokenizer cannot read words.
        """
        ids: list[int] = []
        labels: list[int] = []
        lengths = []
        truncated = lost = 0
        for begin in range(0, len(rows), ROWS_AT_ONCE):
            words = rows.fields["words"][begin : begin + ROWS_AT_ONCE]
            encodings = _split(tokenizer, [list(own) for own in words], max_length)
            for k, encoding in enumerate(encodings.encodings):
                tags = rows.fields["tags"][begin + k]
                word_ids = encoding.word_ids
                firsts = [
                    NO_LABEL if word is None or word == before else tags[word]
                    for word, before in zip(word_ids, [None, *word_ids[:-1]], strict=True)
                ]
                ids += encoding.ids
                labels += firsts
                lengths.append(len(firsts))
                is_cut = bool(encoding.overflowing)
                truncated += is_cut
                lost += 0 if is_cut else len(tags) - sum(label != NO_LABEL for label in firsts)
        if lost:
            note(f"{self.name}: {lost:,} words have no token, and their tags are not read")
        return TokenizedDataset(
            input_ids=np.asarray(ids, np.int32),
            token_type_ids=np.zeros(len(ids), np.int8),
            offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            labels=np.asarray(labels, np.int64),
            truncated=truncated,
            token_labels=True,
        )

    def score(self, logits: Array, encoded: TokenizedDataset) -> Mapping[str, float]:
        """Every metric, from the logits of all words with a label; those cut off do not count."""
        if not np.isfinite(logits).all():
            return dict.fromkeys(self.metrics, float("nan"))
        wanted = encoded.labels[encoded.labels != NO_LABEL]
        predicted = logits.argmax(axis=1)
        borders = np.cumsum(encoded.label_counts())[:-1]
        sentences = [
            [[self.labels[k] for k in row] for row in np.split(ids, borders)]
            for ids in (predicted, wanted)
        ]
        scores = score_entities(*sentences)
        scores["word_accuracy"] = float((predicted == wanted).mean())
        return {name: scores[name] for name in self.metrics}


def _lists(table: Table, name: str, key: str) -> list[list[Any]]:
    """A column of lists, the same as JSON, or texts with blanks between their members."""
    rows: list[list[Any]] = []
    faults = Faults(table.origin)
    for row, value in enumerate(table.column(name, key)):
        items = value
        if isinstance(value, str):
            items = value.split()
            if value.lstrip().startswith("[") and value.rstrip().endswith("]"):
                try:
                    items = json.loads(value)
                except (ValueError, RecursionError):
                    items = value.split()
        if not isinstance(items, list | tuple) or any(isinstance(i, list | dict) for i in items):
            what = f"column '{name}' holds {shown(value)}, expected a list of words"
            kind = f"rows have no list in column '{name}'"
            faults.add(kind, table.place(row), what, 'write lists like ["a", "b"]')
            items = []
        rows.append(
            [item if isinstance(item, str | int | bool) else spelled(item) for item in items]
        )
    faults.check()
    return rows


def _split(tokenizer: Any, words: list[list[str]], max_length: int) -> Any:
    try:
        return tokenizer(words, is_split_into_words=True, truncation=True, max_length=max_length)
    except AssertionError as exc:
        raise DataError(
            f"the tokenizer cannot read words one by one: {exc}",
            hint="save it with add_prefix_space=True, or choose a model like BERT",
        ) from exc
