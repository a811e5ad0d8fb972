"""What a template must state."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from raykd.data import columns
from raykd.data.table import Table
from raykd.data.text_generation import Example


@dataclass(frozen=True, kw_only=True, slots=True)
class Template:
    """How the rows of a data set are put into words.

    Attributes:
        about: What is asked, in one sentence.
        read: Prompts with answer choices from raw columns, the right choice as the response.
    """

    about: str
    read: Callable[[Table], Iterator[Example]]


@dataclass(frozen=True, kw_only=True, slots=True)
class QuestionTemplate:
    """A question on a text, with a fixed set of answers; reads the rows of a `Template`.

    Attributes:
        context: Column of the text.
        question: Column of what is asked about it.
        prompt: What follows the text; ``{}`` stands for what is asked.
        answers: The answer that each label stands for.
    """

    context: str
    question: str
    prompt: str
    answers: Mapping[str, str]

    def __call__(self, table: Table) -> Iterator[Example]:
        """Prompts with answer choices, the right choice as the response."""
        choices = tuple(self.answers.values())
        contexts, questions = (columns.texts(table, name) for name in (self.context, self.question))
        labels = columns.class_ids(table, "label", tuple(self.answers))
        for context, question, right in zip(contexts, questions, labels, strict=True):
            yield Example(
                before="",
                context=context,
                after=self.prompt.format(question),
                response=choices[right],
                choices=choices,
            )
