"""Says how many rows of a task are cut because they are longer than ``data.max_length``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from raykd.data.base import TokenizedDataset
from raykd.results.sentences import listed

if TYPE_CHECKING:
    from raykd.task_setup.set_up import TaskSetup

ROLES = ("train", "validation", "test")


def cut_notes(setup: TaskSetup) -> Iterator[str]:
    """How many rows of each role are cut, of how many, and what they lose.

    Args:
        setup: The task. A teacher that reads other tokens than the student has a sentence of its
            own.
    """
    yield from _cut(setup, setup.student_splits, "")
    if not setup.tokenizers.same:
        yield from _cut(setup, setup.teacher_splits, "in tokens of the teacher, ")


def _cut(setup: TaskSetup, splits: Mapping[str, TokenizedDataset], whose: str) -> Iterator[str]:
    cut = [
        f"{splits[role].truncated:,} of {len(splits[role]):,} {role}"
        for role in ROLES
        if splits[role].truncated
    ]
    if not cut:
        return
    ends = [
        f"{splits[role].cut_responses:,} {role}" for role in ROLES if splits[role].cut_responses
    ]
    first = f" ({setup.task.cut_first} first)" if setup.task.cut_first else ""
    lost = f"; in {listed(ends)} rows the response loses its end" if ends else ""
    yield (
        f"{whose}{listed(cut)} rows are longer than data.max_length ({setup.spec.data.max_length}) "
        f"allows and are cut{first}{lost}"
    )
