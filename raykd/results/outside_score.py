"""One score of a confirmed student on a task from elsewhere."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True, slots=True)
class OutsideScore:
    """One score of a confirmed student on a task of an evaluation harness.

    Attributes:
        task: The task of the sweep that the student was trained on.
        arm: Its arm.
        seed: Its confirm seed, which pairs arms.
        repeat: Which of several searches of the arm it comes from.
        trial_id: The confirm run that saved it.
        benchmark: The task of the harness.
        metric: The metric, with the filter where it is another than ``none``: ``acc``.
        value: The score.
        rows: Rows of the benchmark that were scored.
        shots: Examples before each of them.
        mode: ``max`` or ``min``.
        harness: Its name and version, and that of the benchmark.
        params: Which configuration bore the trial id, see
            `raykd.results.confirmed.configuration_key`; empty in old files.
        outcomes: What each row adds to the metric, ``[rows]``; None where that was not kept.
    """

    task: str
    arm: str
    seed: int
    repeat: int
    trial_id: str
    benchmark: str
    metric: str
    value: float
    rows: int
    shots: int
    mode: str
    harness: str
    params: str = ""
    outcomes: NDArray[np.float32] | None = dataclasses.field(
        default=None, compare=False, repr=False
    )

    def plain(self) -> dict[str, Any]:
        """All but the outcomes, as plain data."""
        fields = (field.name for field in dataclasses.fields(self) if field.name != "outcomes")
        return {name: getattr(self, name) for name in fields}
