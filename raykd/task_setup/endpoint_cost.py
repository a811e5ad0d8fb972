"""What a teacher behind an address will cost, said before it is asked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from raykd.spec.schema import SweepSpec
from raykd.teachers.endpoint.answer_cache import AnswerCache
from raykd.teachers.user_cache import open_cache

if TYPE_CHECKING:
    from raykd.task_setup.set_up import TaskSetup


def describe_cost(setup: TaskSetup, cache: Path | None) -> tuple[str, ...]:
    """What asking will cost at most, in tokens, in a sentence; none for a teacher that is here.

    Args:
        setup: The task.
        cache: Folder of answers from before, None for the usual place.
    """
    spec, questions = setup.spec, setup.questions
    if questions is None:
        return ()
    where = f"{spec.teacher.model} at {spec.teacher.endpoint}"
    distinct = {request.key(): request for request in questions.all()}
    known, folder = 0, open_cache(cache)[0].folder
    if folder is not None:
        answers = answers_of(spec, folder)
        known = sum(answers.get(request) is not None for request in distinct.values())
    read = questions.tokens_read(setup.tokenizers.student)
    there = f"; {known:,} of them are answered already" if known else ""
    return (
        f"{where} is asked {len(distinct):,} times: about {read:,} tokens to read (as the "
        f"student's tokenizer counts) and at most {questions.most_written():,} to write{there}",
    )


def answers_of(spec: SweepSpec, folder: Path) -> AnswerCache:
    """The answers of the teacher of a sweep."""
    assert spec.teacher.endpoint is not None
    return AnswerCache(folder, spec.teacher.endpoint.rstrip("/"), str(spec.teacher.model))
