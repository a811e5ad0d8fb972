"""Dollars per verdict: arithmetic from stated assumptions, nothing is measured here.

``python -m tests.benchmarks.cost_model``. A verdict is a whole sweep: arms, search trials (early
stopping ends most of them), confirm seeds, the teacher. BERT-base 12x768 teaches 6x768 on one spot
GPU per slot. With served teachers its forward pass runs once per row of the sweep; otherwise it
runs in every step of every trial. Change the assumptions at the top to those of your account.
"""

from __future__ import annotations

from dataclasses import dataclass

ARMS, TRIALS, SEEDS = 7, 20, 5
STOPPED_SHARE = 0.45
"""Of the steps of all search trials that early stopping lets run (asha, reduction factor 3)."""
EPOCHS = {"rte": 10, "mrpc": 10, "sst2": 4, "qnli": 4, "mnli": 3}
ROWS = {"rte": 2_490, "mrpc": 3_668, "sst2": 67_349, "qnli": 104_743, "mnli": 392_702}
TOKENS = {"rte": 72, "mrpc": 54, "sst2": 13, "qnli": 51, "mnli": 39}
TEACHER, STUDENT = 85e6, 42.5e6
"""Weights outside of the embeddings; a token costs two operations for each, thrice to train."""
OPERATIONS_PER_S = 125e12 * 0.30
"""An A10G in bf16, and the share of it that a step of this size reaches."""
GPU_HOUR, HEAD_HOUR, SLOTS = 0.50, 0.12, 8
TRIAL_S = 3.0
"""Of a trial besides its steps: building the student, evaluations, handing over."""
NODE_START_S = 300.0


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one verdict.

    Attributes:
        gpu_hours: All GPUs together.
        hours: From the first GPU to the report.
    """

    gpu_hours: float
    hours: float

    @property
    def dollars(self) -> float:
        """GPUs and head."""
        return self.gpu_hours * GPU_HOUR + self.hours * HEAD_HOUR


def verdict(task: str, *, served: bool) -> Cost:
    """Of a task, with the teacher served or run in every step."""
    tokens, epochs = ROWS[task] * TOKENS[task], EPOCHS[task]
    runs = ARMS * (TRIALS * STOPPED_SHARE + SEEDS)
    student = runs * epochs * tokens * 6 * STUDENT
    read = tokens * 2 * TEACHER * (1 if served else runs * epochs)
    finetune = 3 * tokens * 6 * TEACHER
    seconds = (student + read + finetune) / OPERATIONS_PER_S
    seconds += ARMS * (TRIALS + SEEDS) * TRIAL_S + SLOTS * NODE_START_S
    return Cost(gpu_hours=seconds / 3600, hours=seconds / 3600 / SLOTS)


def main() -> None:
    """Print the table."""
    print(f"{ARMS} arms x ({TRIALS} trials + {SEEDS} seeds), {SLOTS} GPUs at {GPU_HOUR:.2f} $/h")
    print(f"{'task':6} {'GPU hours':>18} {'hours':>14} {'dollars':>16} {'ratio':>6}")
    for task in ROWS:
        actual, expected = verdict(task, served=True), verdict(task, served=False)
        print(
            f"{task:6} {actual.gpu_hours:8.2f} {expected.gpu_hours:9.2f} {actual.hours:7.2f} "
            f"{expected.hours:6.2f} {actual.dollars:8.2f} {expected.dollars:7.2f} "
            f"{expected.dollars / actual.dollars:6.2f}"
        )


if __name__ == "__main__":
    main()
