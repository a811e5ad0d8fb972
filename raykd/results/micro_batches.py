"""Checks that methods that compare the items of a batch saw whole batches."""

from __future__ import annotations

from collections.abc import Iterator

from raykd.results.caveat import Caveat
from raykd.results.records import Status, SweepResult
from raykd.results.summary import ArmSummary, named


def cut_batches(result: SweepResult, task: str, arms: tuple[ArmSummary, ...]) -> Iterator[Caveat]:
    """Arms that compare within micro batches, because memory was short or the file says so."""
    cut: dict[tuple[str, str], int] = {}
    for trial in result.trials:
        if trial.task == task and trial.status is Status.COMPLETED and trial.batch_wide:
            place = trial.arm, trial.batch_wide
            cut[place] = cut.get(place, 0) + 1
    for (arm, changes), count in cut.items():
        trials = "1 trial" if count == 1 else f"{count} trials"
        yield Caveat(
            code="cut-batches",
            task=task,
            message=f"In {trials} of {named(arm)} batches were cut into micro batches: {changes}.",
            hint="this is another loss than that of the whole batch; take devices with more memory "
            "or a smaller train.batch_size, so that batches are computed as a whole",
        )
