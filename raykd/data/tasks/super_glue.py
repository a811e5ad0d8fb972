"""The eight tasks of SuperGLUE (Wang et al., 2019, https://arxiv.org/abs/1905.00537).

An encoder reads one text or a pair, so some tasks are put into that form:

* WiC: the word, a colon and the first sentence; the second sentence.
* WSC: the text with the pronoun between asterisks; what it may stand for.
* COPA: the premise; the question in words and one choice.
* MultiRC: the paragraph; the question and one answer.
* ReCoRD: the passage; the query with one entity in place of the gap.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from raykd.data import columns
from raykd.data.choices import (
    ChoiceTask,
    Question,
    all_choices,
    choice_accuracy,
    chosen_names,
    free_text_answer,
    free_text_values,
    names_of_right,
    outcomes_of_choices,
    right_choices,
)
from raykd.data.classification import TextClassification
from raykd.data.files import FileTask
from raykd.data.table import Faults, Table
from raykd.data.wsc import marked_pronouns

_HUB = "aps/super_glue"
_NO_YES = ("False", "True")
_GAP = "@placeholder"
_COPA = {"cause": "What was the cause?", "effect": "What happened as a result?"}


def _word_in_context(word: str, first: str, second: str) -> tuple[str, str]:
    return f"{word}: {first}", second


def _copa(table: Table) -> Iterator[Question]:
    names = ("premise", "choice1", "choice2", "question")
    texts = [columns.texts(table, name) for name in names]
    labels = columns.class_ids(table, "label", ("choice1", "choice2"))
    for premise, one, two, question, label in zip(*texts, labels, strict=True):
        wording = _COPA.get(question, question)
        yield Question(
            context=premise,
            choices=(f"{wording} {one}", f"{wording} {two}"),
            right=(label == 0, label == 1),
        )


def _multirc(table: Table) -> Iterator[Question]:
    """Answers of the same question stand in rows of their own, one after the other."""
    paragraphs, questions, answers = (
        columns.texts(table, name) for name in ("paragraph", "question", "answer")
    )
    labels = columns.class_ids(table, "label", _NO_YES)
    begin = 0
    for row in range(1, len(table) + 1):
        is_same = row < len(table) and (paragraphs[row], questions[row]) == (
            paragraphs[begin], questions[begin],
        )  # fmt: skip
        if is_same:
            continue
        yield Question(
            context=paragraphs[begin],
            choices=tuple(f"{questions[k]} {answers[k]}" for k in range(begin, row)),
            right=tuple(bool(labels[k]) for k in range(begin, row)),
        )
        begin = row


def _record(table: Table) -> Iterator[Question]:
    passages, queries = columns.texts(table, "passage"), columns.texts(table, "query")
    entities = columns.text_lists(table, "entities")
    answers = columns.text_lists(table, "answers")
    faults = Faults(table.origin)
    for row, query in enumerate(queries):
        lacks = (
            "an entity" if not entities[row] else "an answer" if not answers[row]
            else f"'{_GAP}'" if _GAP not in query else ""
        )  # fmt: skip
        if lacks:
            hint = "unlabelled splits cannot be used; choose a labelled one"
            faults.add(f"rows lack {lacks}", table.place(row), f"lacks {lacks}", hint)
    faults.check()
    for row, (passage, query) in enumerate(zip(passages, queries, strict=True)):
        names = tuple(dict.fromkeys(entities[row]))
        yield Question(
            context=passage.replace("\n@highlight\n", " "),
            choices=tuple(query.replace(_GAP, name) for name in names),
            right=tuple(name in answers[row] for name in names),
            names=names,
            accepted=answers[row],
        )


class Winograd(TextClassification):
    """WSC, where the pronoun is found by the number of its word."""

    def read_table(self, table: Table) -> Any:
        """Rows with the pronoun between asterisks."""
        columns = {**table.columns, "text": marked_pronouns(table)}
        return super().read_table(replace(table, columns=columns))


def _pair(name: str, **more: Any) -> TextClassification:
    kind = more.pop("made", TextClassification)
    made: TextClassification = kind(
        name=f"super_glue/{name}",
        hub=(_HUB, name),
        **{"metric": "accuracy", "metrics": ("accuracy",), "labels": _NO_YES, **more},
    )
    return made


_TASKS: tuple[FileTask, ...] = (
    _pair(
        "cb",
        about="Does a speaker commit to a clause? Small: 250 rows.",
        texts=("premise", "hypothesis"),
        labels=("entailment", "contradiction", "neutral"),
        metrics=("accuracy", "f1_macro"),
    ),
    _pair(
        "rte",
        about="Does a text entail a hypothesis? The rows of glue/rte.",
        texts=("premise", "hypothesis"),
        labels=("entailment", "not_entailment"),
    ),
    _pair(
        "boolq",
        about="Is the answer to a question on a passage yes?",
        texts=("question", "passage"),
    ),
    _pair(
        "wic",
        about="Has a word the same meaning in two sentences?",
        texts=("word", "sentence1", "sentence2"),
        compose=_word_in_context,
    ),
    _pair(
        "wsc",
        about="Does a pronoun stand for a given name?",
        texts=("text", "span1_text"),
        made=Winograd,
    ),
    ChoiceTask(
        name="super_glue/copa",
        about="Which of two alternatives is the cause, or the effect, of a premise?",
        hub=(_HUB, "copa"),
        metric="accuracy",
        metrics=("accuracy",),
        read=_copa,
        scores=choice_accuracy,
        outcomes=right_choices,
        predictions=chosen_names,
    ),
    ChoiceTask(
        name="super_glue/multirc",
        about="Which of several answers to a question on a paragraph are right?",
        hub=(_HUB, "multirc"),
        metric="f1_a",
        metrics=("f1_a", "exact_match"),
        read=_multirc,
        scores=all_choices,
        outcomes=outcomes_of_choices,
        predictions=names_of_right,
    ),
    ChoiceTask(
        name="super_glue/record",
        about="Which entity fills the gap in a sentence on a passage of news?",
        hub=(_HUB, "record"),
        metric="f1",
        metrics=("f1", "exact_match"),
        read=_record,
        scores=free_text_answer,
        outcomes=free_text_values,
        predictions=chosen_names,
    ),
)

TASK: Mapping[str, FileTask] = {task.name.removeprefix("super_glue/"): task for task in _TASKS}
