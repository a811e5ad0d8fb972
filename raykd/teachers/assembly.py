"""Assembles a prepared task from its parts."""

from __future__ import annotations

from dataclasses import replace

from raykd.data.base import TokenizedDataset
from raykd.models import weights
from raykd.models.logit_transform import logit_transform
from raykd.models.model_factory import ModelFactory
from raykd.models.weights import ModelState
from raykd.teachers.cached_outputs import CachedOutputs
from raykd.teachers.cached_signals import merge_signals
from raykd.teachers.inputs import TaskInputs
from raykd.teachers.prepared_parts import PreparedParts
from raykd.teachers.prepared_task import PreparedTask
from raykd.teachers.scoring import metrics_of
from raykd.teachers.speed import SHARDED
from raykd.teachers.vocab_cache.signal import VocabularyScores


def assemble(inputs: TaskInputs, made: PreparedParts) -> PreparedTask:
    """Assemble the prepared task from its parts, which are complete.

    Args:
        inputs: What was prepared.
        made: Every part; the values of recorded train rows may be left out.
    """
    state = made.state or inputs.teacher.state
    factory = replace(inputs.teacher, state=state, random_init=None)
    student = made.student or inputs.student
    assert isinstance(student, ModelFactory)
    served = inputs.mode == "outputs"
    keeps_weights = not served or bool(inputs.teacher_analyses)
    splits = dict(inputs.student_splits)
    for signal in inputs.teacher_texts():
        splits = signal.with_texts(splits, made.teacher_texts[signal.texts])
    distinct = sum(map(len, inputs.distinct()))
    context = inputs.context()
    return PreparedTask(
        task=inputs.task.name,
        fingerprint=inputs.fingerprint,
        splits=splits,
        pad_id=inputs.student_pad,
        end_id=inputs.student_end,
        max_length=inputs.max_length,
        same_tokens=inputs.same_tokens,
        vocabulary=context.vocabulary,
        teacher_vocabulary=inputs.teacher_vocabulary(),
        teacher_views=context.teacher_views,
        teacher_train=_own_train(inputs) if keeps_weights and not inputs.same_rows else None,
        teacher_pad=inputs.teacher_pad,
        teacher_dims=inputs.teacher.dims,
        student=student,
        cached_outputs=(made.cached_outputs or _nothing(inputs)) if served else None,
        teacher=factory if keeps_weights else None,
        precision=inputs.frozen_precision,
        sharded=inputs.sharded,
        precision_error=dict(made.precision_error),
        test_outputs=made.test_outputs,
        output_layer=_output_layer(state, made.cached_outputs, made.test_outputs),
        logit_transform=logit_transform(state.config if state is not None else {}),
        analysis_results=dict(made.analysis_results),
        metrics=metrics_of(made.scores),
        scored_logits=dict(made.scored_logits),
        seed_scores=dict(made.seed_scores),
        history=made.history,
        tried=made.tried,
        speed=made.speed,
        untimed=SHARDED if inputs.sharded else made.untimed,
        parameters=made.parameters,
        forwards=made.rows,
        distinct=distinct,
        seconds=made.seconds,
    )


def _nothing(inputs: TaskInputs) -> CachedOutputs:
    """The empty recording, for train rows that no method reads."""
    output_spec = inputs.train_output_spec()
    return merge_signals(
        {}, output_spec, inputs.dtype, inputs.recording("train", output_spec).blocks()
    )[0]


def _own_train(inputs: TaskInputs) -> TokenizedDataset:
    """The train rows as the teacher reads them, without what only scoring needs."""
    return replace(inputs.teacher_splits["train"], references=None, views={})


def _output_layer(state: ModelState | None, *recordings: CachedOutputs | None) -> ModelState | None:
    """What turns recorded hidden states into logits, where it is needed."""
    recorded = (s for recording in recordings if recording for s in recording.signals)
    if not any(isinstance(s, VocabularyScores) and s.cache.needs_matrix for s in recorded):
        return None
    assert state is not None
    return weights.output_layer(state)
