"""Collects what a task's preparation needs, and checks that it fits together.

Runs in the driver, before anything is started: what is wrong with data, models or methods is said
before the first second of training.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from raykd import registry
from raykd.data.base import PREDICT, TEXT_KINDS, Encoded, Rows, Task
from raykd.data.carve import fingerprint
from raykd.errors import Problem, SpecError
from raykd.losses.targets import Divergence
from raykd.methods.base import Derivation, Setting, Signals
from raykd.models import pruning
from raykd.models.base import ModelShape
from raykd.models.byte_pairs import train_byte_pairs
from raykd.models.families.base import ModelFamily, family_of
from raykd.models.folder import find, read_config
from raykd.models.load import check_max_length
from raykd.models.source import ModelSource, load_source, shape_source
from raykd.models.tokenizers import load_tokenizer, same_tokens, train_tokenizer
from raykd.spec.arms import derivations, refusals, union_signals, vocabulary_needs
from raykd.spec.schema import ShapeSpec, SweepSpec
from raykd.sweep.row_checks import check_choices, check_rationales, check_readings
from raykd.sweep.rows import roles
from raykd.sweep.tasks import task_of
from raykd.sweep.words import model_in_words, student_in_words
from raykd.teachers.inputs import StudentCut
from raykd.teachers.written import Explaining


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
        reduced: The same, with reductions in place of hidden states where methods allow it.
        derivations: How they derive other teachers from it.
        divergences: Divergences over a vocabulary that they compute, each with its label.
        reads_scores: Whether one reads scores of the vocabulary themselves.
        teacher_splits: Rows as the teacher reads them.
        student_splits: Rows as the student reads them.
        explaining: Rationales that the teacher is to write, or None.
        data_fingerprint: Hash of the rows.
    """

    task: Task
    spec: SweepSpec
    rows: Mapping[str, Rows]
    tokens: Tokens
    teacher: ModelSource
    student: ModelSource | StudentCut
    signals: Signals
    reduced: Signals
    derivations: tuple[Derivation, ...]
    divergences: tuple[tuple[str, Divergence], ...]
    reads_scores: bool
    teacher_splits: Mapping[str, Encoded]
    student_splits: Mapping[str, Encoded]
    explaining: Explaining | None
    data_fingerprint: str


def gather(spec: SweepSpec, name: str) -> Gathered:
    """Read rows and models of a task and check that every arm can work on them.

    Raises:
        SpecError: An arm cannot work on this pair or task.
        DataError: The rows are not what the task needs.
        SetupError: Data or models cannot be reached.
    """
    named = spec.teacher.checkpoint or spec.teacher.model
    assert named is not None
    task = task_of(spec, name).read_by(_family(named).text_kind())
    rows = roles(task, spec)
    teacher_tokens = _teacher_tokenizer(spec, rows)
    teacher = _source(named, spec, task, teacher_tokens)
    if spec.teacher.checkpoint is not None:
        _check_head(teacher, spec.teacher.checkpoint)
    tokens, student = _student(spec, task, teacher, teacher_tokens)
    student_anatomy = (
        student.anatomy if isinstance(student, ModelSource) else student.anatomy(teacher.anatomy)
    )
    setting = Setting(
        teacher=teacher.anatomy,
        student=student_anatomy,
        kind=task.kind,
        num_labels=task.num_labels,
        same_tokens=tokens.same,
        explains=spec.teacher.checkpoint is not None or spec.teacher.explain > 0,
        teacher_name=model_in_words(named),
        student_name=student_in_words(spec),
    )
    _refuse(spec, name, setting)
    divergences, reads_scores = vocabulary_needs(spec, setting)
    signals = _numbered(union_signals(spec, setting), teacher.anatomy.layers)
    length = spec.data.max_length
    explaining = _explaining(task, spec, rows["train"], tokens) if signals.rationales else None
    if signals.rationales and explaining is None:
        check_rationales(name, rows["train"])
    explains = spec.teacher.explain > 0
    if explains:
        check_rationales(name, rows["finetune"])
    more = signals.rationales or explains
    teacher_splits = _encoded(task, rows, tokens.teacher, length, more=more)
    student_splits = teacher_splits
    if not tokens.same:
        student_splits = _encoded(task, rows, tokens.student, length, more=more)
    if more:
        check_readings(name, student_splits)
    if explains:
        teacher_splits = {role: e.beside[PREDICT] for role, e in teacher_splits.items()}
    if signals.choices:
        check_choices(name, rows["train"], student_splits["train"])
    return Gathered(
        task=task,
        spec=spec,
        rows=rows,
        tokens=tokens,
        teacher=teacher,
        student=student,
        signals=signals,
        reduced=_numbered(union_signals(spec, setting, reduced=True), teacher.anatomy.layers),
        derivations=derivations(spec, setting),
        divergences=divergences,
        reads_scores=reads_scores,
        teacher_splits=teacher_splits,
        student_splits={r: e for r, e in student_splits.items() if r != "finetune"},
        explaining=explaining,
        data_fingerprint=fingerprint(rows),
    )


