"""What a teacher behind an address will cost, reported before it is queried."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from raykd.teachers.endpoint.answer_cache import AnswerCache
from raykd.teachers.endpoint.endpoint_task import EndpointTask
from raykd.teachers.endpoint.questions import Questions
from raykd.teachers.user_cache import open_cache


def describe_cost(
    setup: EndpointTask, questions: Questions, tokenizer: Any, cache: Path | None
) -> str:
    """What asking will cost at most, in tokens, in a sentence.

    Args:
        setup: The task.
        questions: What is asked.
        tokenizer: The student's, which counts tokens.
        cache: Folder of answers from before, None for the usual place.
    """
    distinct = {request.key(): request for request in questions.all()}
    known, folder = 0, open_cache(cache)[0].folder
    if folder is not None:
        answers = answers_of(setup, folder)
        known = sum(answers.get(request) is not None for request in distinct.values())
    read = questions.tokens_read(tokenizer)
    there = f"; {known:,} of them are answered already" if known else ""
    return (
        f"{setup.teacher} is queried {len(distinct):,} times: about {read:,} tokens to read (as "
        f"the student's tokenizer counts) and at most {questions.most_written():,} to write{there}"
    )


def answers_of(setup: EndpointTask, folder: Path) -> AnswerCache:
    """The answers of the teacher of a task."""
    return AnswerCache(folder, setup.url.rstrip("/"), setup.model)
