"""One trial: build the student and the method, train, report. Runs with or without Ray."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from raykd import params, registry
from raykd.data.base import PLAIN, Array, Task, TokenizedDataset
from raykd.data.collate import Collator
from raykd.data.unlabelled import labelled_rows
from raykd.methods.base import Method, OutputSpec, TeacherOutputsFn, TeacherVariant
from raykd.models import lora, weights
from raykd.models.lora import LoraPlan
from raykd.models.model_factory import ModelFactory
from raykd.models.sharding import is_sharded
from raykd.models.signals.unrecorded import unrecorded
from raykd.models.student_size import of_size, of_width
from raykd.models.weights import ModelState
from raykd.params import Scalar
from raykd.results.records import Evaluation
from raykd.teachers.open_teacher import open_teacher, open_variant
from raykd.teachers.prepared_task import PreparedTask
from raykd.teachers.teacher import Teacher
from raykd.teachers.teacher_variants import analysis_name
from raykd.training.device import DistributedContext, in_lockstep
from raykd.training.inference import InferenceSetup
from raykd.training.loop import TrainJob, train_model
from raykd.training.seeding import derive_seed, seed_everything
from raykd.training.settings import (
    STATE_EVERY_S,
    LoraSettings,
    RowSettings,
    SizeSettings,
    TrainSettings,
)
from raykd.training.step_metrics import StepPoint
from raykd.trial.measurements import Measurements, TrainedStudent, measure

S = TypeVar("S")


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialConfig:
    """Everything that decides a trial, besides the prepared task.

    Attributes:
        trial_id: Unique in the sweep.
        task: Task name.
        arm: Arm.
        method: Method name.
        number: Trial number in its study, or rank of the configuration in confirm.
        repeat: Which of several searches of the arm it belongs to, from 0.
        select_on: The role of the rows that are evaluated on.
        stage: ``search`` or ``confirm``.
        coefficients: Parameters of the method.
        train: Parameters of training, and of the student's adapter.
        seed: Decides initial weights, dropout and the order of rows.
        score_test: Whether to score the test split at the end.
        row_metric: The metric whose outcome on each test row is kept then; empty for none.
        costs: What to measure of the student: ``latency_ms``, ``memory_mb``, ``parameters``.
        state_path: Where to keep the state that an interrupted trial continues from, or None.
        state_every_s: Least time between two states.
        save_path: Where the trained student is to be saved, or None.
        lora: Where the student has adapters, None without any.
        limit_s: How long it may take at a time, None for any time.
        precision: What ``precision`` means in this sweep, ``fp32`` or ``bf16``; empty: what it
            means on this device.
        log_every: Steps between two step metrics, 0 for none.
    """

    trial_id: str
    task: str
    arm: str
    method: str
    number: int
    stage: str
    coefficients: Mapping[str, Scalar]
    train: Mapping[str, Scalar]
    seed: int
    repeat: int = 0
    select_on: str = "validation"
    score_test: bool = False
    row_metric: str = ""
    costs: tuple[str, ...] = ()
    state_path: str | None = None
    state_every_s: float = STATE_EVERY_S
    save_path: str | None = None
    lora: LoraPlan | None = None
    limit_s: float | None = None
    precision: str = ""
    log_every: int = 0


class TrialListener:
    """Hears of a trial what is not an evaluation; this one keeps nothing of it."""

    def note(self, message: str) -> None:
        """A saved state cannot be used, or none can be saved."""

    def steps(self, point: StepPoint) -> None:
        """What the last steps were like, every `TrialConfig.log_every` steps."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialOutcome:
    """The result of a trial that was not stopped.

    Attributes:
        evaluation: The last evaluation on the validation split.
        metrics: Its metrics, with ``test/<metric>`` where the test split was scored.
        seconds: Wall time.
        stopped: Whether `on_evaluation` asked to stop.
        student: The trained student, where it is to be saved.
        row_outcomes: What each test row adds to `TrialConfig.row_metric`, float32 ``[N]``; None
            where that was not requested, or the task does not say.
        row_predictions: What is predicted for each of them, in words.
        confusion: Test rows by class and answer; empty where they have none.
    """

    evaluation: Evaluation
    metrics: Mapping[str, float]
    seconds: float
    stopped: bool
    student: ModelState | None = None
    row_outcomes: Array | None = None
    row_predictions: Sequence[str] | None = None
    confusion: tuple[tuple[int, ...], ...] = ()