def _explaining(task: Task, spec: SweepSpec, train: Rows, tokens: Tokens) -> Explaining | None:
    """What the teacher is asked, where rationales are to come from it.

    Raises:
        SpecError: The student could not read them as they are written.
    """
    wanted = spec.data.rationales
    if not wanted.by_teacher:
        return None
    if not tokens.same:
        found = Problem(
            path="data.rationales.source",
            message="the teacher's rationales are token ids, and the student splits text "
            "differently",
            hint="choose a student with the teacher's tokenizer, or give rationales in a file",
        )
        raise SpecError(found=[found])
    length = spec.data.max_length
    return Explaining(
        prompts=task.asked(train, tokens.teacher, length),
        asked=task.asked(
            train, tokens.teacher, length, answered=wanted.source == "teacher_posthoc"
        ),
        # A prompt has half of the length; the rest is for what is written.
        max_new_tokens=min(wanted.max_new_tokens, length // 2),
    )


def _encoded(
    task: Task, rows: Mapping[str, Rows], tokenizer: Any, length: int, *, more: bool
) -> dict[str, Encoded]:
    """Every role's rows as a model reads them; roles that share rows share the result.

    Rows that are never scored do not keep what predictions would be compared with. With `more`, the
    task's other readings of them come along.
    """
    scored = {id(part) for role, part in rows.items() if role not in ("finetune", "train")}
    done: dict[int, Encoded] = {}
    for part in rows.values():
        if id(part) not in done:
            encoded = task.encode(part, tokenizer, length)
            beside = task.readings(part, tokenizer, length) if more else {}
            if id(part) not in scored:
                encoded = replace(encoded, references=None)
                beside = {n: replace(other, references=None) for n, other in beside.items()}
            done[id(part)] = replace(encoded, beside=beside)
    return {role: done[id(part)] for role, part in rows.items()}


def _refuse(spec: SweepSpec, task: str, setting: Setting) -> None:
    """Say of every arm that cannot work why it cannot.

    Raises:
        SpecError: One problem per arm.
    """
    found = []
    for label, why in refusals(spec, setting):
        reason, _, hint = why.partition("\n")
        message = f"on {task}: {spec.methods[label].method} {reason}"
        hint = hint or f"or leave it out: --set methods.{label}=false"
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


def _teacher_tokenizer(spec: SweepSpec, rows: Mapping[str, Rows]) -> Any:
    named = spec.teacher.checkpoint or spec.teacher.model
    if isinstance(named, str):
        return load_tokenizer(named)
    assert isinstance(named, ShapeSpec)
    texts = [text for column in rows["finetune"].texts for text in column]
    if specials := _family(named).specials:
        return train_byte_pairs(texts, named.vocabulary, specials)
    return train_tokenizer(texts, named.vocabulary)


def _family(named: str | ShapeSpec) -> ModelFamily:
    """The family of a named model, or of one given by its sizes."""
    if isinstance(named, ShapeSpec):
        family: ModelFamily = registry.load("families", named.family)
        return family
    return family_of(read_config(find(named))["model_type"])


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
    if cut is not None and cut.sparsity is not None:
        if wrong := pruning.refusal(teacher.anatomy):
            reason, _, hint = wrong.partition("\n")
            found = Problem(
                path="student.from_teacher.sparsity",
                message=f"the teacher {reason}",
                hint=hint or "take layers of it: student.from_teacher.layers",
            )
            raise SpecError(found=[found])
        return same, StudentCut(sparsity=float(cut.sparsity), weights="finetuned")
    if cut is not None:
        assert cut.layers is not None
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
        return same, StudentCut(layers=cut.layers, weights=cut.weights, rewired=cut.rewired)
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
    if teacher.kind in TEXT_KINDS:
        return  # The output matrix of a language model is there from the start.
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
