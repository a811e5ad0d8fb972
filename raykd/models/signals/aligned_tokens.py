"""The contract of signals that say which tokens are compared, where two tokenizers split text."""

from __future__ import annotations

from abc import abstractmethod

from raykd.data.base import TokenizedDataset
from raykd.data.token_pairs import BytesOf
from raykd.models.signals.unrecorded import UnrecordedSignal


class AlignedTokens(UnrecordedSignal):
    """Columns of the train rows, made once when these are read."""

    of_teacher = False

    @abstractmethod
    def aligned(
        self, student: TokenizedDataset, teacher: TokenizedDataset, bytes_of: BytesOf
    ) -> TokenizedDataset:
        """The student's rows with these columns.

        Args:
            student: Rows as the student reads them.
            teacher: The same as the teacher does.
            bytes_of: What each token stands for, of student and teacher.
        """
