"""Text generation that a search space describes itself: prompts and responses, or messages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from raykd.data import columns
from raykd.data.base import Array, Examples, TokenizedDataset
from raykd.data.batch import LABELLED
from raykd.data.chat_templates import (
    AUTO,
    PLACE,
    ChatTemplate,
    chat_template,
    has_places,
)
from raykd.data.conversations import Conversation, Turn, conversations, unanswered
from raykd.data.keys import at_key
from raykd.data.notes import note
from raykd.data.prompts import PromptLayout, frame, token_counts
from raykd.data.table import Faults, Table
from raykd.data.text_generation import Example, GenerationTask, rows_of
from raykd.data.turns import cut_in, dialogue, longest_turn, oldest_exchange
from raykd.data.user_rows import UserRows
from raykd.data.values import is_missing, number, row_name, shown
from raykd.errors import DataError

LossOn = Literal["last", "all"]
TooLong = Literal["oldest_turns", "context", "drop"]
PROMPT, CONTEXT = "prompt", "context"

_BETWEEN = "\n\n"
_NO_RESPONSE = "-"
"""Stands for a response that is not read."""


@dataclass(frozen=True, kw_only=True)
class OwnText(GenerationTask, UserRows):
    """Conversations in columns that the user names.

    Attributes:
        prompt: Column of the prompt; empty with `messages`.
        context: Column of a text that is read with it, and cut first; empty: none.
        response: Column of the response, or of a list of accepted ones.
        messages: Column of whole conversations; empty with `prompt`.
        system: Begins conversations that have no system turn; empty: nothing does.
        template: See `raykd.data.chat_templates.chat_template`; or a text with ``{prompt}``.
        template_args: Further variables of the template.
        loss_on: The last turn of the assistant, or all of them.
        too_long: What is cut of a conversation that is too long.
        max_prompt: Most tokens of a prompt, None: half of ``data.max_length``.
    """

    prompt: str = ""
    context: str = ""
    response: str = "response"
    messages: str = ""
    system: str = ""
    template: str = AUTO
    template_args: Mapping[str, Any] = field(default_factory=dict)
    loss_on: LossOn = "last"
    too_long: TooLong = "context"
    max_prompt: int | None = None

    def read_table(self, table: Table) -> Examples:
        """Conversations; what a model reads of a row is the text of all turns but the last."""
        accepted: Sequence[tuple[str, ...]]
        if self.messages:
            with at_key(".messages"):
                dialogues = conversations(table, self.messages, self.system, own=self.name)
            accepted = [(turns[-1].content,) for turns in dialogues]
            within = [longest_turn(turns) for turns in dialogues]
        else:
            accepted = self._responses(table)
            dialogues, within = self._prompts(table, accepted)
        ids = columns.spelled_out(table, "id") if "id" in table.columns else [""] * len(table)
        rows = rows_of(
            [
                Example(
                    before=_BETWEEN.join(turn.content for turn in turns[:-1]),
                    response=turns[-1].content,
                    accepted=answers,
                    row=row,
                )
                for turns, answers, row in zip(dialogues, accepted, ids, strict=True)
            ],
            table,
        )
        kept = ("answers", "rationales", "ids")
        fields = {name: rows.fields[name] for name in kept}
        return replace(rows, fields={**fields, "turns": tuple(dialogues), "within": tuple(within)})

    def read_unlabelled(self, table: Table) -> Examples:
        """The prompts alone; of messages, those before the last one of the assistant.

        Raises:
            DataError: All turns are learnt, so that a row without a response is none.
        """
        if self.loss_on == "all":
            raise DataError(
                f"all responses of a row of {self.name} are learnt (loss_on: all), and without the "
                "last one the others would be learnt from the data",
                hint="loss_on: last, or remove data.unlabelled",
            )
        name = self.messages or self.response
        values = [_NO_RESPONSE] * len(table)
        if self.messages:
            values = [unanswered(cell) for cell in table.column(name)]
        return self.read_table(replace(table, columns={**table.columns, name: values}))

    def _prompts(
        self, table: Table, accepted: Sequence[tuple[str, ...]]
    ) -> tuple[list[Conversation], list[tuple[int, int, int]]]:
        """Conversations of one question, and which of its characters may be cut."""
        with at_key(".prompt"):
            prompts = _spoken(table, self.prompt, f"prompt of task '{self.name}'")
        contexts: Sequence[str] = [""] * len(table)
        if self.context:
            with at_key(".context"):
                table.column(self.context, f"context of task '{self.name}'")
                contexts = columns.optional_texts(table, self.context)
        first = [Turn(role="system", content=self.system)] if self.system else []
        dialogues, within = [], []
        for prompt, context, answers in zip(prompts, contexts, accepted, strict=True):
            content, (begin, end) = self._worded(prompt, context)
            question = Turn(role="user", content=content)
            dialogues.append((*first, question, Turn(role="assistant", content=answers[0])))
            within.append((len(first), begin, end))
        return dialogues, within

    def _worded(self, prompt: str, context: str) -> tuple[str, tuple[int, int]]:
        """What the user says, and the characters of it that may be cut."""
        wording = f"{{{PROMPT}}}" + (f"{_BETWEEN}{{{CONTEXT}}}" if context else "")
        if has_places(self.template):
            wording = self.template
        values = {PROMPT: prompt, CONTEXT: context}
        text, cut = "", (0, 0)
        for k, part in enumerate(PLACE.split(wording)):
            more = values[part] if k % 2 else part
            if k % 2 and part == (CONTEXT if context else PROMPT):
                cut = (len(text), len(text) + len(more))
            text += more
        return text, cut

    def _responses(self, table: Table) -> list[tuple[str, ...]]:
        """The accepted responses of every row: a text or a number, or a list of them."""
        every: list[tuple[str, ...]] = []
        faults = Faults(table.origin)
        with at_key(".response"):
            for row, value in enumerate(
                table.column(self.response, f"response of task '{self.name}'")
            ):
                several = value if isinstance(value, list | tuple) and len(value) else [value]
                texts = [t if isinstance(t, str) else _number_text(t) for t in several]
                if any(text is None for text in texts):
                    what = f"column '{self.response}' holds {shown(value)}, expected a text"
                    faults.add("rows have no response in words", table.place(row), what, "repair")
                    texts = [""]
                every.append(tuple(text or "" for text in texts))
            faults.check()
        return every

    def layout(self, tokenizer: Any) -> PromptLayout:
        """A tokenizer's own template writes the special tokens itself."""
        return PromptLayout(
            has_specials=self._template(tokenizer).is_own, max_prompt=self.max_prompt
        )

    def _template(self, tokenizer: Any) -> ChatTemplate:
        if has_places(self.template):
            return chat_template("verbatim", "", tokenizer, {})
        default = "turns" if self.messages else "plain"
        return chat_template(self.template, default, tokenizer, self.template_args)

    def rendered(self, rows: Examples, tokenizer: Any, max_length: int) -> Examples:
        """Prompts and responses by the template, without the turns that do not fit."""
        if self.loss_on == "all" and not self.task_kind.is_joined:
            raise DataError(
                f"loss_on: all of task {self.name} is for decoders: an encoder-decoder writes one "
                "response to what it reads",
                hint="loss_on: last",
            ).at(".loss_on")
        template = self._template(tokenizer)
        texts_of_turns = zip(rows.fields["turns"], rows.texts[1], strict=True)
        turns = [(*of[:-1], of[-1].with_content(text)) for of, text in texts_of_turns]
        if unread := Counter(key for own in turns for key in template.unread(own)):
            parts = " and ".join(f"{key} of {count:,}" for key, count in unread.items())
            note(f"{self.name}: the chat template leaves out {parts} conversations")
        if self.too_long == "oldest_turns":
            turns = self._without_oldest(turns, template, max_length)
        places = [
            self._within(own, whole, within)
            for own, whole, within in zip(
                turns, rows.fields["turns"], rows.fields["within"], strict=True
            )
        ]
        pairs = [template.render(own, place[0]) for own, place in zip(turns, places, strict=True)]
        cut = [cut_in(one, place) for one, place in zip(pairs, places, strict=True)]
        fields = {
            **rows.fields,
            "cut": tuple(cut),
            "prefix_at": tuple(one.place[0] for one in pairs),
            "answers": tuple(
                (*answers, *([one.lead + answers[0]] if one.lead.strip() else []))
                for one, answers in zip(pairs, rows.fields["answers"], strict=True)
            ),
        }
        marks = rows.fields.get(LABELLED) or (1.0,) * len(rows)
        # Nothing follows a prompt without a response, not what a template writes after it either.
        texts = [
            (one.prompt, one.response if is_labelled else "")
            for one, is_labelled in zip(pairs, marks, strict=True)
        ]
        if self.loss_on == "all":
            dialogues = [dialogue(template, own) for own in turns]
            texts = [(prompt, response) for prompt, response, _ in dialogues]
            # What may be cut must be in the part that comes before all responses.
            fields["cut"] = tuple(
                place if place[1] <= len(prompt) else (len(prompt), len(prompt))
                for place, (prompt, _) in zip(cut, texts, strict=True)
            )
            fields["spoken"] = tuple(spoken for _, _, spoken in dialogues)
        prompts, responses = zip(*texts, strict=True)
        return replace(rows, texts=(prompts, responses), fields=fields)

    def _within(
        self, turns: Conversation, whole: Conversation, within: tuple[int, int, int]
    ) -> tuple[int, int, int]:
        """The number of the turn that may be cut, and which of its characters."""
        if len(turns) == len(whole) and self.too_long != "oldest_turns":
            return within
        last = len(turns) - 2
        return last, 0, len(turns[last].content)

    def _without_oldest(
        self, every: Sequence[Conversation], template: ChatTemplate, max_length: int
    ) -> list[Conversation]:
        """Conversations without the oldest exchanges, as many of them as it takes to fit."""
        dialogues = list(every)
        left = [row for row, turns in enumerate(dialogues) if oldest_exchange(turns)]
        while left:
            fits = self._fits([dialogues[row] for row in left], template, max_length)
            left = [row for row, is_fitting in zip(left, fits, strict=True) if not is_fitting]
            for row in left:
                begin, end = oldest_exchange(dialogues[row]) or (0, 0)
                dialogues[row] = (*dialogues[row][:begin], *dialogues[row][end:])
            left = [row for row in left if oldest_exchange(dialogues[row])]
        return dialogues

    def _fits(
        self, every: Sequence[Conversation], template: ChatTemplate, max_length: int
    ) -> list[bool]:
        """Whether prompt and response of each are short enough as they are."""
        tokenizer = template.tokenizer
        around = 0 if template.is_own else sum(len(part) for part in frame(tokenizer))
        room = self.layout(tokenizer).room(max_length) - around
        pairs = [template.render(turns, len(turns) - 2) for turns in every]
        prompts = token_counts([one.prompt for one in pairs], tokenizer)
        responses = token_counts([one.response for one in pairs], tokenizer)
        responses += [not one.response.endswith(tokenizer.eos_token) for one in pairs]
        joined = self.task_kind.is_joined
        whole = prompts + responses + around if joined else responses
        is_short = whole <= max_length
        if self.loss_on == "last":  # a prompt of turns that are learnt, too, is no mere prompt
            is_short &= prompts <= room
        fits: list[bool] = is_short.tolist()
        return fits

    def too_long_rows(self, rows: Examples, tokenizer: Any, max_length: int) -> Array:
        """Which rows do not fit as they are, bool ``[N]``."""
        template = self._template(tokenizer)
        return ~np.asarray(self._fits(rows.fields["turns"], template, max_length), bool)

    def left_out(self, rows: Examples, tokenizer: Any, max_length: int) -> Array | None:
        """With ``too_long: drop``, the rows that do not fit."""
        if self.too_long != "drop":
            return None
        return self.too_long_rows(rows, tokenizer, max_length)

    def views(
        self, rows: Examples, tokenizer: Any, max_length: int
    ) -> Mapping[str, TokenizedDataset]:
        """Prompts that ask for responses and for rationales.

        Raises:
            DataError: Rows have several responses.
        """
        if self.loss_on == "all":
            raise DataError(
                f"rows of {self.name} have several responses (loss_on: all), and a rationale "
                "explains one",
                hint="loss_on: last, or leave out the methods that learn from rationales",
            ).at(".loss_on")
        return super().views(rows, tokenizer, max_length)

    def teacher_prompts(
        self, rows: Examples, tokenizer: Any, max_length: int, *, with_response: bool = False
    ) -> TokenizedDataset:
        """Prompts for the rationale of the last response."""
        one = replace(self, loss_on="last")
        return super(OwnText, one).teacher_prompts(
            rows, tokenizer, max_length, with_response=with_response
        )

    def encode(self, rows: Examples, tokenizer: Any, max_length: int) -> TokenizedDataset:
        """Conversations, as the template writes them."""
        encoded = super().encode(rows, tokenizer, max_length)
        if self.too_long != "oldest_turns":
            return encoded
        count = int(self.too_long_rows(rows, tokenizer, max_length).sum())
        return replace(encoded, truncated=count)


def _spoken(table: Table, name: str, key: str) -> tuple[str, ...]:
    """A column of texts or numbers, none of them empty."""
    values = table.column(name, key)
    spoken = [_number_text(value) or value for value in values]
    texts = columns.texts(replace(table, columns={name: spoken}, twice=frozenset()), name)
    faults = Faults(table.origin)
    for row, text in enumerate(texts):
        if not text.strip():
            what = f"column '{name}' is empty"
            faults.add("rows have an empty prompt", table.place(row), what, "remove them")
    faults.check()
    return texts


def _number_text(value: Any) -> str | None:
    """A number as a text, without a point where it is whole; None for anything else."""
    if isinstance(value, str) or is_missing(value) or number(value) is None:
        return None
    return row_name(value)
