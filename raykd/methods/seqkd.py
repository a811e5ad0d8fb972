"""Sequence-level distillation: fine-tuning on responses that the teacher wrote."""

from __future__ import annotations

from raykd.data.task_kinds import TEXT_KINDS
from raykd.methods.base import OutputSpec
from raykd.methods.none import NoTeacher, Params
from raykd.models.signals.generations import Generations

__all__ = ["METHOD", "Params"]


class SeqKD(NoTeacher):
    """The likelihood of the teacher's responses, which it generates once for all trials.

    Kim and Rush, 2016. Of the teacher nothing but its text is known.
    """

    title = "fine-tuning on responses of the teacher"
    reference = "https://arxiv.org/abs/1606.07947"
    authors = "Kim and Rush 2016"
    requires = OutputSpec(Generations())
    kinds = TEXT_KINDS


METHOD = SeqKD
