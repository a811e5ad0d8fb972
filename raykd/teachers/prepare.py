"""Prepares a task once: fine-tunes or loads the teacher and records what students will read."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from torch import nn

from raykd.data.base import TokenizedDataset
from raykd.data.unlabelled import labelled_rows
from raykd.models import weights
from raykd.models.model_factory import ModelFactory
from raykd.models.sharding import is_sharded
from raykd.models.signals.base import OutputSpec
from raykd.models.signals.logits import Logits
from raykd.models.signals.unrecorded import TextPrompts, UnrecordedSignal
from raykd.models.student_from_teacher import StudentFromTeacher
from raykd.models.weights import ModelState
from raykd.teachers.assembly import assemble
from raykd.teachers.cached_outputs import CachedOutputs
from raykd.teachers.finetune_search import Finetuned, finetuned
from raykd.teachers.finetune_seeds import scores_of_seeds
from raykd.teachers.inputs import Progress, TaskInputs
from raykd.teachers.precision import exact, serve
from raykd.teachers.prepared_parts import PreparedParts
from raykd.teachers.prepared_task import PreparedTask
from raykd.teachers.recording import Recording, record
from raykd.teachers.row_counter import RowCounter, missing_outputs
from raykd.teachers.scoring import score_teacher
from raykd.teachers.speed import SHARDED, Timing, measure_speed
from raykd.teachers.student_init import student_init
from raykd.teachers.teacher import OfflineTeacher
from raykd.teachers.teacher_text import with_teacher_text
from raykd.teachers.teacher_variants import (
    AnalysisResult,
    TeacherAnalysisContext,
    analyse,
    analysis_name,
)
from raykd.teachers.vocab_cache.hidden import HiddenCache
from raykd.teachers.vocab_cache.signal import VocabularyScores
from raykd.training.device import DistributedContext
from raykd.training.lead import led
from raykd.training.seeding import derive_seed, seed_everything
from raykd.training.settings import TrainSettings

Recorder = Callable[[nn.Module, ModelFactory, Recording, Callable[[int], None]], CachedOutputs]
"""Records the train rows: gets the teacher, how others can build it, what to record, and a function
to call with the number of rows done."""


Keep = Callable[[PreparedParts], PreparedParts]
"""Keeps a teacher that was fine-tuned; gives it back with its weights where they are then."""

TEST_OUTPUT_SPEC = OutputSpec(VocabularyScores(HiddenCache().name))
"""What is recorded of the text of the test split."""


def record_here(
    model: nn.Module, factory: ModelFactory, recording: Recording, progress: Callable[[int], None]
) -> CachedOutputs:
    """The recorder of a single process."""
    return record(model, recording, next(model.parameters()).device, progress)


def make(
    inputs: TaskInputs,
    world: DistributedContext,
    progress: Progress,
    recorder: Recorder = record_here,
    keep: Keep = lambda parts: parts,
) -> PreparedParts | None:
    """Make the missing parts: fine-tune or load the teacher, score it, record its outputs.

    Every rank of `world` takes part in fine-tuning, and holds out its part of a teacher that is
    sharded; rank 0 does the rest and is the only one that gets the result.

    Args:
        inputs: What to work on, and what is known already.
        world: This process.
        progress: Told how far it is.
        recorder: Records the train rows.
        keep: Told on rank 0 of a teacher that was fine-tuned, before anything is made of it.

    Returns:
        What is new, with the teacher's weights.

    Raises:
        TeacherError: Fine-tuning diverged, or outputs are not finite.
    """
    began = time.monotonic()
    begun = _begun(inputs, world, progress)
    model = begun.model
    is_helper = world.rank != 0 and not is_sharded(model)
    state = None if is_helper else inputs.known.state or _state_of(inputs, model)
    if begun.history and world.rank == 0:
        assert state is not None
        state = _kept(begun, state, began, keep)
    seed_scores = scores_of_seeds(inputs, begun.tried or inputs.known.tried, world, progress)
    if state is None:
        return None
    factory = replace(inputs.teacher, state=state, random_init=None)
    served, error = serve(inputs, model, factory, world)
    teacher = _Opened(model, served, state, factory)
    made = led(world, lambda: _made(inputs, teacher, world, progress, recorder), served)
    if made is None:
        return None
    parts = replace(
        made, history=begun.history, tried=begun.tried, precision_error=error,
        seed_scores=seed_scores,
    )  # fmt: skip
    known = inputs.known.merged_with(parts)
    analysis_results = _analyse(inputs, model, known, world, progress)
    timing = _timing(inputs, model, known, world)
    return replace(
        parts, analysis_results=analysis_results, speed=timing.speed, untimed=timing.untimed,
        seconds=time.monotonic() - began,
    )  # fmt: skip


def _kept(begun: Finetuned, state: ModelState, began: float, keep: Keep) -> ModelState:
    """The weights of a teacher that was fine-tuned, where they are kept."""
    count = sum(p.numel() for p in begun.model.parameters())
    parts = PreparedParts(
        state=state, history=begun.history, tried=begun.tried, parameters=count,
        seconds=time.monotonic() - began,
    )  # fmt: skip
    return keep(parts).state or state


def _begun(inputs: TaskInputs, world: DistributedContext, progress: Progress) -> Finetuned:
    """The teacher: fine-tuned now, or as it is known."""
    factory = _teacher_init(inputs)
    if inputs.finetune is not None and inputs.known.state is None:
        return finetuned(inputs, factory, world, progress)
    seed_everything(inputs.finetune_seed)
    return Finetuned(model=exact(inputs, factory, world), history=())


@dataclass(frozen=True, slots=True)
class _Opened:
    """A teacher in this process.

    Attributes:
        model: In float32.
        served: As it is scored and recorded.
        state: Its weights.
        factory: Builds it.
    """

    model: nn.Module
    served: nn.Module
    state: ModelState
    factory: ModelFactory


def _made(
    inputs: TaskInputs,
    teacher: _Opened,
    world: DistributedContext,
    progress: Progress,
    recorder: Recorder,
) -> PreparedParts:
    """The missing parts that are made by running the teacher, and the initial student."""
    served, rows = teacher.served, RowCounter(inputs, progress)
    scores, scored_logits = score_teacher(served, inputs, world.device, rows.of)
    cached_outputs: CachedOutputs | None = None
    output_spec = missing_outputs(inputs)
    if output_spec is not None:
        recording = inputs.recording("train", output_spec, inputs.train_output_spec())
        cached_outputs = recorder(served, teacher.factory, recording, rows.of("train"))
    student = None
    if isinstance(inputs.student, StudentFromTeacher) and inputs.known.student is None:
        student = student_init(inputs, teacher.state, teacher.model, world.device)
    return PreparedParts(
        state=teacher.state,
        parameters=sum(p.numel() for p in teacher.model.parameters()),
        scores=scores,
        scored_logits=scored_logits,
        cached_outputs=cached_outputs,
        test_outputs=_test_outputs(inputs, served, world),
        teacher_texts=_teacher_texts(inputs, served, progress),
        student=student,
        rows=rows.done,
    )


def _state_of(inputs: TaskInputs, model: nn.Module) -> ModelState:
    """The teacher's weights; those of a checkpoint that is used as it is stay in its files."""
    given = inputs.teacher.state
    if inputs.finetune is None and given is not None and weights.is_whole(given):
        return given
    return weights.capture(model)


