"""Prepares a task once: fine-tunes or loads the teacher and records what students will read."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import nn

from raykd import registry
from raykd.data.base import TEXT_KINDS, TOKEN_KINDS, Array, Encoded, Task
from raykd.data.collate import Collator
from raykd.data.prompts import with_rationales
from raykd.errors import TeacherError
from raykd.methods.base import Derivation, Setting, Signals
from raykd.models import weights
from raykd.models.base import Anatomy, Outputs
from raykd.models.cut import take_layers
from raykd.models.source import ModelSource
from raykd.models.weights import ModelState
from raykd.results.records import Evaluation
from raykd.teachers.derive import Findings, TeacherBench, analyse
from raykd.teachers.pruned import prune, rewire
from raykd.teachers.recorded import RecordedOutputs
from raykd.teachers.recording import Recording, after, estimate_bytes, record
from raykd.teachers.serve import RecordedTeacher
from raykd.teachers.tokens.choose import cache_of
from raykd.teachers.tokens.hidden import HiddenCache
from raykd.teachers.written import EXPLAINED, WRITTEN, Explaining, written
from raykd.training.device import World
from raykd.training.evaluate import score
from raykd.training.loop import FitJob, fit
from raykd.training.seeding import derive_seed, seed_everything
from raykd.training.settings import TrainSettings

Progress = Callable[[str, int, int, str], None]
"""Called with phase, units done, units in all, and a detail to show."""

Recorder = Callable[[nn.Module, ModelSource, Recording, Callable[[int], None]], RecordedOutputs]
"""Records the train rows: gets the teacher, how others can build it, what to record, and a function
to call with the number of rows done."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StudentCut:
    """A student made of the teacher: some of its blocks, or all of them with fewer units.

    Attributes:
        layers: Blocks, numbered from 0, when `sparsity` is None.
        weights: Those the teacher has after fine-tuning, or before.
        sparsity: Percent of the heads and neurons of the fine-tuned teacher that go.
        rewired: Whether the important heads and neurons of every block come first.
    """

    layers: tuple[int, ...] = ()
    weights: Literal["finetuned", "pretrained"]
    sparsity: float | None = None
    rewired: bool = False

    def anatomy(self, teacher: Anatomy) -> Anatomy:
        """The sizes of the student."""
        if self.sparsity is not None:
            return replace(teacher, uneven=True)
        return replace(teacher, layers=len(self.layers))


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskInputs:
    """What the preparation of a task works on.

    Attributes:
        task: The task.
        teacher_splits: Rows as the teacher reads them: ``train``, ``select``, ``report``, and
            ``finetune`` when it is fine-tuned.
        student_splits: ``train``, ``select``, ``report`` as the student reads them.
        teacher: How the teacher begins.
        teacher_pad: Padding token of the teacher.
        finetune: Settings of fine-tuning, None for a teacher that is used as it is.
        finetune_seed: Seed of fine-tuning.
        explain: Weight of rationales in it, 0 where only responses are learnt; otherwise rows are
            read with the names of the tasks.
        student: How a student begins, or which blocks of the teacher it is made of.
        student_pad: Padding token of the student.
        same_tokens: Whether both split text alike.
        max_length: Longest row in tokens.
        vocabulary: Token ids that the teacher's tokenizer can give.
        signals: Everything the sweep's methods read from the teacher.
        derivations: How other teachers are derived from it, each looked at once.
        mode: Serve recorded outputs, or the weights.
        dtype: How recorded hidden states are kept.
        explaining: Rationales that the teacher is to write, or None.
        fingerprint: Identity of all of the above.
    """

    task: Task
    teacher_splits: Mapping[str, Encoded]
    student_splits: Mapping[str, Encoded]
    teacher: ModelSource
    teacher_pad: int
    finetune: TrainSettings | None
    finetune_seed: int
    explain: float = 0.0
    student: ModelSource | StudentCut
    student_pad: int
    same_tokens: bool
    max_length: int
    vocabulary: int
    signals: Signals
    derivations: tuple[Derivation, ...]
    mode: Literal["outputs", "weights"]
    dtype: str
    explaining: Explaining | None = None
    fingerprint: str

    def recorded_signals(self) -> Signals:
        """What is recorded of the train rows; logits at least, derivations read them."""
        return self.signals if self.mode == "outputs" else Signals(logits=True)

    def records(self) -> bool:
        """Whether the train rows are recorded: to be read, or to derive teachers from."""
        return self.mode == "outputs" or self.task.kind not in TOKEN_KINDS

    def recording(self, role: str, signals: Signals) -> Recording:
        """How the rows of a role are recorded."""
        encoded = self.teacher_splits[role]
        size = estimate_bytes(
            encoded, signals, self.teacher.anatomy, self.task, wide=self.dtype == "fp32"
        )
        return Recording(
            encoded=encoded,
            signals=signals,
            pad_id=self.teacher_pad,
            max_length=self.max_length,
            dtype=self.dtype,
            batch_size=self.finetune.eval_batch_size if self.finetune else 64,
            row_bytes=size // len(encoded),
            vocabulary=self.vocabulary,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """A task ready for trials; the same object on every node.

    Attributes:
        task: Task name.
        fingerprint: Identity of everything it was made from.
        splits: ``train``, ``select``, ``report``, and companions ``report_<suffix>``, as the
            student reads them.
        pad_id: Padding token of the student.
        end_id: The token that ends a text of the student, 0 where it writes none.
        max_length: Longest row in tokens.
        same_tokens: Whether teacher and student split text alike.
        teacher_anatomy: Sizes of the teacher.
        student: How students begin.
        recorded: The teacher's outputs on ``train``, None when it is served by its weights.
        teacher: The teacher itself, where it is served by its weights or others are derived from
            it; else None.
        reported: What the teacher said of the tokens of the report split, to tell how far students
            are from it; None where no text is written.
        output_matrix: Its output matrix, where scores of a vocabulary are formed from what was
            recorded; else None.
        findings: What derivations found out about it, by `raykd.teachers.derive.name_of`.
        metrics: The teacher's scores: ``select/<metric>``, ``report/<metric>``.
        history: Evaluations during fine-tuning.
        parameters: The teacher's number of weights.
        forwards: Rows passed through the teacher after fine-tuning.
        distinct: Distinct rows among them.
        seconds: Time of the preparation.
    """

    task: str
    fingerprint: str
    splits: Mapping[str, Encoded]
    pad_id: int
    end_id: int
    max_length: int
    same_tokens: bool
    teacher_anatomy: Anatomy
    student: ModelSource
    recorded: RecordedOutputs | None
    teacher: ModelSource | None
    reported: RecordedOutputs | None
    output_matrix: Array | None
    findings: Mapping[str, Findings]
    metrics: Mapping[str, float]
    history: tuple[Evaluation, ...]
    parameters: int
    forwards: int
    distinct: int
    seconds: float

    def bare(self) -> Prepared:
        """The same without the values of recorded outputs."""
        if self.recorded is None:
            return self
        return replace(self, recorded=self.recorded.with_chunks(()))

    def arrays(self) -> Iterator[Array]:
        """Every array of rows, models and findings, and where recorded rows begin."""
        for encoded in self.splits.values():
            yield from encoded.arrays()
        if self.output_matrix is not None:
            yield self.output_matrix
        if self.reported is not None:
            yield from self.reported.arrays()
        for findings in self.findings.values():
            yield from findings.arrays.values()
        for source in (self.student, self.teacher):
            if source is not None and source.state is not None:
                yield from source.state.tensors.values()
        if self.recorded is not None:
            yield from self.recorded.offsets()


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
    task = inputs.task
    seed_everything(inputs.finetune_seed)
    model = inputs.teacher.build(inputs.finetune_seed).to(world.device)
    history: tuple[Evaluation, ...] = ()
    if inputs.finetune is not None:
        history = _finetune(model, task, inputs, world, progress)
    if world.rank != 0:
        return None
    model.eval()
    state = weights.capture(model)
    source = replace(inputs.teacher, state=state, shape=None)
    metrics = _score(model, inputs, world.device, progress)
    recorded: RecordedOutputs | None = None
    if inputs.records():
        recorded = recorder(
            model, source, inputs.recording("train", inputs.recorded_signals()),
            _rows_done(inputs, progress),
        )  # fmt: skip
    reported: RecordedOutputs | None = None
    if task.kind in TEXT_KINDS and inputs.same_tokens:
        signals = Signals(logits=True, tokens=HiddenCache().name)
        reported = record(model, inputs.recording("report", signals), world.device)
    student = _student(inputs, state, model, world.device)
    findings = _analyse(inputs, model, student, recorded, world, progress)
    distinct = sum(len(split) for split in _distinct(inputs.teacher_splits))
    keeps_weights = inputs.mode == "weights" or inputs.derivations
    prepared = Prepared(
        task=task.name,
        fingerprint=inputs.fingerprint,
        splits=_with_written(inputs, model, progress),
        pad_id=inputs.student_pad,
        end_id=_end(inputs.student_splits["select"]),
        max_length=inputs.max_length,
        same_tokens=inputs.same_tokens,
        teacher_anatomy=inputs.teacher.anatomy,
        student=student,
        recorded=recorded if inputs.mode == "outputs" else None,
        teacher=source if keeps_weights else None,
        reported=reported,
        output_matrix=_output_matrix(model, recorded, reported),
        findings=findings,
        metrics=metrics,
        history=history,
        parameters=sum(p.numel() for p in model.parameters()),
        forwards=distinct,
        distinct=distinct,
        seconds=time.monotonic() - began,
    )
    return prepared, state


def _with_written(
    inputs: TaskInputs, model: nn.Module, progress: Progress
) -> Mapping[str, Encoded]:
    """The student's rows, with what the teacher wrote where a method learns from it."""
    splits = dict(inputs.student_splits)
    explaining = inputs.explaining

    def made(rows: Encoded, stream: str, most: int, asked: Encoded | None = None) -> Encoded:
        seed_everything(derive_seed(inputs.finetune_seed, stream))
        scored = inputs.teacher_splits["select"].references
        assert scored is not None
        assert scored.tokens is not None
        settings = inputs.finetune or TrainSettings()
        progress("write", 0, len(rows), stream)
        return written(
            model, rows, scored.tokens, most, settings.eval_batch_size,
            lambda done: progress("write", done, len(rows), stream), asked,
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


def _end(scored: Encoded) -> int:
    tokens = scored.references.tokens if scored.references is not None else None
    return tokens.end if tokens is not None else 0


def _output_matrix(model: Any, *recordings: RecordedOutputs | None) -> Array | None:
    named = {recording.tokens for recording in recordings if recording is not None}
    if not any(cache_of(name).needs_matrix for name in named if name):
        return None
    matrix: Array = model.lm_head.weight.detach().float().cpu().numpy().copy()
    return matrix


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
    bench = TeacherBench(
        setting=Setting(
            teacher=inputs.teacher.anatomy,
            student=student.anatomy,
            kind=inputs.task.kind,
            num_labels=inputs.task.num_labels,
            same_tokens=inputs.same_tokens,
        ),
        task=inputs.task,
        model=model,
        source=student,
        splits=inputs.teacher_splits,
        read=RecordedTeacher(recorded, world.device).reader(Signals(logits=True)),
        pad_id=inputs.teacher_pad,
        max_length=inputs.max_length,
        world=alone,
    )
    total = len(inputs.derivations)
    return analyse(inputs.derivations, bench, lambda done: progress("analyse", done, total, ""))


def _finetune(
    model: nn.Module, task: Task, inputs: TaskInputs, world: World, progress: Progress
) -> tuple[Evaluation, ...]:
    settings = inputs.finetune
    assert settings is not None
    name, given = "none", {}
    if inputs.explain > 0:
        name, given = "step_by_step", {"alpha": 1 - inputs.explain}
    learn = registry.load("methods", name)
    setting = Setting(
        teacher=inputs.teacher.anatomy,
        student=inputs.teacher.anatomy,
        kind=task.kind,
        num_labels=task.num_labels,
    )
    method = learn(registry.params_of("methods", name)(**given), setting)
    total = settings.epochs * settings.evals_per_epoch
    progress("finetune", 0, total, "")

    def report(evaluation: Evaluation) -> bool:
        done = round(evaluation.epoch * settings.evals_per_epoch)
        value = evaluation.metrics[task.metric]
        progress("finetune", done, total, f"{task.metric} {value:.4f}")
        return False

    result = fit(
        FitJob(
            model=model,
            method=method,
            task=task,
            train=inputs.teacher_splits["finetune"],
            select=inputs.teacher_splits["select"],
            teacher=lambda batch: Outputs(),
            settings=settings,
            collator=Collator(
                inputs.teacher_pad, max_length=inputs.max_length, beside=method.beside()
            ),
            seed=inputs.finetune_seed,
            world=world,
            report=report,
        )
    )
    return result.history


def _rows_done(inputs: TaskInputs, progress: Progress) -> Callable[[int], None]:
    """Progress of recording, after the splits that are scored."""
    distinct = _distinct(inputs.teacher_splits)
    total = sum(len(split) for split in distinct)
    before = total - len(inputs.teacher_splits["train"])
    return lambda done: progress("record", before + done, total, "train")


def _scoring(progress: Progress, total: int, split: str) -> Callable[[int], None]:
    return lambda done: progress("record", done, total, split)


def _score(
    model: nn.Module, inputs: TaskInputs, device: torch.device, progress: Progress
) -> dict[str, float]:
    """The teacher's metrics on the splits that are scored, each split read once."""
    splits = inputs.teacher_splits
    total = sum(len(split) for split in _distinct(splits))
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


def scored_roles(splits: Mapping[str, Encoded]) -> tuple[str, ...]:
    """``select``, ``report``, and the companions ``report_<suffix>`` there are."""
    companions = (role for role in splits if role.startswith("report_"))
    return ("select", "report", *companions)


def _distinct(splits: Mapping[str, Encoded]) -> list[Encoded]:
    """The splits that the teacher reads after fine-tuning, those that are the same only once."""
    read = (splits[name] for name in ("train", *scored_roles(splits)))
    return list({id(split): split for split in read}.values())


def _student(
    inputs: TaskInputs, finetuned: ModelState, teacher: nn.Module, device: torch.device
) -> ModelSource:
    if isinstance(inputs.student, ModelSource):
        return inputs.student
    cut = inputs.student
    anatomy = cut.anatomy(inputs.teacher.anatomy)
    if cut.sparsity is not None:
        state = prune(
            teacher,
            inputs.teacher_splits["select"],
            inputs.task,
            sparsity=cut.sparsity,
            collator=Collator(inputs.teacher_pad, max_length=inputs.max_length),
            device=device,
        )
        return replace(inputs.teacher, state=state, shape=None, anatomy=anatomy)
    if cut.weights == "finetuned":
        base = finetuned
    elif inputs.teacher.state is not None:
        base = inputs.teacher.state
    else:
        raise TeacherError(
            "student.from_teacher.weights: pretrained, but the teacher begins with random weights",
            hint="use weights: finetuned",
        )
    state = take_layers(base, cut.layers, keep_head=cut.weights == "finetuned")
    if cut.rewired:
        state = rewire(
            state,
            inputs.teacher_splits["select"],
            inputs.task,
            collator=Collator(inputs.teacher_pad, max_length=inputs.max_length),
            device=device,
        )
    return replace(inputs.teacher, state=state, shape=None, anatomy=anatomy)
