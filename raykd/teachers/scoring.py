"""The teacher's own scores, on the rows that students are scored on."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import nn

from raykd.data.base import Array, TokenizedDataset
from raykd.data.bits_per_byte import bits_per_byte
from raykd.data.collate import Collator
from raykd.models.signals.base import OutputSpec
from raykd.models.signals.logits import Logits
from raykd.teachers.inputs import TaskInputs, scored_roles
from raykd.teachers.recording import record
from raykd.training.device import DistributedContext
from raykd.training.evaluate import score
from raykd.training.inference import InferenceSetup

RoleProgress = Callable[[str], Callable[[int], None]]
"""Gives for a role of rows a function to call with the number of them that are done."""


def score_teacher(
    model: nn.Module,
    inputs: TaskInputs,
    device: torch.device,
    progress: RoleProgress,
) -> tuple[dict[str, Mapping[str, float]], dict[str, Array]]:
    """What the teacher says of the splits that are scored; each split is read once.

    Args:
        model: The teacher, on `device`.
        inputs: What is prepared; roles whose scores are known are left out.
        device: Where to run.
        progress: Told how far it is.

    Returns:
        Its metrics by role, and where other teachers are combinations of it its logits ``[N, C]``.
    """
    logits: dict[int, Array] = {}
    scores: dict[str, Mapping[str, float]] = {}
    kept: dict[str, Array] = {}
    for role in scored_roles(inputs.teacher_splits):
        rows = inputs.teacher_splits[role]
        is_kept = not inputs.is_member or role in inputs.known.scored_logits
        if role in inputs.known.scores and is_kept:
            continue
        if rows.token_labels:
            texts = inputs.writes_for(role)
            scores[role] = _score_tokens(model, inputs, rows, device, texts)
            progress(role)(len(rows))
            continue
        if id(rows) not in logits:
            recording = inputs.recording(role, OutputSpec(Logits()))
            logits[id(rows)] = record(model, recording, device, progress(role)).all_logits()
        scores[role] = inputs.task.score(logits[id(rows)], rows)
        if inputs.is_member:
            kept[role] = logits[id(rows)]
    return scores, kept


def metrics_of(scores: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Metrics by role as they are named in reports: ``validation/<metric>``, ``test/<metric>``."""
    metrics: dict[str, float] = {}
    for role in (role for role in scored_roles(scores) if role in scores):
        stage, _, suffix = role.partition("_")
        end = f"_{suffix}" if suffix else ""
        metrics |= {f"{stage}/{metric}{end}": value for metric, value in scores[role].items()}
    return metrics


def _score_tokens(
    model: nn.Module, inputs: TaskInputs, rows: TokenizedDataset, device: torch.device, texts: bool
) -> Mapping[str, float]:
    collator = Collator(inputs.teacher_pad, max_length=inputs.max_length)
    setup = InferenceSetup(inputs.scoring(), collator, DistributedContext(device=device))
    metrics = score(model, inputs.task, rows, setup, texts=texts)
    return {**metrics, **bits_per_byte(metrics, rows)}
