"""Answer choices: the tokens that tell the choices of a row apart."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from raykd.data.answer_choices import CHOICE_POSITION, CHOICE_TOKENS
from raykd.data.base import Batch, Examples, TokenizedDataset
from raykd.data.row_checks import check_choices
from raykd.models.signals.unrecorded import UnrecordedSignal


@dataclass(frozen=True, slots=True)
class AnswerChoices(UnrecordedSignal):
    """The tokens that tell the answer choices of a row apart; see `raykd.data.answer_choices`."""

    title = "answer choices"
    of_teacher = False

    @property
    def name(self) -> str:
        """``answer_choices``."""
        return "answer_choices"

    def check_tokens(self, task: str, train: Examples, encoded: TokenizedDataset) -> None:
        """Every row has choices, which begin with different tokens.

        Raises:
            DataError: Names the first row where they do not.
        """
        check_choices(task, train, encoded)

    def of(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Those of a batch: tokens ``[B, C]`` and the place in the response, ``[B]``."""
        return batch.columns[CHOICE_TOKENS], batch.columns[CHOICE_POSITION]
