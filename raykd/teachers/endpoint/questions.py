"""The questions to a teacher behind an address about the rows of a task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from raykd.data.base import Examples, Task
from raykd.data.conversations import message
from raykd.models.signals.generations import Generations
from raykd.models.signals.logits import Logits
from raykd.models.signals.rationales import Rationales
from raykd.teachers.endpoint.endpoint_task import AskSettings, EndpointTask
from raykd.teachers.endpoint.requests import (
    COMPLETIONS,
    Request,
    first_token,
    scored_text,
    scored_tokens,
    written,
)
from raykd.teachers.endpoint.token_places import sequences
from raykd.teachers.inputs import scored_roles

CLASSES, TOKENS, RESPONSES, RATIONALES = "classes", "tokens", "responses", "rationales"
"""What may be requested."""
_CLASS_PROMPT = "{text}\n\nAnswer with one of: {choices}.\nAnswer:"
_EXPLAIN = "Explain in a few sentences how to come to the answer."
_EXPLAIN_POSTHOC = "The answer is: {response}\nExplain in a few sentences why."
_MOST_OF_CLASS = 16
"""Tokens that the name of a class may have."""
Messages = list[dict[str, Any]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Questions:
    """The questions about one task.

    Attributes:
        requests: By what it is for and the role of the rows; several a row where choices are scored
            one by one.
    """

    requests: Mapping[tuple[str, str], tuple[Request, ...]] = field(default_factory=dict)

    def all(self) -> tuple[Request, ...]:
        """Every request, in a fixed order."""
        return tuple(request for some in self.requests.values() for request in some)

    def most_written(self) -> int:
        """Most tokens that may be written in answer to all of them."""
        return sum(request.most_written for request in self.all())

    def tokens_read(self, tokenizer: Any) -> int:
        """Tokens that are sent, as another tokenizer counts them."""
        texts = [text for request in self.all() for text in request.read_texts()]
        ids = tokenizer(texts, add_special_tokens=False)["input_ids"] if texts else []
        return sum(map(len, ids)) + sum(request.read_ids() for request in self.all())


def askable(interface: str, task: Task) -> tuple[str, ...]:
    """Kinds of signal that a server can give on a task."""
    if not task.task_kind.generates:
        return (Logits().kind,) if task.has_row_classes else ()
    decoder = task.task_kind.is_joined
    scores = interface == COMPLETIONS and decoder
    return (*((Logits().kind,) if scores else ()), Generations().kind)


def questions_of(setup: EndpointTask) -> Questions:
    """Everything that the arms of a sweep need of a teacher behind an address.

    Args:
        setup: The task, with what its arms read.
    """
    ask, task, train = setup.ask, setup.task, setup.rows["train"]
    read = {signal.kind for signal in setup.output_spec}
    requests: dict[tuple[str, str], tuple[Request, ...]] = {}
    if Logits().kind in read and task.task_kind.generates:
        encoded = setup.student_splits["train"]
        requests[TOKENS, "train"] = tuple(
            scored_tokens(ids, place=f"row {k + 1}", count=ask.top_logprobs)
            for k, ids in enumerate(sequences(encoded))
        )
    elif Logits().kind in read:
        for role in ("train", *(scored_roles(setup.rows) if ask.score_splits else ())):
            requests[CLASSES, role] = _class_requests(ask, task, setup.rows[role], role)
    if Generations().kind in read:
        most = ask.max_new_tokens or task.max_new_tokens
        turns = [_turns(ask, train, k) for k in range(len(train))]
        requests[RESPONSES, "train"] = _texts(ask, turns, most)
    if Rationales().name in setup.own_prompts:
        most = ask.max_new_tokens or ask.rationale_tokens
        prompts = [_explained(ask, train, k) for k in range(len(train))]
        requests[RATIONALES, "train"] = _texts(ask, prompts, most)
    return Questions(requests=requests)


def class_answers(ask: AskSettings, task: Task) -> tuple[str, ...]:
    """What the teacher calls each class."""
    return tuple(ask.choices.get(name, name) for name in task.labels)


def way_of(ask: AskSettings) -> str:
    """How classes are scored."""
    if ask.score_by != "auto":
        return ask.score_by
    return "choices" if ask.interface == COMPLETIONS else "first_token"


def class_messages(ask: AskSettings, task: Task, rows: Examples, row: int) -> Messages:
    """The prompt for the class of a row."""
    texts = [column[row] for column in rows.texts]
    wording = ask.prompt or _CLASS_PROMPT
    text = wording.format(
        text="\n".join(texts), text_a=texts[0], text_b=texts[-1],
        choices=", ".join(class_answers(ask, task)), response="",
    )  # fmt: skip
    return [*_system(ask), {"role": "user", "content": text}]


def _class_requests(ask: AskSettings, task: Task, rows: Examples, role: str) -> tuple[Request, ...]:
    """Those for the classes of rows: one each, or one for each choice."""
    requests: list[Request] = []
    for k in range(len(rows)):
        messages, place = class_messages(ask, task, rows, k), f"{role} row {k + 1}"
        if way_of(ask) == "first_token":
            requests.append(first_token(messages, place=place, count=ask.top_logprobs))
        elif way_of(ask) == "choices":
            answers = class_answers(ask, task)
            requests += [scored_text(messages, answer, place=place) for answer in answers]
        else:
            requests += _texts(ask, [messages], ask.max_new_tokens or _MOST_OF_CLASS, [place])
    return tuple(requests)


def _texts(
    ask: AskSettings, prompts: Sequence[Messages], most: int, places: Sequence[str] = ()
) -> tuple[Request, ...]:
    return tuple(
        written(
            ask.interface, messages, place=places[k] if places else f"row {k + 1}", most=most,
            temperature=ask.temperature, seed=ask.seed,
        )
        for k, messages in enumerate(prompts)
    )  # fmt: skip


def _system(ask: AskSettings) -> Messages:
    return [{"role": "system", "content": ask.system}] if ask.system else []


def _turns(ask: AskSettings, rows: Examples, row: int) -> Messages:
    """The turns before the response of a row."""
    if "turns" not in rows.fields:
        return [*_system(ask), {"role": "user", "content": _worded(ask, rows.texts[0][row])}]
    turns = [message(turn) for turn in rows.fields["turns"][row][:-1]]
    has_system = turns[0]["role"] == "system"
    if ask.prompt:
        turns[-1] = {**turns[-1], "content": _worded(ask, turns[-1]["content"])}
    return turns if has_system else [*_system(ask), *turns]


def _worded(ask: AskSettings, text: str) -> str:
    wording = ask.prompt or "{text}"
    return wording.format(text=text, text_a=text, text_b=text, choices="", response="")


def _explained(ask: AskSettings, rows: Examples, row: int) -> Messages:
    """The turns that request the rationale of a row."""
    turns = _turns(ask, rows, row)
    wording = ask.explain or (_EXPLAIN_POSTHOC if ask.posthoc else _EXPLAIN)
    more = wording.format(
        text=rows.texts[0][row], text_a="", text_b="", choices="",
        response=rows.texts[1][row] if ask.posthoc else "",
    )  # fmt: skip
    turns[-1] = {**turns[-1], "content": f"{turns[-1]['content']}\n\n{more}"}
    return turns
