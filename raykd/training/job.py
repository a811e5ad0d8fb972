"""The inputs of one training, and how it ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from raykd.data.base import Task, TokenizedDataset
from raykd.methods.base import Method, TeacherOutputsFn
from raykd.results.records import Evaluation
from raykd.training.anatomy import SAMPLES
from raykd.training.batches import Collate
from raykd.training.device import DistributedContext
from raykd.training.settings import STATE_EVERY_S, TrainSettings
from raykd.training.step_metrics import StepPoint


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainJob:
    """One training.

    Attributes:
        model: Trained in place; moved to the device of `world`, or sharded over its ranks.
        method: What is minimised; its modules are trained along.
        task: Gives the task loss and the metrics.
        train: Rows to learn from.
        validation: Rows to evaluate on, or None: evaluations then carry loss terms only.
        teacher: The teacher's outputs for a batch. `Batch.index` is on the CPU, the rest of the
            batch and the outputs are on the device. For training without teacher: a callable giving
            `Outputs()`.
        settings: How to train.
        collator: Pads rows to batches.
        seed: Decides the order of rows and everything random in the steps.
        world: The ranks.
        on_evaluation: Called on rank 0 after every evaluation; True ends the training. A resumed
            training first calls it with the evaluations before the saved state, as the callback of
            this process may not have seen them.
        end_id: The token that ends a text, for methods that let the student write.
        state_path: Where the state to continue from is kept, or None. A state found there is used.
            The file stays when the training ends: whoever records the end deletes it then.
        state_every_s: Least time between two saved states; they are saved after evaluations.
        note: Hears of a state that cannot be used or saved.
        log_every: Steps between two calls of `on_steps`, 0 for none.
        on_steps: Called on rank 0 with what the last steps were like.
        samples: Steps in which the terms of the loss are looked at apart, at most.
    """

    model: nn.Module
    method: Method[Any]  # a method's parameters are its own affair
    task: Task
    train: TokenizedDataset
    validation: TokenizedDataset | None
    teacher: TeacherOutputsFn
    settings: TrainSettings
    collator: Collate
    seed: int
    world: DistributedContext
    on_evaluation: Callable[[Evaluation], bool]
    end_id: int = 0
    state_path: Path | None = None
    state_every_s: float = STATE_EVERY_S
    note: Callable[[str], None] = lambda message: None
    log_every: int = 0
    on_steps: Callable[[StepPoint], None] = lambda point: None
    samples: int = SAMPLES


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainResult:
    """How a training ended.

    Attributes:
        history: Every evaluation, those before a resumption included.
        stopped: Whether `TrainJob.on_evaluation` ended it before the last step.
        steps: Optimizer steps done.
    """

    history: tuple[Evaluation, ...]
    stopped: bool
    steps: int