def _teacher_init(inputs: TaskInputs) -> ModelFactory:
    """How the teacher is built: with the weights that are known, or as it begins."""
    if inputs.known.state is None:
        return inputs.teacher
    return replace(inputs.teacher, state=inputs.known.state, random_init=None)


def prepare(
    inputs: TaskInputs,
    world: DistributedContext,
    progress: Progress,
    recorder: Recorder = record_here,
) -> tuple[PreparedTask, ModelState] | None:
    """Prepare a task from scratch; rank 0 gets the result.

    See `make` for the arguments and errors.
    """
    made = make(inputs, world, progress, recorder)
    if made is None:
        return None
    assert made.state is not None
    return assemble(inputs, made), made.state


def _test_outputs(
    inputs: TaskInputs, model: nn.Module, world: DistributedContext
) -> CachedOutputs | None:
    """The outputs of the teacher on the text of the test split, where they are missing."""
    if not inputs.records_test_outputs() or inputs.known.test_outputs is not None:
        return None
    return record(model, inputs.recording("test", TEST_OUTPUT_SPEC), world.device)


def _teacher_texts(
    inputs: TaskInputs, model: nn.Module, progress: Progress
) -> dict[str, TokenizedDataset]:
    """The missing texts of the teacher for the train rows."""
    settings = inputs.finetune or TrainSettings()

    def generated(signal: UnrecordedSignal, prompts: TextPrompts) -> TokenizedDataset:
        seed_everything(derive_seed(inputs.finetune_seed, signal.stream))
        count = len(prompts.prompts)
        progress("write", 0, count, signal.texts)
        return with_teacher_text(
            model, prompts, inputs.text_settings(prompts.max_new_tokens), settings.eval_batch_size,
            lambda done: progress("write", done, count, signal.texts),
        )  # fmt: skip

    return {
        signal.texts: generated(signal, prompts)
        for signal, prompts in inputs.teacher_texts().items()
        if signal.texts not in inputs.known.teacher_texts
    }


def _timing(
    inputs: TaskInputs, model: nn.Module, made: PreparedParts, world: DistributedContext
) -> Timing:
    """How fast the teacher is next to the initial student, where that is not known.

    One that is spread over ranks does with several devices what the student does with one.
    """
    student = made.student or inputs.student
    assert isinstance(student, ModelFactory)
    if inputs.sharded:
        return Timing(untimed=SHARDED)
    if made.speed is not None:
        return Timing()
    return measure_speed(inputs, model, student, world.device)


def _analyse(
    inputs: TaskInputs,
    model: nn.Module,
    made: PreparedParts,
    world: DistributedContext,
    progress: Progress,
) -> dict[str, AnalysisResult]:
    """The results of the missing analyses; `made` holds all other parts."""
    left = tuple(
        d for d in inputs.teacher_analyses if analysis_name(d) not in inputs.known.analysis_results
    )
    if not left:
        return {}
    student = made.student or inputs.student
    assert made.cached_outputs is not None
    assert isinstance(student, ModelFactory)
    alone = DistributedContext(device=world.device)
    context = replace(inputs.context(), student=student.dims)
    teacher = OfflineTeacher(
        made.cached_outputs, world.device, vocabulary=context.compared_vocabulary
    )
    analysis_context = TeacherAnalysisContext(
        distillation=context,
        task=inputs.task,
        model=model,
        factory=student,
        splits={**inputs.teacher_splits, "train": labelled_rows(inputs.teacher_splits["train"])},
        read=teacher.outputs_fn(OutputSpec(Logits())),
        pad_id=inputs.teacher_pad,
        max_length=inputs.max_length,
        precision=inputs.precision,
        world=alone,
    )
    return analyse(left, analysis_context, lambda done: progress("analyse", done, len(left), ""))
