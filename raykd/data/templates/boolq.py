"""BoolQ as it is: a passage and a question that is answered with yes or no.

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
    passages, questions = (columns.texts(table, name) for name in ("passage", "question"))
    labels = columns.class_ids(table, "label", LABELS)
    for passage, question, right in zip(passages, questions, labels, strict=True):
        yield Example(
            before="",
            context=passage,
            after=f"\nQuestion: {question}?\nAnswer:",
            response=CHOICES[right],
            choices=CHOICES,
        )


TEMPLATE = Template(about="Is the answer to a question on a passage yes or no?", read=_read)
