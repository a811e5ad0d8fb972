"""Signals that no recording holds: text beside the rows, and a teacher that must run."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from raykd.data.answer_choices import CHOICE_POSITION, CHOICE_TOKENS
from raykd.data.base import Batch
from raykd.models.signals.base import OutputSpec, Signal


@dataclass(frozen=True, slots=True)
class Generations(Signal):
    """Responses that the teacher wrote, in place of those of the task."""

    title = "generated text"
    is_recorded = False

    @property
    def name(self) -> str:
        """``generations``."""
        return "generations"


@dataclass(frozen=True, slots=True)
class Rationales(Signal):
    """Rationale texts of the rows."""

    title = "rationales"
    is_recorded = False

    @property
    def name(self) -> str:
        """``rationales``."""
        return "rationales"


@dataclass(frozen=True, slots=True)
class AnswerChoices(Signal):
    """The tokens that tell the answer choices of a row apart; see `raykd.data.answer_choices`."""

    title = "answer choices"
    is_recorded = False

    @property
    def name(self) -> str:
        """``answer_choices``."""
        return "answer_choices"

    def of(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Those of a batch: tokens ``[B, C]`` and the place in the response, ``[B]``."""
        return batch.columns[CHOICE_TOKENS], batch.columns[CHOICE_POSITION]


@dataclass(frozen=True, slots=True)
class RunningModel(Signal):
    """The teacher itself, to read text that is not recorded."""

    title = "the running model"
    is_recorded = False

    @property
    def name(self) -> str:
        """``running_model``."""
        return "running_model"


def needs_running_model(output_spec: OutputSpec) -> bool:
    """Whether the teacher must run while students train: it is asked about text not recorded.

    Recorded are the rows of the task; what the teacher wrote to them is other text.
    """
    return RunningModel() in output_spec or (
        Generations() in output_spec and bool(output_spec.cacheable)
    )
