"""A task as a teacher behind an address is asked about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from raykd.data.base import Examples, Task, TokenizedDataset
from raykd.models.signals.base import OutputSpec
from raykd.models.signals.unrecorded import TextPrompts


@dataclass(frozen=True, kw_only=True, slots=True)
class AskSettings:
    """How a teacher behind an address is asked, and in which words.

    Attributes:
        interface: `raykd.teachers.endpoint.requests.CHAT` or ``COMPLETIONS``.
        system: What comes before everything else; empty for nothing.
        prompt: A text with places in braces; empty for a wording of its own.
        explain: The same for rationales.
        choices: What the teacher calls a class, by its name; others have their names.
        score_by: How classes are scored: ``auto``, ``first_token``, ``choices`` or ``text``.
        score_splits: Whether it is asked about the rows that are scored, too.
        top_logprobs: Alternatives of every token.
        temperature: Of the distribution that tokens are drawn from; 0 takes the likeliest.
        seed: Of the draws.
        max_new_tokens: Most tokens of a text; None: as many as the task or the rationales have.
        rationale_tokens: Most tokens of a rationale, where `max_new_tokens` is None.
        posthoc: Whether rationales are asked for with the response.
        concurrent: Requests at the same time.
    """

    interface: str
    system: str
    prompt: str
    explain: str
    choices: Mapping[str, str]
    score_by: str
    score_splits: bool
    top_logprobs: int
    temperature: float
    seed: int
    max_new_tokens: int | None
    rationale_tokens: int
    posthoc: bool
    concurrent: int


@dataclass(frozen=True, kw_only=True, slots=True)
class EndpointTask:
    """A task whose teacher is behind an address.

    Attributes:
        url: The address.
        model: The teacher, as the server calls it.
        ask: How it is asked.
        task: The task.
        rows: Its rows by role.
        student_splits: The same as the student reads them.
        output_spec: What the methods read from the teacher.
        own_prompts: Prompts for texts of the teacher, by the name of the signal that needs them.
        max_length: Most tokens of a row.
    """

    url: str
    model: str
    ask: AskSettings
    task: Task
    rows: Mapping[str, Examples]
    student_splits: Mapping[str, TokenizedDataset]
    output_spec: OutputSpec
    own_prompts: Mapping[str, TextPrompts]
    max_length: int

    @property
    def teacher(self) -> str:
        """The teacher in messages."""
        return f"{self.model} at {self.url}"
