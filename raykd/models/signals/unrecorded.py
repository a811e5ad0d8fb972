"""The contract of signals that no recording holds: texts, and a teacher that must run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from raykd.data.base import Examples, Task, TokenizedDataset
from raykd.models.signals.base import OutputSpec, Signal


@dataclass(frozen=True, kw_only=True, slots=True)
class TextPrompts:
    """Prompts that the teacher continues, once for all students; one per train row.

    Attributes:
        prompts: As the students read them.
        teacher_prompts: As the teacher reads them, which may hold more.
        max_new_tokens: Maximum number of tokens of a text.
    """

    prompts: TokenizedDataset
    teacher_prompts: TokenizedDataset
    max_new_tokens: int


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainRows:
    """The train rows of a task before they are tokenised.

    Attributes:
        task: The task.
        rows: Its train rows.
        student_tokenizer: How students split text.
        teacher_tokenizer: How the teacher does.
        max_length: Longest row in tokens.
        settings: The section of ``data`` that is called like the signal, None if there is none.
    """

    task: Task
    rows: Examples
    student_tokenizer: Any
    teacher_tokenizer: Any
    max_length: int
    settings: Any = None


class UnrecordedSignal(Signal):
    """Something that goes with the rows of a task, or that only a running teacher gives.

    Attributes:
        needs_views: Whether it is read from views of the rows (`raykd.data.base.Task.views`).
        texts: What the rows with texts of the teacher are called in caches and among the splits;
            empty for signals that are no such text.
        stream: What the seed of these texts is derived from.
    """

    is_recorded = False
    needs_views: ClassVar[bool] = False
    texts: ClassVar[str] = ""
    stream: ClassVar[str] = ""

    def needs_running_model(self, output_spec: OutputSpec) -> bool:
        """Whether the teacher must run while students train, for a method that reads all this."""
        return False

    # ---- the rows of a task

    def own_prompts(self, train: TrainRows) -> TextPrompts | None:
        """Prompts of its own that the teacher continues, None where it needs none."""
        return None

    def check_rows(self, task: str, train: Examples, own: TextPrompts | None) -> None:
        """Refuse train rows that do not have it, before they are tokenised.

        Args:
            task: The name of the task.
            train: Its train rows.
            own: What `own_prompts` gave.

        Raises:
            DataError: Says what is missing.
        """

    def check_tokens(self, task: str, train: Examples, encoded: TokenizedDataset) -> None:
        """Refuse train rows that do not have it once students' tokenizer has split them.

        Raises:
            DataError: Names the row.
        """

    # ---- texts of the teacher

    def prompts(self, train: TextPrompts, own: TextPrompts | None) -> TextPrompts | None:
        """The prompts that the teacher continues, None where it generates nothing.

        Args:
            train: Those of the train rows.
            own: What `own_prompts` gave.
        """
        return own

    def with_texts(
        self, splits: Mapping[str, TokenizedDataset], texts: TokenizedDataset
    ) -> dict[str, TokenizedDataset]:
        """The rows by role with what the teacher generated: as rows of their own, by `texts`."""
        return {**splits, self.texts: texts}

    def train_rows(self, splits: Mapping[str, TokenizedDataset]) -> TokenizedDataset:
        """The rows that a method with this signal learns from."""
        return splits["train"]

    def counts(self, splits: Mapping[str, TokenizedDataset]) -> dict[str, int]:
        """What the report counts of the train rows, with a name that follows ``rows``."""
        return {}


def unrecorded(output_spec: OutputSpec) -> tuple[UnrecordedSignal, ...]:
    """The signals of an `OutputSpec` that no recording holds."""
    return tuple(signal for signal in output_spec if isinstance(signal, UnrecordedSignal))


def needs_running_model(output_spec: OutputSpec) -> bool:
    """Whether the teacher must run while students train: it is asked about text not recorded.

    Recorded are the rows of the task; what the teacher wrote to them is other text.
    """
    return any(signal.needs_running_model(output_spec) for signal in unrecorded(output_spec))
