"""A teacher behind an address: its settings in a search space, and a task with its answers."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from raykd.spec.schema import AskSpec, RationaleSpec, SweepSpec, TeacherSpec
from raykd.teachers.endpoint.client import EndpointSettings
from raykd.teachers.endpoint.cost import describe_cost
from raykd.teachers.endpoint.endpoint_task import AskSettings, EndpointTask
from raykd.teachers.endpoint.outputs import ask_teacher
from raykd.teachers.endpoint.questions import Questions, questions_of
from raykd.teachers.inputs import Progress

if TYPE_CHECKING:
    from raykd.task_setup.set_up import TaskSetup


def ask_spec(teacher: TeacherSpec) -> AskSpec:
    """How a teacher is queried."""
    return teacher.ask or AskSpec()


def endpoint_questions(setup: TaskSetup) -> Questions | None:
    """What a teacher behind an address is asked, None for another one."""
    return None if setup.spec.teacher.endpoint is None else questions_of(_endpoint_task(setup))


def cost_notes(setup: TaskSetup, cache: Path | None) -> tuple[str, ...]:
    """What asking will cost at most, in tokens, in a sentence; none for a teacher that is here.

    Args:
        setup: The task.
        cache: Folder of answers from before, None for the usual place.
    """
    if setup.questions is None:
        return ()
    tokenizer = setup.tokenizers.student
    return (describe_cost(_endpoint_task(setup), setup.questions, tokenizer, cache),)


def with_answers(
    setup: TaskSetup, folder: Path | None, progress: Progress, note: Callable[[str], None]
) -> TaskSetup:
    """The task with the answers of a teacher behind an address; any other task as it is.

    Args:
        setup: The task.
        folder: The cache, None for the usual place.
        progress: Told how far it is.
        note: Told what it took.

    Raises:
        RaykdError: The server does not answer, or not what is needed. Answers so far are kept.
    """
    if setup.questions is None:
        return setup
    given, usage = ask_teacher(
        _endpoint_task(setup), setup.questions, _server(setup.spec), folder, progress, note
    )
    return replace(setup, given=given, usage=asdict(usage))


def _endpoint_task(setup: TaskSetup) -> EndpointTask:
    """The task as its teacher is asked about it."""
    teacher, data = setup.spec.teacher, setup.spec.data
    assert teacher.endpoint is not None
    return EndpointTask(
        url=teacher.endpoint,
        model=str(teacher.model),
        ask=_ask_settings(ask_spec(teacher), data.rationales),
        task=setup.task,
        rows=setup.rows,
        student_splits=setup.student_splits,
        output_spec=setup.output_spec,
        own_prompts=setup.own_prompts,
        max_length=data.max_length,
    )


def _ask_settings(ask: AskSpec, rationales: RationaleSpec) -> AskSettings:
    return AskSettings(
        interface=ask.interface,
        system=ask.system,
        prompt=ask.prompt,
        explain=ask.explain,
        choices=ask.choices,
        score_by=ask.score_by,
        score_splits=ask.score_splits,
        top_logprobs=ask.top_logprobs,
        temperature=float(ask.temperature),
        seed=ask.seed,
        max_new_tokens=ask.max_new_tokens,
        rationale_tokens=rationales.max_new_tokens,
        posthoc=rationales.source == "teacher_posthoc",
        concurrent=ask.concurrent,
    )


def _server(spec: SweepSpec) -> EndpointSettings:
    """The server, with the key that the environment holds."""
    ask = ask_spec(spec.teacher)
    assert spec.teacher.endpoint is not None
    return EndpointSettings(
        url=spec.teacher.endpoint,
        model=str(spec.teacher.model),
        key=os.environ.get(ask.key, "").strip(),
        key_name=ask.key,
        retries=ask.retries,
        wait_s=float(ask.wait),
        timeout_s=float(ask.timeout),
    )
