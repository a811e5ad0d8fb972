"""Collects what a task's preparation needs, and checks that it fits together.

Runs in the driver, before anything is started: what is wrong with data, models or methods is said
before the first second of training.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from raykd import params, registry
from raykd.data.base import DataSettings, Encoded, Rows, Task
from raykd.data.carve import carve, choose, fingerprint
from raykd.errors import Problem, SpecError
from raykd.methods.base import Setting, Signals
from raykd.models.base import ModelShape
from raykd.models.families.base import family_of
from raykd.models.load import check_max_length
from raykd.models.source import ModelSource, load_source, shape_source
from raykd.models.tokenizers import load_tokenizer, same_tokens, train_tokenizer
from raykd.params import describe
from raykd.results.records import TaskRecord, TeacherRecord
from raykd.spec.arms import refusals, union_signals
from raykd.spec.schema import ShapeSpec, SplitRef, SweepSpec
from raykd.sweep.plan import objectives
from raykd.teachers.prepare import Prepared, StudentCut, TaskInputs
from raykd.teachers.recorded import estimate_bytes
from raykd.training.settings import TrainSettings

STORE_SHARE = 0.5
"""Recorded outputs may fill this part of the object store; the rest is for everything else."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tokens:
    """The tokenizers of a pair.

    Attributes:
        teacher: The teacher's.
        student: The student's; the same object where both split text alike.
        same: Whether they do.
    """

    teacher: Any
    student: Any
    same: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Gathered:
    """A task with its rows and models, ready to be prepared.

    Attributes:
        task: The task.
        spec: The sweep it belongs to.
        rows: Rows by role: ``finetune``, ``train``, ``select``, ``report``.
        tokens: The tokenizers.
        teacher: How the teacher begins.
        student: How the student begins, or which blocks of the teacher it is.
        signals: What the methods read from the teacher.
        teacher_splits: Rows as the teacher reads them.
        student_splits: Rows as the student reads them.
        data_fingerprint: Hash of the rows.
    """

    task: Task
    spec: SweepSpec
    rows: Mapping[str, Rows]
    tokens: Tokens
    teacher: ModelSource
    student: ModelSource | StudentCut
    signals: Signals
    teacher_splits: Mapping[str, Encoded]
    student_splits: Mapping[str, Encoded]
    data_fingerprint: str

    def task_record(self, prepared: Prepared) -> TaskRecord:
        """The task as the report shows it."""
        metric, mode = objectives(self.spec, self.task)[0]
        student = prepared.student.build(seed=0)
        return TaskRecord(
            name=self.task.name,
            metric=metric,
            mode=mode,
            metrics=self.task.metrics,
            rows={
                "teacher": len(self.rows["finetune"]) if finetuned(self.spec) else 0,
                **{role: len(self.rows[role]) for role in ("train", "select", "report")},
            },
            select_on=_in_words(self.spec.data.select_on),
            report_on=_in_words(self.spec.data.report_on),
            data_fingerprint=self.data_fingerprint,
            truncated=self.student_splits["train"].truncated,
            student=_student_in_words(self.spec),
            student_parameters=sum(p.numel() for p in student.parameters()),
        )

    def teacher_record(
        self, prepared: Prepared, store_bytes: int, *, cached: bool, serving: str
    ) -> TeacherRecord:
        """The teacher as the report shows it."""
        stored = dict(prepared.recorded.stored()) if prepared.recorded is not None else {}
        if prepared.live is not None and prepared.live.state is not None:
            stored["weights"] = sum(a.nbytes for a in prepared.live.state.tensors.values())
        return TeacherRecord(
            task=self.task.name,
            model=_model_in_words(self.spec.teacher.checkpoint or self.spec.teacher.model),
            fingerprint=prepared.fingerprint,
            rows=len(self.rows["finetune"]) if finetuned(self.spec) else 0,
            metrics=prepared.metrics,
            parameters=prepared.parameters,
            forwards=prepared.forwards,
            distinct=prepared.distinct,
            store_bytes=store_bytes,
            stored=stored,
            seconds=prepared.seconds,
            cached=cached,
            serving=serving,
            history=prepared.history,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Planned:
    """A task's inputs with the decision how its teacher is served.

    Attributes:
        inputs: What a worker prepares.
        serving: The decision and its arithmetic, in words.
    """

    inputs: TaskInputs
    serving: str


def gather(spec: SweepSpec, name: str) -> Gathered:
    """Read rows and models of a task and check that every arm can work on them.

    Raises:
        SpecError: An arm cannot work on this pair or task.
        DataError: The rows are not what the task needs.
        SetupError: Data or models cannot be reached.
    """
    task: Task = registry.load("tasks", name)
    rows = roles(task, spec)
    teacher_tokens = _teacher_tokenizer(spec, rows)
    named = spec.teacher.checkpoint or spec.teacher.model
    assert named is not None
    teacher = _source(named, spec, task, teacher_tokens)
    if spec.teacher.checkpoint is not None:
        _check_head(teacher, spec.teacher.checkpoint)
    tokens, student = _student(spec, task, teacher, teacher_tokens)
    student_anatomy = (
        student.anatomy
        if isinstance(student, ModelSource)
        else replace(teacher.anatomy, layers=len(student.layers))
    )
    setting = Setting(
        teacher=teacher.anatomy,
        student=student_anatomy,
        kind=task.kind,
        num_labels=task.num_labels,
        same_tokens=tokens.same,
        teacher_name=_model_in_words(named),
        student_name=_student_in_words(spec),
    )
    _refuse(spec, name, setting)
    length = spec.data.max_length
    teacher_splits = {r: task.encode(rows[r], tokens.teacher, length) for r in rows}
    student_splits = {
        r: teacher_splits[r] if tokens.same else task.encode(rows[r], tokens.student, length)
        for r in ("train", "select", "report")
    }
    return Gathered(
        task=task,
        spec=spec,
        rows=rows,
        tokens=tokens,
        teacher=teacher,
        student=student,
        signals=_numbered(union_signals(spec, setting), teacher.anatomy.layers),
        teacher_splits=teacher_splits,
        student_splits=student_splits,
        data_fingerprint=fingerprint(rows),
    )


def _refuse(spec: SweepSpec, task: str, setting: Setting) -> None:
    """Say of every arm that cannot work why it cannot.

    Raises:
        SpecError: One problem per arm.
    """
    found = []
    for label, why in refusals(spec, setting):
        reason, _, hint = why.partition("\n")
        message = f"on {task}: {spec.methods[label].method} {reason}"
        found.append(Problem(path=f"methods.{label}", message=message, hint=hint))
    if found:
        raise SpecError(found=found)


def _numbered(signals: Signals, layers: int) -> Signals:
    """The signals with every layer named by its number."""
    hidden, attentions = signals.hidden_states, signals.attentions
    return replace(
        signals,
        hidden_states=tuple(range(layers + 1)) if hidden == "all" else hidden,
        attentions=tuple(range(layers)) if attentions == "all" else attentions,
    )


def roles(task: Task, spec: SweepSpec) -> dict[str, Rows]:
    """Rows by role: ``finetune``, ``train``, ``select``, ``report``; the first two may share rows.

    Parts carved out of train are disjoint from each other and from what is trained on.
    """
    data = spec.data
    settings = DataSettings(root=data.root, limit=data.limit, seed=data.seed)
    train = task.load("train", settings)
    left = np.arange(len(train))
    found: dict[str, Rows] = {}
    for role, ref in (("select", data.select_on), ("report", data.report_on)):
        if ref.split == "train" and ref.fraction is not None:
            keep, part = carve(len(left), float(ref.fraction), data.seed)
            found[role] = train.take(left[part])
            left = left[keep]
        else:
            rows = train if ref.split == "train" else task.load(ref.split, settings)
            if ref.fraction is not None:
                rows = rows.take(carve(len(rows), float(ref.fraction), data.seed)[1])
            found[role] = rows
    finetune_rows = spec.teacher.finetune.get("rows")
    assert finetune_rows is None or isinstance(finetune_rows, int)
    found["finetune"] = train.take(choose(left, finetune_rows, data.seed))
    found["train"] = train.take(choose(left, data.student_rows, data.seed))
    return found


def inputs_of(spec: SweepSpec, gathered: Gathered, store_bytes: int) -> Planned:
    """Decide how the teacher is served, and name the whole by its fingerprint.

    Args:
        spec: The sweep.
        gathered: The task.
        store_bytes: Capacity that recorded outputs may use part of.
    """
    train = gathered.teacher_splits["train"]
    needed = estimate_bytes(
        len(train),
        int(train.offsets[-1]),
        gathered.signals,
        gathered.teacher.anatomy.hidden,
        gathered.task.num_labels,
        wide=spec.teacher.dtype == "fp32",
    )
    room = int(store_bytes * STORE_SHARE)
    needs_live = gathered.signals.weights or bool(gathered.signals.attentions)
    mode = spec.teacher.serve
    if mode == "auto":
        mode = "outputs" if needed <= room and not needs_live else "weights"
    if mode == "outputs" and needs_live:
        found = Problem(
            path="teacher.serve",
            message="a method of this file needs the live teacher, but serve is outputs",
            hint="use serve: auto or weights",
        )
        raise SpecError(found=[found])
    inputs = TaskInputs(
        task=gathered.task.name,
        teacher_splits=gathered.teacher_splits,
        student_splits=gathered.student_splits,
        teacher=gathered.teacher,
        teacher_pad=gathered.tokens.teacher.pad_token_id,
        finetune=finetune_settings(spec) if finetuned(spec) else None,
        finetune_seed=_finetune_seed(spec),
        student=gathered.student,
        student_pad=gathered.tokens.student.pad_token_id,
        same_tokens=gathered.tokens.same,
        max_length=spec.data.max_length,
        signals=gathered.signals,
        mode=mode,
        dtype=spec.teacher.dtype,
        fingerprint="",
    )
    serving = (
        f"served by its {mode}: its outputs on {len(train):,} rows take "
        f"{needed / 2**20:,.1f} MiB, the object store has room for {room / 2**20:,.0f} MiB"
    )
    identity = _fingerprint(inputs, gathered)
    return Planned(inputs=replace(inputs, fingerprint=identity), serving=serving)


def finetuned(spec: SweepSpec) -> bool:
    """Whether the teacher is fine-tuned here; a checkpoint is used as it is."""
    return spec.teacher.checkpoint is None


def finetune_settings(spec: SweepSpec) -> TrainSettings:
    """Training settings of the teacher."""
    names = {i.name for i in describe(TrainSettings)}
    given = {k: v for k, v in spec.teacher.finetune.items() if k in names}
    return params.build(TrainSettings, given)


def _finetune_seed(spec: SweepSpec) -> int:
    seed = spec.teacher.finetune.get("seed", 0)
    assert isinstance(seed, int)
    return seed


def _teacher_tokenizer(spec: SweepSpec, rows: Mapping[str, Rows]) -> Any:
    named = spec.teacher.checkpoint or spec.teacher.model
    if isinstance(named, str):
        return load_tokenizer(named)
    assert isinstance(named, ShapeSpec)
    texts = [text for column in rows["finetune"].texts for text in column]
    return train_tokenizer(texts, named.vocabulary)


def _source(named: str | ShapeSpec, spec: SweepSpec, task: Task, tokenizer: Any) -> ModelSource:
    """How a named model, or one given by its sizes, begins."""
    if isinstance(named, ShapeSpec):
        shape = ModelShape(**{**named.model_dump(), "dropout": float(named.dropout)})
        return shape_source(
            shape, vocabulary=len(tokenizer), kind=task.kind, num_labels=task.num_labels
        )
    source = load_source(named, kind=task.kind, num_labels=task.num_labels)
    check_max_length(source.state, spec.data.max_length, named)
    return source


def _student(
    spec: SweepSpec, task: Task, teacher: ModelSource, teacher_tokens: Any
) -> tuple[Tokens, ModelSource | StudentCut]:
    same = Tokens(teacher=teacher_tokens, student=teacher_tokens, same=True)
    cut, model = spec.student.from_teacher, spec.student.model
    if cut is not None:
        beyond = [k for k in cut.layers if not 0 <= k < teacher.anatomy.layers]
        if beyond:
            raise SpecError(
                found=[
                    Problem(
                        path="student.from_teacher.layers",
                        message=f"the teacher has layers 0 to {teacher.anatomy.layers - 1}, "
                        f"got {beyond[0]}",
                    )
                ]
            )
        if cut.weights == "pretrained" and teacher.state is None:
            raise SpecError(
                found=[
                    Problem(
                        path="student.from_teacher.weights",
                        message="'pretrained' weights of the teacher were asked for, but it begins "
                        "with random ones",
                        hint="set student.from_teacher.weights: finetuned",
                    )
                ]
            )
        return same, StudentCut(layers=cut.layers, weights=cut.weights)
    assert model is not None
    if isinstance(model, ShapeSpec):
        return same, _source(model, spec, task, teacher_tokens)
    own = load_tokenizer(model)
    source = _source(model, spec, task, own)
    if same_tokens(teacher_tokens, own):
        return same, source
    return Tokens(teacher=teacher_tokens, student=own, same=False), source


def _check_head(teacher: ModelSource, name: str) -> None:
    """A checkpoint is used as it is, so it must bring its head."""
    assert teacher.state is not None
    family = family_of(teacher.state.config["model_type"])
    if not any(family.is_head(tensor) for tensor in teacher.state.tensors):
        raise SpecError(
            found=[
                Problem(
                    path="teacher.checkpoint",
                    message=f"'{name}' has no head with {teacher.num_labels} outputs, "
                    "so it is not fine-tuned for this task",
                    hint="use teacher.model to fine-tune it here",
                )
            ]
        )


def _fingerprint(inputs: TaskInputs, gathered: Gathered) -> str:
    digest = hashlib.sha256()
    plain = {
        "data": gathered.data_fingerprint,
        "finetune": asdict(inputs.finetune) if inputs.finetune else None,
        "seed": inputs.finetune_seed,
        "signals": asdict(inputs.signals),
        "mode": inputs.mode,
        "dtype": inputs.dtype,
        "max_length": inputs.max_length,
        "task": inputs.task,
        "teacher": _source_identity(inputs.teacher),
        "student": asdict(inputs.student)
        if isinstance(inputs.student, StudentCut)
        else _source_identity(inputs.student),
    }
    digest.update(json.dumps(plain, sort_keys=True, default=str).encode())
    for splits in (inputs.teacher_splits, inputs.student_splits):
        for encoded in splits.values():
            digest.update(encoded.input_ids.tobytes())
    return digest.hexdigest()[:24]


def _source_identity(source: ModelSource) -> dict[str, Any]:
    weights = hashlib.sha256()
    if source.state is not None:
        for name in sorted(source.state.tensors):
            weights.update(name.encode())
            weights.update(source.state.tensors[name].tobytes())
    # Dropout and activation are in the configuration only; where the files lie does not matter.
    config = dict(source.state.config) if source.state is not None else {}
    shape = asdict(source.shape) if source.shape else None
    return {
        "shape": shape,
        "anatomy": asdict(source.anatomy),
        "config": {k: v for k, v in config.items() if k != "_name_or_path"},
        "weights": weights.hexdigest(),
    }


def _in_words(ref: SplitRef) -> str:
    return ref.split if ref.fraction is None else f"{ref.fraction:.0%} of {ref.split}"


def _model_in_words(model: str | ShapeSpec | None) -> str:
    if isinstance(model, ShapeSpec):
        return f"{model.family} {model.layers}x{model.hidden}, random weights"
    return model or ""


def _student_in_words(spec: SweepSpec) -> str:
    cut = spec.student.from_teacher
    if cut is not None:
        layers = ", ".join(str(k) for k in cut.layers)
        return f"layers {layers} of the teacher, {cut.weights} weights"
    return _model_in_words(spec.student.model)
