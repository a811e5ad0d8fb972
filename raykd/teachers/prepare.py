"""Prepares a task once: fine-tunes or loads the teacher and records what students will read."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from raykd.data.base import TEXT_KINDS, Array, Encoded
from raykd.data.prompts import with_rationales
from raykd.methods.base import Signals
from raykd.models import weights
from raykd.models.source import ModelSource
from raykd.models.weights import ModelState
from raykd.results.records import Evaluation
from raykd.teachers.beginning import beginning
from raykd.teachers.derive import Findings, TeacherBench, analyse
from raykd.teachers.finetune import finetune
from raykd.teachers.inputs import Progress, TaskInputs
from raykd.teachers.prepared import Prepared
from raykd.teachers.recorded import RecordedOutputs
from raykd.teachers.recording import Recording, record
from raykd.teachers.scoring import score_teacher
from raykd.teachers.serve import RecordedTeacher
from raykd.teachers.tokens.choose import cache_of
from raykd.teachers.tokens.hidden import HiddenCache
from raykd.teachers.written import EXPLAINED, WRITTEN, written
from raykd.training.device import World
from raykd.training.seeding import derive_seed, seed_everything
from raykd.training.settings import TrainSettings

Recorder = Callable[[nn.Module, ModelSource, Recording, Callable[[int], None]], RecordedOutputs]
"""Records the train rows: gets the teacher, how others can build it, what to record, and a function
to call with the number of rows done."""


def record_here(
    model: nn.Module, source: ModelSource, recording: Recording, progress: Callable[[int], None]
) -> RecordedOutputs:
    """The recorder of a process that is alone."""
    return record(model, recording, next(model.parameters()).device, progress)


def prepare(
    inputs: TaskInputs, world: World, progress: Progress, recorder: Recorder = record_here
) -> tuple[Prepared, ModelState] | None:
    """Fine-tune or load the teacher, score it, record its outputs, make the student's beginning.

    Every rank of `world` takes part in fine-tuning; rank 0 does the rest and is the only one
    that gets the result, with the fine-tuned weights.

    Args:
        inputs: What to work on.
        world: This process.
        progress: Told how far it is.
        recorder: Records the train rows.

    Raises:
        TeacherError: Fine-tuning diverged, or outputs are not finite.
    """
    began = time.monotonic()
    seed_everything(inputs.finetune_seed)
    model = inputs.teacher.build(inputs.finetune_seed).to(world.device)
    history: tuple[Evaluation, ...] = ()
    if inputs.finetune is not None:
        history = finetune(model, inputs, world, progress)
    if world.rank != 0:
        return None
    model.eval()
    state = weights.capture(model)
    source = replace(inputs.teacher, state=state, shape=None)
    metrics = score_teacher(model, inputs, world.device, progress)
    recorded: RecordedOutputs | None = None
    if inputs.records():
        rows = inputs.recording("train", inputs.recorded_signals())
        recorded = recorder(model, source, rows, _rows_done(inputs, progress))
    reported = _reported(inputs, model, world)
    student = beginning(inputs, state, model, world.device)
    findings = _analyse(inputs, model, student, recorded, world, progress)
    distinct = sum(map(len, inputs.distinct()))
    keeps_weights = inputs.mode == "weights" or bool(inputs.derivations)
    setting = inputs.setting()
    matrix, bias = _output_layer(model, recorded, reported)
    prepared = Prepared(
        task=inputs.task.name,
        fingerprint=inputs.fingerprint,
        splits=_with_written(inputs, model, progress),
        pad_id=inputs.student_pad,
        end_id=setting.end,
        max_length=inputs.max_length,
        same_tokens=inputs.same_tokens,
        vocabulary=setting.vocabulary,
        teacher_reading=setting.teacher_reading,
        teacher_train=_own_train(inputs) if keeps_weights and not inputs.same_rows else None,
        teacher_pad=inputs.teacher_pad,
        teacher_anatomy=inputs.teacher.anatomy,
        student=student,
        recorded=recorded if inputs.mode == "outputs" else None,
        teacher=source if keeps_weights else None,
        reported=reported,
        output_matrix=matrix,
        output_bias=bias,
        findings=findings,
        metrics=metrics,
        history=history,
        parameters=sum(p.numel() for p in model.parameters()),
        forwards=distinct,
        distinct=distinct,
        seconds=time.monotonic() - began,
    )
    return prepared, state


def _reported(inputs: TaskInputs, model: nn.Module, world: World) -> RecordedOutputs | None:
    """What the teacher says of the text of the report split, where students split it alike."""
    if inputs.task.kind not in TEXT_KINDS or not inputs.same_tokens:
        return None
    signals = Signals(logits=True, tokens=HiddenCache().name)
    return record(model, inputs.recording("report", signals), world.device)


def _with_written(
    inputs: TaskInputs, model: nn.Module, progress: Progress
) -> Mapping[str, Encoded]:
    """The student's rows, with what the teacher wrote where a method learns from it."""
    splits = dict(inputs.student_splits)
    explaining = inputs.explaining

    def made(rows: Encoded, stream: str, most: int, asked: Encoded) -> Encoded:
        seed_everything(derive_seed(inputs.finetune_seed, stream))
        settings = inputs.finetune or TrainSettings()
        progress("write", 0, len(rows), stream)
        return written(
            model, rows, asked, inputs.writer(most), settings.eval_batch_size,
            lambda done: progress("write", done, len(rows), stream),
        )  # fmt: skip

    if inputs.signals.generation:
        splits[WRITTEN] = made(
            splits["train"], WRITTEN, inputs.task.max_new_tokens, inputs.teacher_splits["train"]
        )
    if explaining is not None:
        found = made(
            explaining.prompts, EXPLAINED, explaining.max_new_tokens, explaining.asked
        )  # fmt: skip
        splits["train"] = with_rationales(splits["train"], found)
    return splits


