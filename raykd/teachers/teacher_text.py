"""Teacher text: responses and rationales generated for the train rows, once for all students."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from torch import nn

from raykd.data.base import Array, PlainTokenizer, TokenizedDataset
from raykd.data.prompts import following, joined_row, with_rows
from raykd.models.generation import GenerationSettings, generate, max_generated
from raykd.models.inference import batches_by_length
from raykd.models.signals.unrecorded import TextPrompts


@dataclass(frozen=True, kw_only=True, slots=True)
class TeacherTextSettings:
    """How a teacher generates text that students read.

    Attributes:
        tokens: Its tokens: which of them end a text and pad.
        max_new_tokens: Maximum number of them in a response.
        vocabulary: Only token ids below this are generated.
        student_positions: Maximum row length of a student in tokens; None = any.
        student_tokens: The students' tokens, where they split text differently; else None.
        max_length: Rows of students who split text differently are cut to so many tokens.
    """

    tokens: PlainTokenizer
    max_new_tokens: int
    vocabulary: int
    student_positions: int | None = None
    student_tokens: PlainTokenizer | None = None
    max_length: int

    def generation(self) -> GenerationSettings:
        """Sampling at temperature 1; rows that have ended are padded."""
        return GenerationSettings(
            max_new_tokens=self.max_new_tokens,
            end=self.tokens.end,
            pad=self.tokens.pad,
            sample=True,
            vocabulary=self.vocabulary,
        )

    def responses(
        self, prompts: Sequence[Array], generated: Sequence[Array], *, joined: bool
    ) -> list[Array]:
        """The responses that students read, with the end token where the teacher generated one.

        Args:
            prompts: As the students read them.
            generated: The teacher's token ids, as far as the one that ends a text.
            joined: Whether they read both as one text, as decoders do.
        """
        own = replace(self.generation(), positions=self.student_positions)
        if self.student_tokens is None:
            return [
                row[: max_generated(len(p), own)] for p, row in zip(prompts, generated, strict=True)
            ]
        ended = [len(row) > 0 and row[-1] == self.tokens.end for row in generated]
        texts = self.tokens.decode([row.tolist() for row in generated])
        return _ended_texts(prompts, texts, ended, self.student_tokens, joined=joined)


def _ended_texts(
    prompts: Sequence[Array],
    texts: Sequence[str],
    ended: Sequence[bool],
    tokens: PlainTokenizer,
    *,
    joined: bool,
) -> list[Array]:
    """Texts as a model's tokenizer splits them after its prompts, those that ended with an end."""
    responses = following(prompts, texts, tokens, joined=joined)
    end = np.asarray([tokens.end], np.int64)
    # A text of which nothing is left is one that ends at once.
    return [
        np.concatenate([ids, end]) if over or not len(ids) else ids
        for ids, over in zip(responses, ended, strict=True)
    ]


def followed_by(
    rows: TokenizedDataset,
    texts: Sequence[str],
    ended: Sequence[bool],
    tokens: PlainTokenizer,
    max_length: int,
) -> TokenizedDataset:
    """The rows with texts from elsewhere as responses.

    Args:
        rows: The students'; their responses are not read.
        texts: One for each.
        ended: Whether it is whole; one that was cut has no end token, as has one that is too long.
        tokens: The students'.
        max_length: Rows are cut to so many tokens.
    """
    own = [rows.prompt(row) for row in range(len(rows))]
    joined = rows.label_offsets is None
    responses = _ended_texts(own, texts, ended, tokens, joined=joined)
    return _rows_of(rows, own, responses, tokens.end, max_length)


def _rows_of(
    rows: TokenizedDataset,
    prompts: Sequence[Array],
    responses: Sequence[Array],
    end: int,
    most: int | None,
) -> TokenizedDataset:
    """Rows of other responses; those without the end token are counted as cut."""
    joined = rows.label_offsets is None
    made = [
        joined_row(p.astype("int64"), out, most or len(p) + len(out)) if joined else (p, out[:most])
        for p, out in zip(prompts, responses, strict=True)
    ]
    cut = sum(labels[-1] != end for _, labels in made)
    return replace(with_rows(rows, made), truncated=int(cut))


def with_teacher_text(
    model: nn.Module,
    prompts: TextPrompts,
    text_settings: TeacherTextSettings,
    batch_size: int,
    progress: Callable[[int], None],
) -> TokenizedDataset:
    """The rows with responses that are drawn from the teacher at temperature 1.

    Draws come from the generator of the device: seed it before. Responses without an end token, as
    they are longer than `text_settings` or the positions of a model allow, are counted by
    `TokenizedDataset.truncated`.

    Args:
        model: The teacher, on its device.
        prompts: What it continues; responses of these rows are not read.
        text_settings: How it writes.
        batch_size: Rows that are written at a time.
        progress: Called with the number of rows done.
    """
    generation = text_settings.generation()
    rows, teacher_rows = prompts.prompts, prompts.teacher_prompts
    read = [teacher_rows.prompt(row) for row in range(len(teacher_rows))]
    lengths = np.asarray([len(prompt) for prompt in read])
    generated_ids: dict[int, Array] = {}
    for some in batches_by_length(lengths, batch_size):
        generated = generate(model, [read[k] for k in some], generation).cpu().numpy()
        generated_ids |= {
            k: _with_end(row, generation.end)
            for k, row in zip(some.tolist(), generated, strict=True)
        }
        progress(len(generated_ids))
    own = [rows.prompt(row) for row in range(len(rows))]
    joined = rows.label_offsets is None
    responses = text_settings.responses(
        own, [generated_ids[k] for k in range(len(rows))], joined=joined
    )
    end = (
        generation.end if text_settings.student_tokens is None else text_settings.student_tokens.end
    )
    most = None if text_settings.student_tokens is None else text_settings.max_length
    return _rows_of(rows, own, responses, end, most)


def _with_end(row: Array, end: int) -> Array:
    """The generated tokens up to and including the end token."""
    ends = (row == end).nonzero()[0]
    return row[: ends[0] + 1] if len(ends) else row
