"""Text-generation tasks: prompts and responses."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from raykd.data.base import EXPLAIN, PREDICT, Array, EvalReferences, Examples, TokenizedDataset
from raykd.data.batch import LABELLED
from raykd.data.kinds.causal_lm import KIND as CAUSAL_LM
from raykd.data.prompts import PLAIN_LAYOUT, PromptLayout, encode_prompts, without_labels
from raykd.data.rationales import rationales_as_input
from raykd.data.table import Faults, Table
from raykd.data.text_scores import Accepted, TextMeasure, Texts
from raykd.data.token_scores import TokenTask
from raykd.data.unlabelled import with_labelled
from raykd.data.values import shown
from raykd.errors import DataError


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """One row.

    Attributes:
        before: The prompt, up to the part that may be cut when it is too long.
        context: The part that may be cut.
        after: The rest of the prompt.
        response: The target text.
        accepted: Everything that is accepted as a response; the response alone when empty.
        prefix_at: Character of the prompt before which the name of a task is put, where a student
            learns several.
        rationale: Why the response is right; empty where there is none.
        choices: What the response is chosen from, itself among them; empty for free text.
        row: What the data calls this row; empty where it says nothing.
        llm_label: The label from a language model; empty where there is none.
    """

    before: str
    context: str = ""
    after: str = ""
    response: str
    accepted: tuple[str, ...] = ()
    prefix_at: int = 0
    rationale: str = ""
    choices: tuple[str, ...] = ()
    row: str = ""
    llm_label: str = ""


def rows_of(examples: Sequence[Example], origin: Table | str) -> Examples:
    """Prompts and responses; what may be cut, what is accepted and the like are fields.

    Args:
        examples: One per row.
        origin: Where they are from, for messages; a table knows the lines of its rows.

    Raises:
        DataError: There is no row, or a response is no text or empty; says how many, and the first.
    """
    table = Table(columns={}, origin=origin) if isinstance(origin, str) else origin
    if not examples:
        raise DataError(f"{table.origin} has no rows", hint="choose another split or file")
    faults = Faults(table.origin)
    for row, example in enumerate(examples):
        other = _no_text(example)
        if other:
            faults.add(
                "rows have something that is not text", table.place(row), other, "repair them"
            )
        elif not example.response.strip():
            kind = "rows have an empty response"
            faults.add(kind, table.place(row), "has an empty response", "remove them")
    faults.check()
    fields: dict[str, tuple[Any, ...]] = {
        "cut": tuple((len(e.before), len(e.before) + len(e.context)) for e in examples),
        "answers": tuple(e.accepted or (e.response,) for e in examples),
        "prefix_at": tuple(e.prefix_at for e in examples),
        "rationales": tuple(e.rationale for e in examples),
        "ids": tuple(e.row or str(row) for row, e in enumerate(examples)),
        "llm_label": tuple(e.llm_label for e in examples),
    }
    if any(e.choices for e in examples):
        fields["choices"] = tuple(e.choices for e in examples)
    return Examples(
        texts=(
            tuple(e.before + e.context + e.after for e in examples),
            tuple(e.response for e in examples),
        ),
        labels=np.zeros(len(examples), np.int64),
        fields=fields,
    )


def _no_text(example: Example) -> str:
    """What is no text of an example, which a task in Python may have made."""
    for name in ("before", "context", "after", "response"):
        value: object = getattr(example, name)
        if not isinstance(value, str):
            return f"'{name}' of its example is {shown(value)}, expected a text"
    return ""


def same_text(text: str, accepted: Sequence[str]) -> bool:
    """Whether a text is one of those accepted, letter by letter."""
    return text.strip() in {answer.strip() for answer in accepted}


class Measure(Protocol):
    """Metrics of texts against what is accepted for each."""

    def __call__(self, texts: Texts, accepted: Accepted) -> Mapping[str, float]:
        """Every metric."""

    def by_text(self, metric: str, texts: Texts, accepted: Accepted) -> Sequence[float] | None:
        """What each text adds to a metric that is a mean over texts; None for another one."""


GENERATED = TextMeasure(names=("rouge_l", "exact_match"))
"""Metrics of text that was generated freely."""


@dataclass(frozen=True, slots=True)
class Accuracy:
    """The share of texts that are right.

    Attributes:
        right: Whether a text is one of those accepted.
    """

    right: Callable[[str, Sequence[str]], bool]

    def __call__(self, texts: Texts, accepted: Accepted) -> Mapping[str, float]:
        """``accuracy``."""
        right = self.by_text("accuracy", texts, accepted)
        return {"accuracy": sum(right) / len(right)}

    def by_text(self, metric: str, texts: Texts, accepted: Accepted) -> list[float]:
        """1 for a text that is right, 0 for another."""
        return [float(self.right(t, a)) for t, a in zip(texts, accepted, strict=True)]


def with_task_prefix(rows: Examples, name: str) -> Examples:
    """The rows with the name of a task as a prefix in their prompts."""
    prefix = f"{name}: "
    prompts = tuple(
        text[:at] + prefix + text[at:]
        for text, at in zip(rows.texts[0], rows.fields["prefix_at"], strict=True)
    )
    cut = tuple((a + len(prefix), b + len(prefix)) for a, b in rows.fields["cut"])
    return replace(rows, texts=(prompts, *rows.texts[1:]), fields={**rows.fields, "cut": cut})


@dataclass(frozen=True, kw_only=True)
class GenerationTask(TokenTask):
    """A task whose rows are prompts and responses, for decoders and for encoder-decoders.

    Attributes:
        measure: Every metric of `text_metrics` from texts and the accepted responses of each.
    """

    measure: Measure = GENERATED
    kind: str = CAUSAL_LM.name
    cut_first: str = "the end of the prompt"
    metric: str = "log_likelihood"
    metrics: tuple[str, ...] = ("log_likelihood", "token_accuracy", "rouge_l", "exact_match")
    text_metrics: tuple[str, ...] = ("rouge_l", "exact_match")
    max_new_tokens: int = 256

    def read_by(self, kind: str) -> GenerationTask:
        """The task for a decoder, or for an encoder and a decoder."""
        return replace(self, kind=kind) if kind else self

    def read_of(self, rows: Examples) -> tuple[tuple[str, ...], ...]:
        """Prompts; the second text is the response."""
        return super().read_of(replace(rows, texts=rows.texts[:1]))

    def encode(self, rows: Examples, tokenizer: Any, max_length: int) -> TokenizedDataset:
        """Prompts, cut where they are too long, with the tokens of responses as labels."""
        if tokenizer.eos_token_id is None:
            raise DataError(
                "the tokenizer has no token that ends a text", hint="choose a model like GPT-2"
            )
        encoded = self._encode(self.rendered(rows, tokenizer, max_length), tokenizer, max_length)
        marks = rows.fields.get(LABELLED)
        if marks is None:
            return encoded
        return with_labelled(without_labels(encoded, np.asarray(marks) == 0), marks)

    def rendered(self, rows: Examples, tokenizer: Any, max_length: int) -> Examples:
        """The rows with prompts and responses as they are tokenised."""
        return rows

    def layout(self, tokenizer: Any) -> PromptLayout:
        """How prompts and responses are put together."""
        return PLAIN_LAYOUT

    def _encode(self, rows: Examples, tokenizer: Any, max_length: int) -> TokenizedDataset:
        return encode_prompts(rows, tokenizer, max_length, self.kind, self.layout(tokenizer))

    def views(
        self, rows: Examples, tokenizer: Any, max_length: int
    ) -> Mapping[str, TokenizedDataset]:
        """The two tasks of step-by-step distillation.

        ``predict`` is the rows with a prefix that asks for the response; its view ``explain`` asks
        for the rationale in the same way, and has no label where there is none.
        """
        rows = self.rendered(rows, tokenizer, max_length)
        explained = with_task_prefix(rows, EXPLAIN)
        explained = replace(explained, texts=(explained.texts[0], rows.fields["rationales"]))
        explain = self._encode(explained, tokenizer, max_length)
        silent = np.asarray([not text for text in rows.fields["rationales"]])
        explain = replace(without_labels(explain, silent), references=None)
        predict = self._encode(with_task_prefix(rows, PREDICT), tokenizer, max_length)
        return {PREDICT: replace(predict, views={EXPLAIN: explain})}

    def teacher_prompts(
        self, rows: Examples, tokenizer: Any, max_length: int, *, with_response: bool = False
    ) -> TokenizedDataset:
        """Prompts that begin with ``explain``, followed by the response if requested."""
        prompts = with_task_prefix(self.rendered(rows, tokenizer, max_length), EXPLAIN)
        if with_response:
            with_responses = replace(
                prompts, fields={**prompts.fields, "rationales": prompts.texts[1]}
            )
            prompts = rationales_as_input(with_responses, self.name)
        nothing = ("",) * len(rows)
        return self._encode(
            replace(prompts, texts=(prompts.texts[0], nothing)), tokenizer, max_length
        )

    def score_texts(self, texts: Sequence[str], references: EvalReferences) -> Mapping[str, float]:
        """Metrics of generated text."""
        return self.measure(texts, references.answers)

    def text_outcomes(
        self, metric: str, texts: Sequence[str], references: EvalReferences
    ) -> Array | None:
        """What each text adds to a metric."""
        values = self.measure.by_text(metric, texts, references.answers)
        return None if values is None else np.asarray(values)