def _own_train(inputs: TaskInputs) -> Encoded:
    """The train rows as the teacher reads them, without what only scoring needs."""
    return replace(inputs.teacher_splits["train"], references=None, beside={})


def _output_layer(
    model: Any, *recordings: RecordedOutputs | None
) -> tuple[Array | None, Array | None]:
    """Matrix and bias that make scores of what was recorded, where that needs them."""
    named = {recording.tokens for recording in recordings if recording is not None}
    if not any(cache_of(name).needs_matrix for name in named if name):
        return None, None

    def kept(values: Tensor | None) -> Array | None:
        return None if values is None else values.detach().float().cpu().numpy().copy()

    return kept(model.lm_head.weight), kept(model.lm_head.bias)


def _analyse(
    inputs: TaskInputs,
    model: nn.Module,
    student: ModelSource,
    recorded: RecordedOutputs | None,
    world: World,
    progress: Progress,
) -> dict[str, Findings]:
    if not inputs.derivations:
        return {}
    assert recorded is not None
    alone = World(device=world.device)
    setting = replace(inputs.setting(), student=student.anatomy)
    teacher = RecordedTeacher(recorded, world.device, vocabulary=setting.compared_vocabulary)
    bench = TeacherBench(
        setting=setting,
        task=inputs.task,
        model=model,
        source=student,
        splits=inputs.teacher_splits,
        read=teacher.reader(Signals(logits=True)),
        pad_id=inputs.teacher_pad,
        max_length=inputs.max_length,
        world=alone,
    )
    total = len(inputs.derivations)
    return analyse(inputs.derivations, bench, lambda done: progress("analyse", done, total, ""))


def _rows_done(inputs: TaskInputs, progress: Progress) -> Callable[[int], None]:
    """Progress of recording, after the splits that are scored."""
    total = sum(map(len, inputs.distinct()))
    before = total - len(inputs.teacher_splits["train"])
    return lambda done: progress("record", before + done, total, "train")
