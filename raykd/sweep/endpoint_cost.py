"""What a teacher behind an address will cost, said before it is asked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from raykd.spec.schema import SweepSpec
from raykd.sweep.endpoint_questions import Questions, questions_of
from raykd.sweep.user_cache import open_cache
from raykd.teachers.endpoint.answer_cache import AnswerCache

if TYPE_CHECKING:
    from raykd.sweep.task_setup import TaskSetup


def describe_cost(setup: TaskSetup, questions: Questions, cache: Path | None) -> str:
    """What asking will cost at most, in tokens; said before anything is asked."""
    spec, every = setup.spec, questions.all()
    where = f"{spec.teacher.model} at {spec.teacher.endpoint}"
    distinct = {request.key(): request for request in every}
    known = 0
    if cache is not None:
        answers = answers_of(spec, cache)
        known = sum(answers.get(request) is not None for request in distinct.values())
    read = questions.tokens_read(setup.tokenizers.student)
    there = f"; {known:,} of them are answered already" if known else ""
    return (
        f"{where} is asked {len(distinct):,} times: about {read:,} tokens to read (as the "
        f"student's tokenizer counts) and at most {questions.most_written():,} to write{there}"
    )


def questions_with_cost(setup: TaskSetup) -> tuple[Questions | None, tuple[str, ...]]:
    """What is to be asked about a task, and the note on what it costs; nothing for a model here."""
    if setup.spec.teacher.endpoint is None:
        return None, ()
    questions = questions_of(setup.spec, setup)
    return questions, (describe_cost(setup, questions, open_cache()[0].folder),)


def answers_of(spec: SweepSpec, folder: Path) -> AnswerCache:
    """The answers of the teacher of a sweep."""
    assert spec.teacher.endpoint is not None
    return AnswerCache(folder, spec.teacher.endpoint.rstrip("/"), str(spec.teacher.model))
