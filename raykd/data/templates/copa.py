"""COPA as a question with both alternatives listed; the response is one of them, word by word."""

from __future__ import annotations

from collections.abc import Iterator

from raykd.data import columns
from raykd.data.table import Table
from raykd.data.templates.base import Template
from raykd.data.text_generation import Example

QUESTIONS = {"cause": "What was the cause?", "effect": "What happened as a result?"}


def _read(table: Table) -> Iterator[Example]:
    names = ("premise", "choice1", "choice2", "question")
    texts = [columns.texts(table, name) for name in names]
    labels = columns.class_ids(table, "label", ("choice1", "choice2"))
    for premise, one, two, question, right in zip(*texts, labels, strict=True):
        choices = (one, two)
        yield Example(
            before="",
            context=premise,
            after=f"\nQuestion: {QUESTIONS.get(question, question)}\n- {one}\n- {two}\nAnswer:",
            response=choices[right],
            choices=choices,
        )


TEMPLATE = Template(about="Which of two sentences is the cause, or the effect, of a premise?",
                    read=_read)  # fmt: skip
