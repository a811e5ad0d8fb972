"""Which tokens are compared where teacher and student split text differently."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from raykd.data.base import Batch, TokenizedDataset
from raykd.data.token_pairs import PAIRS, TEACHER_TOKENS, BytesOf, with_pairs
from raykd.models.signals.aligned_tokens import AlignedTokens


@dataclass(frozen=True, slots=True)
class TokenPairs(AlignedTokens):
    """Pairs of tokens with a label, found once when rows are read.

    Attributes:
        way: How, a name of `raykd.data.token_pairs.WAYS`.
    """

    way: str

    title = "pairs of tokens"

    @property
    def name(self) -> str:
        """``token_pairs/<way>``."""
        return PAIRS + self.way

    def aligned(
        self, student: TokenizedDataset, teacher: TokenizedDataset, bytes_of: BytesOf
    ) -> TokenizedDataset:
        """The rows with their pairs, and how many tokens the teacher has."""
        return with_pairs(student, teacher, [self.way], bytes_of)

    def of(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The numbers of the tokens that are compared, int64 ``[P]`` each.

        Those of the student count its tokens with a label in the batch, those of the teacher the
        teacher's.
        """
        pairs = batch.columns[self.name].long()
        counts = torch.from_numpy(batch.label_counts).to(pairs.device)
        others = batch.columns[TEACHER_TOKENS]
        row, token = (pairs >= 0).nonzero(as_tuple=True)
        starts = counts.cumsum(0) - counts
        other_starts = others.cumsum(0) - others
        return starts[row] + token, other_starts[row] + pairs[row, token]

    def count(self, batch: Batch) -> Tensor:
        """How many there are, a scalar."""
        return (batch.columns[self.name] >= 0).sum()
