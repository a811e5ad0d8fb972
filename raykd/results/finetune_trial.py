"""One training of the search for the settings that a teacher is fine-tuned with."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FinetuneTrial:
    """One training of the search for a teacher's own settings.

    Attributes:
        lr: Peak learning rate.
        epochs: Passes over its rows.
        metric: What it is judged by, the task's own.
        score: Its last value of that on the validation split; NaN where it diverged.
        seconds: Time it took.
        chosen: Whether the teacher is the one that came out of it.
    """

    lr: float
    epochs: int
    metric: str
    score: float
    seconds: float
    chosen: bool = False
