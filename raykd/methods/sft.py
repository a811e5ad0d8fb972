"""Supervised fine-tuning: the likelihood of given responses, without a teacher."""

from __future__ import annotations

from raykd.data.task_kinds import TEXT_KINDS
from raykd.methods.none import NoTeacher, Params

__all__ = ["METHOD", "Params"]


class SFT(NoTeacher):
    """The mean negative log-likelihood of the tokens of responses."""

    title = "fine-tuning on given responses, without a teacher"
    kinds = TEXT_KINDS


METHOD = SFT