def build_method(config: TrialConfig, prepared: PreparedTask, task: Task) -> Method[object]:
    """The method of a trial, set up for the prepared pair."""
    declared = registry.params_of("methods", config.method)
    context = replace(prepared.context(), kind=task.kind, num_labels=task.num_labels)
    kind: type[Method[object]] = registry.load("methods", config.method)
    return kind(params.build(declared, _apart(config)[0]), context)


def _apart(config: TrialConfig) -> tuple[dict[str, Scalar], RowSettings]:
    """The parameters of the method, and those of every arm besides them."""
    shared = {info.name for info in params.describe(RowSettings)}
    own = {name: value for name, value in config.coefficients.items() if name not in shared}
    others = {name: value for name, value in config.coefficients.items() if name in shared}
    return own, params.build(RowSettings, others)


def _read_by(
    config: TrialConfig, method: Method[object], prepared: PreparedTask
) -> Mapping[str, TokenizedDataset]:
    """The rows of every role as the method of a trial reads them."""
    splits = {**prepared.splits, "validation": prepared.splits[config.select_on]}
    if not (_apart(config)[1].unlabelled and method.learns_without_labels()):
        splits = {role: labelled_rows(rows) for role, rows in splits.items()}
    for signal in unrecorded(method.teacher_outputs()):
        splits["train"] = signal.train_rows(splits)
    if not method.view:
        return splits
    by_role = {}
    for role, plain in splits.items():
        read = plain.views.get(method.view, plain)
        by_role[role] = replace(read, views={**read.views, PLAIN: plain})
    return by_role


Derive = Callable[[TeacherVariant, OutputSpec], Teacher]
"""Opens a derived teacher that serves some outputs."""


def _teacher(
    method: Method[object],
    prepared: PreparedTask,
    world: DistributedContext,
    opened: Teacher | None,
    derive: Derive | None,
) -> Teacher:
    """The teacher, or teacher variant, that a method with these parameters reads."""
    analysis = method.teacher_analysis()
    variant = None
    if analysis is not None:
        variant = method.teacher_variant(prepared.analysis_results[analysis_name(analysis)].arrays)
    if variant is None:
        return opened or open_teacher(prepared, world)
    if derive is not None:
        return derive(variant, method.teacher_outputs())
    return open_variant(prepared, variant, method.teacher_outputs(), world)


def _read_from(
    teacher: Teacher, method: Method[object], settings: TrainSettings
) -> TeacherOutputsFn:
    """What a method reads of the teacher, batch by batch."""
    transforms = method.feature_transforms()
    return teacher.outputs_fn(method.teacher_outputs(), transforms, packing=settings.packs)


def _of(config: TrialConfig, declared: type[S]) -> S:
    """Some of what a trial is trained with."""
    names = {info.name for info in params.describe(declared)}
    return params.build(declared, {n: v for n, v in config.train.items() if n in names})


def _settings(config: TrialConfig) -> TrainSettings:
    settings = _of(config, TrainSettings)
    return replace(settings, precision=config.precision or settings.precision)


class _TrialModel:
    """The model of a trial, with adapters where there are some.

    Args:
        config: The trial.
        factory: How students begin.
        settings: How it is trained.
    """

    def __init__(self, config: TrialConfig, factory: ModelFactory, settings: TrainSettings) -> None:
        self.model = factory.build(config.seed)
        self.settings = settings
        self._is_saved = config.save_path is not None
        self._plan = config.lora
        if self._plan is None:
            return
        lora_settings = _of(config, LoraSettings)
        self._sizes = lora.LoraSizes(
            rank=lora_settings.lora_rank,
            alpha=lora_settings.lora_alpha,
            dropout=lora_settings.lora_dropout,
        )
        seed = derive_seed(config.seed, "adapter")
        lora.attach(self.model, self._plan, self._sizes, seed, settings.dropout)
        # The loop would give it to adapters, too.
        self.settings = replace(settings, dropout=None)

    def finish(self) -> None:
        """Make it what is saved of it, before it is scored."""
        if self._plan is not None and not self._plan.base:
            lora.merge(self.model)

    def captured(self, world: DistributedContext) -> ModelState | None:
        """What is saved, if it is, on rank 0; of a sharded student, all ranks ask for it."""
        if not self._is_saved or (world.rank != 0 and not is_sharded(self.model)):
            return None
        if self._plan is not None and self._plan.base:
            captured = lora.capture(self.model, self._plan, self._sizes)
        else:
            captured = weights.capture(self.model)
        return captured if world.rank == 0 else None


