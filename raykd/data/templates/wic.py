"""Words in context as a question: is a word used in the same way in two sentences?

The wording is after Brown et al., 2020, https://arxiv.org/abs/2005.14165, appendix G.
"""

from __future__ import annotations

from collections.abc import Iterator

from raykd.data import columns
from raykd.data.table import Table
from raykd.data.templates.base import Template
from raykd.data.text_generation import Example

LABELS = ("False", "True")
CHOICES = ("No", "Yes")


def _read(table: Table) -> Iterator[Example]:
    words, first, second = (
        columns.texts(table, name) for name in ("word", "sentence1", "sentence2")
    )
    labels = columns.class_ids(table, "label", LABELS)
    for word, one, two, right in zip(words, first, second, labels, strict=True):
        question = (
            f"Question: Is the word '{word}' used in the same way in the two sentences above?"
        )
        yield Example(
            before=f"{one}\n{two}\n{question}\nAnswer:",
            response=CHOICES[right],
            choices=CHOICES,
        )


TEMPLATE = Template(about="Is a word used in the same way in two sentences?", read=_read)
