"""Rationales: texts that explain the responses of the rows, from the data or by the teacher."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from raykd.data.base import Examples, TokenizedDataset
from raykd.data.prompts import with_rationales
from raykd.data.row_checks import check_rationales
from raykd.models.signals.unrecorded import TextPrompts, TrainRows, UnrecordedSignal


@dataclass(frozen=True, slots=True)
class Rationales(UnrecordedSignal):
    """Rationale texts of the rows."""

    title = "rationales"
    of_teacher = False
    needs_views = True
    texts = "teacher_rationales"
    stream = "explained"

    @property
    def name(self) -> str:
        """``rationales``."""
        return "rationales"

    def own_prompts(self, train: TrainRows) -> TextPrompts | None:
        """The prompts for rationales of the teacher, where ``data.rationales`` names it."""
        wanted, length = train.settings, train.max_length
        if not wanted.by_teacher:
            return None
        return TextPrompts(
            prompts=train.task.teacher_prompts(train.rows, train.student_tokenizer, length),
            teacher_prompts=train.task.teacher_prompts(
                train.rows,
                train.teacher_tokenizer,
                length,
                with_response=wanted.source == "teacher_posthoc",
            ),
            # A prompt has half of the length; the rest is for the text.
            max_new_tokens=min(wanted.max_new_tokens, length // 2),
        )

    def check_rows(self, task: str, train: Examples, own: TextPrompts | None) -> None:
        """Some row has one, unless the teacher generates them.

        Raises:
            DataError: None has.
        """
        if own is None:
            check_rationales(task, train)

    def with_texts(
        self, splits: Mapping[str, TokenizedDataset], texts: TokenizedDataset
    ) -> dict[str, TokenizedDataset]:
        """The train rows with the rationales of the teacher in their views."""
        return {**splits, "train": with_rationales(splits["train"], texts)}
