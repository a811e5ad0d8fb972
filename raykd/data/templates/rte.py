"""Recognising textual entailment as a question: is a sentence true, going by a text?

The wording is after Brown et al., 2020, https://arxiv.org/abs/2005.14165, appendix G.
"""

from __future__ import annotations

from collections.abc import Iterator

from raykd.data import columns
from raykd.data.table import Table
from raykd.data.templates.base import Template
from raykd.data.text_generation import Example

LABELS = ("entailment", "not_entailment")
CHOICES = ("True", "False")


def _read(table: Table) -> Iterator[Example]:
    premises, hypotheses = (columns.texts(table, name) for name in ("premise", "hypothesis"))
    labels = columns.class_ids(table, "label", LABELS)
    for premise, hypothesis, right in zip(premises, hypotheses, labels, strict=True):
        yield Example(
            before="",
            context=premise,
            after=f"\nQuestion: {hypothesis} True or False?\nAnswer:",
            response=CHOICES[right],
            choices=CHOICES,
        )


TEMPLATE = Template(about="Is a sentence true or false, going by a text?", read=_read)
