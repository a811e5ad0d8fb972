"""The teacher's own scores, on the rows that students are scored on."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import nn

from raykd.data.base import Array, Encoded
from raykd.data.collate import Collator
from raykd.methods.base import Signals
from raykd.teachers.inputs import Progress, TaskInputs, scored_roles
from raykd.teachers.recording import after, record
from raykd.training.device import World
from raykd.training.evaluate import score
from raykd.training.settings import TrainSettings


def score_teacher(
    model: nn.Module, inputs: TaskInputs, device: torch.device, progress: Progress
) -> dict[str, float]:
    """The teacher's metrics on the splits that are scored, each split read once."""
    splits = inputs.teacher_splits
    total = sum(len(split) for split in inputs.distinct())
    logits: dict[int, Array] = {}
    metrics: dict[str, float] = {}
    before = 0
    for name in scored_roles(splits):
        rows = splits[name]
        if rows.token_labels:
            decides = inputs.task.metric in inputs.task.text_metrics
            found = _score_tokens(model, inputs, rows, device, decides or name != "select")
            before += len(rows)
        else:
            if id(rows) not in logits:
                recording = inputs.recording(name, Signals(logits=True))
                done = after(before, _scoring(progress, total, name))
                logits[id(rows)] = record(model, recording, device, done).all_logits()
                before += len(rows)
            found = inputs.task.score(logits[id(rows)], rows)
        stage, _, suffix = name.partition("_")
        end = f"_{suffix}" if suffix else ""
        metrics |= {f"{stage}/{metric}{end}": value for metric, value in found.items()}
    return metrics


def _score_tokens(
    model: nn.Module, inputs: TaskInputs, rows: Encoded, device: torch.device, texts: bool
) -> Mapping[str, float]:
    collator = Collator(inputs.teacher_pad, max_length=inputs.max_length)
    settings = inputs.finetune or TrainSettings()
    return score(model, inputs.task, rows, settings, collator, World(device=device), texts=texts)


def _scoring(progress: Progress, total: int, split: str) -> Callable[[int], None]:
    return lambda done: progress("record", done, total, split)
