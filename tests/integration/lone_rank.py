"""A method of which one rank alone fails, or dies as often as a file says."""

import os
from dataclasses import dataclass
from pathlib import Path

import torch.distributed as dist

from raykd import LossTerms, Method, OutputSpec, param


@dataclass(frozen=True, kw_only=True, slots=True)
class Params:
    """What the second rank does."""

    how: str = param("raise", choices=("raise", "die"), help="What.")
    counted: str = param("", help="A file with a letter for every death that is to come.")


class LoneRank(Method[Params]):
    """The task loss."""

    title = "task loss, not on every rank"
    reference = "https://example.org"
    requires = OutputSpec()

    def loss(self, batch, student, teacher):
        if dist.get_rank() == 1:
            if self.params.how == "raise":
                raise ValueError("only here")
            file = Path(self.params.counted)
            if left := file.read_text():
                file.write_text(left[1:])
                os._exit(7)
        return LossTerms(task=student.task_loss)


METHOD = LoneRank
