"""The Winograd schema challenge as a question: does a pronoun refer to a name?

The wording is after Brown et al., 2020, https://arxiv.org/abs/2005.14165, appendix G, as a question
to be answered with yes or no. A passage may hold the pronoun several times, so the one that is
meant stands between asterisks.
"""

from __future__ import annotations

from collections.abc import Iterator

from raykd.data import columns
from raykd.data.table import Table
from raykd.data.templates.base import Template
from raykd.data.text_generation import Example
from raykd.data.wsc import marked_pronouns

LABELS = ("False", "True")
CHOICES = ("No", "Yes")


def _read(table: Table) -> Iterator[Example]:
    texts = marked_pronouns(table)
    names, pronouns = (columns.texts(table, name) for name in ("span1_text", "span2_text"))
    labels = columns.class_ids(table, "label", LABELS)
    for text, name, pronoun, right in zip(texts, names, pronouns, labels, strict=True):
        yield Example(
            before="Passage: ",
            context=text,
            after=f"\nQuestion: In the passage above, does the pronoun '{pronoun}' between "
            f"asterisks refer to {name}?\nAnswer:",
            response=CHOICES[right],
            choices=CHOICES,
        )


TEMPLATE = Template(about="Does a pronoun of a passage refer to a given name?", read=_read)
