"""Measures how fast a teacher is next to the student that trials begin with."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

import torch
from torch import nn

from raykd.data.base import TokenizedDataset
from raykd.data.collate import Collator
from raykd.errors import SetupError
from raykd.models.model_factory import ModelFactory
from raykd.results.records import SpeedRecord
from raykd.teachers.inputs import TaskInputs
from raykd.training.device import DistributedContext, choose_precision, device_name, together
from raykd.training.inference import InferenceSetup
from raykd.training.latency import TimedModel, latencies_by_turns
from raykd.training.memory import OutOfMemory, release
from raykd.training.memory_use import weight_bytes
from raykd.training.settings import TrainSettings

log = logging.getLogger(__name__)

SHARDED = (
    "teacher.sharding is full, so that the teacher may run on several devices and the student on "
    "one"
)
"""Why a teacher is not timed whose weights are spread over ranks."""


@dataclass(frozen=True, slots=True)
class Timing:
    """What came of timing a teacher and a student.

    Attributes:
        speed: What was measured, None where nothing was.
        untimed: Why nothing was, as a clause; empty where something was.
    """

    speed: SpeedRecord | None = None
    untimed: str = ""


def measure_speed(
    inputs: TaskInputs, teacher: nn.Module, student: ModelFactory, device: torch.device
) -> Timing:
    """Time a teacher and the initial student by turns, each as ``latency_ms`` of a student is.

    Both run with float32 weights and in the precision that the student trains in, on rows of the
    validation split. It takes about two seconds at most, unless single rows do. No error ends a
    preparation that has everything else.

    Args:
        inputs: What is prepared.
        teacher: It, in float32 on `device`, whole.
        student: Builds the initial student.
        device: Where to run.
    """
    try:
        with together(DistributedContext(device=device)):
            return Timing(_measured(inputs, teacher, student.frozen().to(device), device))
    except Exception as exc:
        log.debug("teacher and student were not timed", exc_info=True)
        untimed = _reason(exc)
    release(device)
    return Timing(untimed=untimed)


def _reason(exc: Exception) -> str:
    """Why there is no measurement; what errors of libraries say may name places of a machine."""
    if isinstance(exc, OutOfMemory):
        return "memory was not enough for both"
    if isinstance(exc, SetupError):
        return str(exc)
    return f"a pass ended with {type(exc).__name__}"


def _measured(
    inputs: TaskInputs, teacher: nn.Module, student: nn.Module, device: torch.device
) -> SpeedRecord:
    precision = choose_precision(inputs.student_precision, device, student).name

    def timed(model: nn.Module, splits: Mapping[str, TokenizedDataset], pad: int) -> TimedModel:
        collator = Collator(pad, max_length=inputs.max_length)
        settings = TrainSettings(precision=precision)
        setup = InferenceSetup(settings, collator, DistributedContext(device=device))
        return TimedModel(model, splits["validation"], setup)

    turns = latencies_by_turns(
        timed(teacher, inputs.teacher_splits, inputs.teacher_pad),
        timed(student, inputs.student_splits, inputs.student_pad),
    )
    teacher_ms = median(ms for turn in turns for ms in turn.one)
    student_ms = median(ms for turn in turns for ms in turn.other)
    ratios = [teacher_ms / student_ms, *(median(t.one) / median(t.other) for t in turns)]
    return SpeedRecord(
        teacher_ms=teacher_ms,
        student_ms=student_ms,
        low=min(ratios),
        high=max(ratios),
        teacher_bytes=weight_bytes(teacher),
        student_bytes=weight_bytes(student),
        precision=precision,
        rows=sum(len(turn.one) for turn in turns),
        device=device_name(device),
        threads=torch.get_num_threads(),
    )
