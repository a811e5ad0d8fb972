"""The running model: the teacher next to the student, to read text that is not recorded."""

from __future__ import annotations

from dataclasses import dataclass

from raykd.models.signals.base import OutputSpec
from raykd.models.signals.unrecorded import UnrecordedSignal


@dataclass(frozen=True, slots=True)
class RunningModel(UnrecordedSignal):
    """The teacher itself, to read text that is not recorded."""

    title = "the running model"

    @property
    def name(self) -> str:
        """``running_model``."""
        return "running_model"

    def needs_running_model(self, output_spec: OutputSpec) -> bool:
        """It is one."""
        return True
