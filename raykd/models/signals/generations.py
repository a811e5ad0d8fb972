"""Generations: responses of the teacher, in place of those of the task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from raykd.data.base import TokenizedDataset
from raykd.models.signals.base import OutputSpec
from raykd.models.signals.unrecorded import TextPrompts, UnrecordedSignal


@dataclass(frozen=True, slots=True)
class Generations(UnrecordedSignal):
    """Responses that the teacher generated, in place of those of the task."""

    title = "generated text"
    in_place_of_labels = True
    texts = "teacher_text"
    stream = "written"

    @property
    def name(self) -> str:
        """``generations``."""
        return "generations"

    def needs_running_model(self, output_spec: OutputSpec) -> bool:
        """Where anything else is read on them: only the rows of the task are recorded."""
        return bool(output_spec.cacheable)

    def prompts(self, train: TextPrompts, own: TextPrompts | None) -> TextPrompts:
        """Those of the train rows."""
        return train

    def train_rows(self, splits: Mapping[str, TokenizedDataset]) -> TokenizedDataset:
        """The train rows with responses of the teacher."""
        return splits[self.texts]

    def counts(self, splits: Mapping[str, TokenizedDataset]) -> dict[str, int]:
        """Responses that were cut."""
        cut = splits[self.texts].truncated if self.texts in splits else 0
        return {"with a cut response of the teacher": cut} if cut else {}