def _begun(config: TrialConfig, prepared: PreparedTask) -> tuple[PreparedTask, _TrialModel]:
    """The student as large as this trial has it, and the prepared task with such students."""
    seed_everything(config.seed)
    size = _of(config, SizeSettings)
    student = of_width(of_size(prepared.student, size.keep_layers), size.keep_heads)
    prepared = replace(prepared, student=student)
    return prepared, _TrialModel(config, prepared.student, _settings(config))


def _meeting(world: DistributedContext, sharded: bool) -> DistributedContext:
    """The ranks, which meet in every pass of a model that is sharded."""
    return in_lockstep(world) if sharded and world.size > 1 else world


def _wanted(config: TrialConfig) -> Measurements:
    return Measurements(test=config.score_test, row_metric=config.row_metric, costs=config.costs)


def _collator(method: Method[object], prepared: PreparedTask) -> Collator:
    return Collator(
        prepared.pad_id,
        max_length=prepared.max_length,
        context_padding=method.teacher_outputs().context_padding,
        views=method.views(),
    )


def run_trial(
    config: TrialConfig,
    prepared: PreparedTask,
    task: Task,
    world: DistributedContext,
    on_evaluation: Callable[[Evaluation], bool],
    teacher: Teacher | None = None,
    derive: Derive | None = None,
    listener: TrialListener | None = None,
) -> TrialOutcome:
    """Train one student; call it on every rank.

    Args:
        config: What to train.
        prepared: Rows, the cached outputs of the teacher, how students begin.
        task: The task they belong to.
        world: This process among the ranks of the trial.
        on_evaluation: Called on rank 0 after every evaluation but the last; True stops the trial.
        teacher: An opened teacher to reuse, else one is opened.
        derive: Opens teachers derived from it; None makes them here.
        listener: Hears of everything else.

    Raises:
        TrialError: The loss became NaN or infinite.
    """
    began, listener = time.monotonic(), listener or TrialListener()
    prepared, begun = _begun(config, prepared)
    settings, model, method = begun.settings, begun.model, build_method(config, prepared, task)
    teacher = _teacher(method, prepared, world, teacher, derive)
    world = _meeting(world, prepared.sharded and prepared.cached_outputs is None)
    splits, collator = _read_by(config, method, prepared), _collator(method, prepared)
    result = train_model(
        TrainJob(
            model=model, method=method, task=task,
            train=splits["train"], validation=splits["validation"],
            teacher=_read_from(teacher, method, settings),
            settings=settings, collator=collator, seed=config.seed, world=world,
            on_evaluation=lambda now: now.epoch < settings.epochs and on_evaluation(now),
            end_id=prepared.end_id, note=listener.note, state_every_s=config.state_every_s,
            state_path=Path(config.state_path) if config.state_path else None,
            log_every=config.log_every, on_steps=listener.steps,
        )
    )  # fmt: skip
    begun.finish()
    world = _meeting(world, is_sharded(model))
    student = TrainedStudent(model, task, splits, InferenceSetup(settings, collator, world))
    wanted = _wanted(config)
    ending, of_test = ({}, None) if result.stopped else measure(student, method, prepared, wanted)
    return TrialOutcome(
        evaluation=(last := result.history[-1]),
        metrics={**last.metrics, **ending},
        seconds=max(time.monotonic() - began, last.seconds),  # of one that was resumed, all of it
        stopped=result.stopped,
        student=None if result.stopped else begun.captured(world),
        row_outcomes=of_test.outcomes if of_test else None,
        row_predictions=of_test.predictions if of_test else None,
        confusion=of_test.confusion if of_test else (),
    )
