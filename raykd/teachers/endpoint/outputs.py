"""Queries a teacher behind an address, and turns its answers into given outputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from raykd.data.base import Examples, TokenizedDataset
from raykd.data.soft_labels import class_logits
from raykd.data.table import Faults
from raykd.data.teacher_columns import LOGPROBS, PLACES, SCORES
from raykd.errors import DataError, SetupError
from raykd.models.signals.generations import Generations
from raykd.models.signals.rationales import Rationales
from raykd.teachers.endpoint.answer_parsing import (
    class_begun,
    class_named,
    normalised,
    text_score,
    tokens_at,
)
from raykd.teachers.endpoint.asking import Usage, ask_all
from raykd.teachers.endpoint.client import EndpointClient, EndpointSettings
from raykd.teachers.endpoint.cost import answers_of
from raykd.teachers.endpoint.endpoint_task import EndpointTask
from raykd.teachers.endpoint.questions import (
    CLASSES,
    RATIONALES,
    RESPONSES,
    TOKENS,
    Questions,
    class_answers,
    class_messages,
    way_of,
)
from raykd.teachers.endpoint.requests import Answer
from raykd.teachers.endpoint.token_places import labelled_places
from raykd.teachers.given_columns import recorded_fields, scores_of_roles, tokens_of
from raykd.teachers.given_outputs import GivenOutputs
from raykd.teachers.inputs import Progress
from raykd.teachers.teacher_text import followed_by
from raykd.teachers.user_cache import open_cache

ENDPOINT = "teacher.endpoint"


def ask_teacher(
    setup: EndpointTask,
    questions: Questions,
    server: EndpointSettings,
    folder: Path | None,
    progress: Progress,
    note: Callable[[str], None],
) -> tuple[GivenOutputs, Usage]:
    """Outputs of a teacher behind an address, and what asking for them took.

    Args:
        setup: The task.
        questions: What is asked.
        server: The server.
        folder: The cache, None for the usual place.
        progress: Told how far it is.
        note: Told what it took.

    Raises:
        RaykdError: The server does not answer, or not what is needed. Answers so far are kept.
    """
    cache, why = open_cache(folder)
    if why is not None or cache.folder is None:
        raise why or SetupError("there is no folder for answers", hint="set RAYKD_CACHE")
    requests, total = questions.all(), len({r.key() for r in questions.all()})
    with closing(answers_of(setup, cache.folder)) as answer_cache:
        answers, usage = ask_all(
            requests,
            lambda: EndpointClient(server),
            answer_cache,
            setup.ask.concurrent,
            lambda done: progress("ask", done, total, ""),
        )
    note(describe_usage(setup.model, usage))
    by_use = {}
    for use, some in questions.requests.items():
        by_use[use], answers = answers[: len(some)], answers[len(some) :]
    return _given(setup, by_use), usage


def describe_usage(model: str, usage: Usage) -> str:
    """What asking took."""
    before = ""
    if usage.cached:
        before = (
            f"; {usage.cached:,} answers were there ({usage.cached_prompt_tokens:,} tokens read, "
            f"{usage.cached_completion_tokens:,} written)"
        )
    return (
        f"{model} was sent {usage.requests:,} requests: it read "
        f"{usage.prompt_tokens:,} tokens and wrote {usage.completion_tokens:,}{before}"
    )


def _given(setup: EndpointTask, by_use: dict[tuple[str, str], list[Answer]]) -> GivenOutputs:
    """What the answers are, for the rows as students read them."""
    task, rows = setup.task, dict(setup.rows)
    for (use, role), answers in by_use.items():
        if use == CLASSES:
            rows[role] = _with_classes(setup, rows[role], role, answers)
        elif use == TOKENS:
            rows[role] = _with_tokens(setup, rows[role], answers)
    texts = {}
    if (RESPONSES, "train") in by_use:
        rows_read = replace(setup.student_splits["train"], views={}, columns={})
        _check_written(setup, by_use[RESPONSES, "train"])
        texts[Generations().texts] = _followed(setup, rows_read, by_use[RESPONSES, "train"])
    if (RATIONALES, "train") in by_use:
        prompts = setup.own_prompts[Rationales().name].prompts
        if not any(answer.text.strip() for answer in by_use[RATIONALES, "train"]):
            _check_written(setup, by_use[RATIONALES, "train"])  # some rows may have none
        texts[Rationales().texts] = _followed(setup, prompts, by_use[RATIONALES, "train"])
    return GivenOutputs(
        recorded=recorded_fields(task, rows["train"], setup.student_splits, ENDPOINT),
        texts=texts,
        scores=scores_of_roles(task, rows, setup.student_splits),
    )


def _with_classes(
    setup: EndpointTask, rows: Examples, role: str, answers: Sequence[Answer]
) -> Examples:
    """The rows with the logits of their classes."""
    ask, task = setup.ask, setup.task
    choices, faults = class_answers(ask, task), _faults(setup)
    way, per_row = way_of(ask), len(answers) // len(rows)
    scores_of_rows: list[Sequence[float]] = []
    for k in range(len(rows)):
        own = answers[k * per_row : (k + 1) * per_row]
        if way == "choices":
            prompt = class_messages(ask, task, rows, k)
            begun = "\n\n".join(one["content"] for one in prompt)
            scores = [text_score(answer, begun) for answer in own]
            wrong = next((w for _, w in scores if w), "")
            classes = None if wrong else normalised([score for score, _ in scores])
        else:
            read = class_begun if way == "first_token" else class_named
            classes, wrong = read(own[0], choices)
        if classes is None:
            hint = "word teacher.ask.prompt and choices otherwise, or set score_by: text"
            faults.add("answers name no class", f"{role} row {k + 1}", wrong, hint)
        else:
            scores_of_rows.append(classes)
    _check(faults)
    logits = class_logits(scores_of_rows, task.task_kind)
    return replace(rows, fields={**rows.fields, SCORES: tuple(row.tobytes() for row in logits)})


def _with_tokens(setup: EndpointTask, rows: Examples, answers: Sequence[Answer]) -> Examples:
    """The rows with the likely tokens at each place of their responses."""
    places, faults = labelled_places(setup.student_splits["train"]), _faults(setup)
    logprobs = []
    for k, (answer, own) in enumerate(zip(answers, places, strict=True)):
        choices, wrong = tokens_at(answer, own) if own else ((), "")
        if wrong:
            hint = "a server that returns log-probabilities of prompts (echo), as vLLM does"
            faults.add("answers hold no log-probabilities", f"row {k + 1}", wrong, hint)
        logprobs.append(choices)
    _check(faults)
    where = tuple(f"the answer to row {k + 1}" for k in range(len(rows)))
    fields = {**rows.fields, LOGPROBS: tuple(logprobs), PLACES: where}
    return replace(rows, fields=fields)


def _followed(
    setup: EndpointTask, prompts: TokenizedDataset, answers: Sequence[Answer]
) -> TokenizedDataset:
    """Rows with the answers as responses; one that was cut has no end."""
    texts, ended = zip(*((a.text.strip(), a.finish != "length") for a in answers), strict=True)
    tokens = tokens_of(setup.student_splits)
    return followed_by(prompts, texts, ended, tokens, setup.max_length)


def _check_written(setup: EndpointTask, answers: Sequence[Answer]) -> None:
    faults = _faults(setup)
    for k, answer in enumerate(answers):
        if not answer.text.strip():
            what = f"is empty (it ended with '{answer.finish}' after {answer.written} tokens)"
            hint = "raise teacher.ask.max_new_tokens, or leave these rows out"
            faults.add("answers are empty", f"row {k + 1}", what, hint)
    _check(faults)


def _faults(setup: EndpointTask) -> Faults:
    return Faults(setup.teacher)


def _check(faults: Faults) -> None:
    """Raise what is wrong with answers, with its place; all of them are kept."""
    try:
        faults.check()
    except DataError as exc:
        raise exc.at("teacher.ask") from exc
