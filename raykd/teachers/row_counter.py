"""Which rows are still to pass through a teacher, and how many of them have."""

from __future__ import annotations

from collections.abc import Callable

from raykd.models.signals.base import OutputSpec
from raykd.teachers.inputs import Progress, TaskInputs, scored_roles
from raykd.teachers.recording import kept


class RowCounter:
    """Counts the rows that pass through the teacher, and reports the count as progress.

    Rows that two roles share pass once.
    """

    def __init__(self, inputs: TaskInputs, progress: Progress) -> None:
        self._progress = progress
        self._splits = splits = inputs.teacher_splits
        roles = [r for r in scored_roles(splits) if r not in inputs.known.scores]
        if missing_outputs(inputs) is not None:
            roles.append("train")
        # Tokens are scored role by role.
        once = {(id(s), r if s.token_labels else ""): len(s) for r in roles for s in [splits[r]]}
        self._total = sum(once.values())
        self.done = 0

    def of(self, role: str) -> Callable[[int], None]:
        """A function to call with the number of rows of a role that are done."""
        before = self.done
        self.done += len(self._splits[role])
        return lambda done: self._progress("record", before + done, self._total, role)


def missing_outputs(inputs: TaskInputs) -> OutputSpec | None:
    """The outputs on the train rows that are still to be recorded, None if there are none."""
    if not inputs.records():
        return None
    wanted, known = inputs.train_output_spec(), inputs.known.cached_outputs
    if known is None:
        return wanted
    token_labels = inputs.teacher_splits["train"].token_labels
    missing = [s.name for s in kept(wanted, token_labels=token_labels) if s not in known.signals]
    return wanted.only(missing) if missing else None
