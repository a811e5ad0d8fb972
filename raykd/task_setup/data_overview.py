"""Looks at the data of a sweep as its students read them, before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from raykd.data.base import Examples, Task
from raykd.data.notes import listening
from raykd.data.overview import Lengths, Sample, class_counts, lengths, samples
from raykd.data.unlabelled_files import unlabelled_count
from raykd.errors import Unreachable
from raykd.spec.descriptions import describe_data
from raykd.spec.schema import SweepSpec
from raykd.task_setup.named_teachers import set_up_named, teacher_names
from raykd.task_setup.set_up import load_roles, setup_notes
from raykd.task_setup.tasks import task_of


@dataclass(frozen=True, kw_only=True, slots=True)
class DataOverview:
    """What the data of a task look like.

    Attributes:
        task: Its name.
        source: Where its rows come from.
        rows: Rows by role.
        without_label: Rows by role that have no label; only where there are any.
        classes: Rows with a label by class and role, or words; empty for tasks without classes.
        counted: What `classes` counts: ``rows`` or ``words``.
        lengths: How long the rows of a role are, in the student's tokens.
        samples: Some train rows as the student reads them.
        max_length: Most tokens of a row.
        notes: What a user should know: rows in several splits, classes without rows, and the like.
        missing: Why tokens could not be looked at; empty when they were.
    """

    task: str
    source: str
    rows: Mapping[str, int]
    classes: Mapping[str, Mapping[str, int]]
    max_length: int
    without_label: Mapping[str, int] = field(default_factory=dict)
    counted: str = "rows"
    lengths: Mapping[str, Lengths] = field(default_factory=dict)
    samples: Sequence[Sample] = ()
    notes: Sequence[str] = ()
    missing: str = ""


def data_overview(spec: SweepSpec, name: str, count: int = 3) -> DataOverview:
    """Read the rows and models of a task and look at them.

    Args:
        spec: The search space.
        name: The task.
        count: Samples that are wanted.

    Raises:
        RaykdError: As `set_up_task`.
    """
    try:
        setup = set_up_named(spec, name, teacher_names(spec)[0])
    except Unreachable as exc:
        with listening() as heard:
            task = task_of(spec, name)
            rows = load_roles(task, spec, name)
        return replace(_of_rows(spec, task, rows), notes=tuple(heard), missing=exc.message)
    tokenizer = setup.tokenizers.student
    return replace(
        _of_rows(spec, setup.task, setup.rows),
        lengths={
            role: lengths(setup.task, setup.rows[role], encoded, tokenizer)
            for role, encoded in setup.student_splits.items()
        },
        samples=samples(setup.task, setup.student_splits["train"], tokenizer, count),
        notes=tuple(message for message, _ in setup_notes(setup)),
    )


def _of_rows(spec: SweepSpec, task: Task, rows: Mapping[str, Examples]) -> DataOverview:
    """What is known without a tokenizer."""
    return DataOverview(
        task=task.name,
        source=describe_data(spec, task.name),
        rows={role: len(part) for role, part in rows.items()},
        without_label={r: count for r, part in rows.items() if (count := unlabelled_count(part))},
        classes=class_counts(task, rows),
        counted="words" if task.task_kind.labels_of == "token" else "rows",
        max_length=spec.data.max_length,
    )
