"""The outputs of a teacher that ran elsewhere, read beside the rows of a task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from raykd.data.base import Examples, Task, TokenizedDataset
from raykd.data.keys import at_key
from raykd.data.row_checks import check_ends
from raykd.data.teacher_columns import (
    KEY,
    LOGPROBS,
    PLACES,
    SCORES,
    TEXTS,
    TeacherColumns,
    scores_of,
)
from raykd.data.token_logprobs import aligned
from raykd.data.token_texts import TokenTexts
from raykd.errors import DataError, Problem, SpecError
from raykd.models.signals.generations import Generations
from raykd.models.signals.logits import Logits
from raykd.spec.schema import OutputsSpec, SweepSpec
from raykd.teachers.given_outputs import GivenOutputs, given_logits, given_top_k
from raykd.teachers.inputs import scored_roles


def teacher_columns(outputs: OutputsSpec | None) -> TeacherColumns | None:
    """Where the outputs stand, None where the teacher is a model."""
    if outputs is None:
        return None
    return TeacherColumns(
        scores=outputs.scores,
        form="probabilities" if outputs.logits is None else "logits",
        texts=outputs.responses or "",
        logprobs=outputs.logprobs or "",
        path=outputs.path,
        id=outputs.id or "",
    )


def held(outputs: OutputsSpec | None) -> tuple[str, ...] | None:
    """Kinds of signal that the outputs are, None where the teacher is a model."""
    if outputs is None:
        return None
    kinds = [Logits().kind] if outputs.scores or outputs.logprobs else []
    return (*kinds, *([Generations().kind] if outputs.responses else []))


def check_rows_are_the_data(spec: SweepSpec) -> None:
    """Refuse rows that a teacher would have to read here, where it is no model.

    Raises:
        SpecError: Names the key that asks for them.
    """
    if spec.teacher.outputs is None:
        return
    problems = []
    why = "and teacher.outputs holds those of the rows as they are"
    if spec.data.augment is not None:
        message = f"augmented rows need outputs of their own, {why}"
        hint = "remove augment, or name a teacher with teacher.checkpoint"
        problems.append(Problem(path="data.augment", message=message, hint=hint))
    if spec.data.rationales.by_teacher:
        message = "rationales are to be written by a teacher, and there is no model of it here"
        hint = "source: data, or a file of rationales"
        problems.append(Problem(path="data.rationales.source", message=message, hint=hint))
    if problems:
        raise SpecError(problems=problems)


def given_outputs(
    spec: SweepSpec,
    task: Task,
    rows: Mapping[str, Examples],
    splits: Mapping[str, TokenizedDataset],
    tokenizer: Any,
) -> GivenOutputs | None:
    """What the columns say, for the rows as students read them; None for a teacher that is a model.

    Args:
        spec: The sweep.
        task: The task.
        rows: Its rows by role.
        splits: The same as the student reads them.
        tokenizer: The student's.

    Raises:
        DataError: The rows of the task are not those of a file, are read in parts, or do not fit
            what is said of them.
    """
    if spec.teacher.outputs is None:
        return None
    train = rows["train"]
    if not {SCORES, TEXTS, LOGPROBS} & train.fields.keys():
        raise DataError(
            f"rows of {task.name} are of no file, so that nothing can stand beside them",
            hint="describe a task of your own, with a file of its rows",
        ).at(KEY)
    if (found := scores_of(train)) is not None:
        _check_parts(task, train, splits["train"])
        return GivenOutputs(recorded=given_logits(found), scores=_scores(task, rows, splits))
    recorded = None
    references = splits["validation"].references
    assert references is not None
    assert references.tokens is not None
    if LOGPROBS in train.fields:
        tokens = TokenTexts(references.tokens)
        with at_key(f"{KEY}.logprobs"):
            ids, logs = aligned(
                train.fields[LOGPROBS], splits["train"], tokens, train.fields[PLACES]
            )
        recorded = given_top_k(ids, logs, max(tokens.texts) + 1)
    texts = None
    if TEXTS in train.fields:
        said = replace(train, texts=(train.texts[0], train.fields[TEXTS], *train.texts[2:]))
        texts = replace(task.encode(said, tokenizer, spec.data.max_length), references=None)
        with at_key(f"{KEY}.responses"):
            check_ends(texts, train.fields[PLACES], references.tokens.end, spec.data.max_length)
    return GivenOutputs(recorded=recorded, texts=texts)


def _check_parts(task: Task, rows: Examples, encoded: TokenizedDataset) -> None:
    """Refuse rows of which a model reads several parts.

    Raises:
        DataError: There are more encoded rows than rows.
    """
    if len(encoded) != len(rows):
        raise DataError(
            f"a model reads the {len(rows):,} rows of {task.name} in {len(encoded):,} parts, and "
            "teacher.outputs holds one output a row",
            hint="choose a task of whole rows",
        ).at(KEY)


def _scores(
    task: Task, rows: Mapping[str, Examples], splits: Mapping[str, TokenizedDataset]
) -> dict[str, Mapping[str, float]]:
    """The metrics of what is said, of every role that it is said of."""
    found = {}
    for role in scored_roles(splits):
        logits = scores_of(rows[role])
        if logits is not None:
            found[role] = task.score(logits, splits[role])
    return found
