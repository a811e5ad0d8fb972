"""A teacher and a student with their tokenizers: found, read and checked against each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from raykd import registry
from raykd.data.base import Examples, Task
from raykd.data.prompts import id_count
from raykd.data.task_kinds import task_kind
from raykd.models.base import ModelDims, RandomInitConfig
from raykd.models.bpe import train_bpe
from raykd.models.checkpoint import Checkpoint, read_checkpoint
from raykd.models.families.base import ModelFamily, family_of
from raykd.models.model_factory import ModelFactory, factory_from_random_init, factory_from_state
from raykd.models.pair_checks import (
    check_checkpoint,
    check_from_teacher,
    check_positions,
    check_tokens,
    under,
    unused_sizes,
    unused_vocabulary,
)
from raykd.models.resolve import read_config, resolve
from raykd.models.tokenizers import (
    load_tokenizer,
    same_tokens,
    train_tokenizer,
)
from raykd.spec.descriptions import describe_model
from raykd.spec.schema import RandomInitSpec, SweepSpec
from raykd.teachers.inputs import StudentFromTeacher


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenizerPair:
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
class ModelPair:
    """A teacher and a student.

    Attributes:
        teacher: How the teacher begins.
        student: How the student begins, or which blocks of the teacher it is.
        tokenizers: Their tokenizers.
        notes: What a user should know of how they were read.
    """

    teacher: ModelFactory
    student: ModelFactory | StudentFromTeacher
    tokenizers: TokenizerPair
    notes: tuple[str, ...] = ()

    def student_dims(self) -> ModelDims:
        """The sizes of the student."""
        if isinstance(self.student, ModelFactory):
            return self.student.dims
        return self.student.dims(self.teacher.dims)


def load_pair(spec: SweepSpec, task: Task, rows: Mapping[str, Examples]) -> ModelPair:
    """The models of a sweep, set up for a task.

    Args:
        spec: The sweep.
        task: The task.
        rows: Its rows by role; a teacher given by its sizes learns its tokens from ``finetune``.

    Raises:
        SpecError: The checkpoint has no head, or the student cannot be made of the teacher.
        DataError: A model or a tokenizer cannot be used.
        SetupError: A model cannot be reached.
    """
    key = _teacher_key(spec)
    named = teacher_name(spec)
    notes: list[str] = []
    with under(key):
        teacher_tokens = _teacher_tokenizer(spec, rows)
        teacher, found = _factory(named, task, teacher_tokens, notes)
        if isinstance(named, RandomInitSpec):
            notes += unused_sizes(_config(named), teacher, key)
        if spec.teacher.checkpoint is not None:
            assert found is not None
            said = check_checkpoint(found, task.num_labels, task.kind, task.labels)
            notes += [said] if said else []
        check_tokens(teacher_tokens, teacher.dims.vocabulary, describe_model(named))
    check_positions(teacher, spec.data.max_length, describe_model(named), key)
    tokenizers, student = _student(spec, task, teacher, teacher_tokens, notes)
    return ModelPair(teacher=teacher, student=student, tokenizers=tokenizers, notes=tuple(notes))


def teacher_name(spec: SweepSpec) -> str | RandomInitSpec:
    """The name of the teacher, or its sizes."""
    named = spec.teacher.checkpoint or spec.teacher.model
    assert named is not None
    return named


def teacher_family(spec: SweepSpec) -> ModelFamily:
    """The family of the teacher.

    Raises:
        RaykdError: There is no such model, or none of a known family; says under which key.
    """
    with under(_teacher_key(spec)):
        return family_named(teacher_name(spec))


def _teacher_key(spec: SweepSpec) -> str:
    return "teacher.checkpoint" if spec.teacher.checkpoint is not None else "teacher.model"


def family_named(named: str | RandomInitSpec) -> ModelFamily:
    """The family of a named model, or of one given by its sizes."""
    if isinstance(named, RandomInitSpec):
        family: ModelFamily = registry.load("families", named.family)
        return family
    return family_of(read_config(resolve(named))["model_type"])


def _teacher_tokenizer(spec: SweepSpec, rows: Mapping[str, Examples]) -> Any:
    named = teacher_name(spec)
    if isinstance(named, str):
        return load_tokenizer(named)
    texts = [text for column in rows["finetune"].texts for text in column]
    if specials := family_named(named).specials:
        return train_bpe(texts, named.vocabulary, specials)
    return train_tokenizer(texts, named.vocabulary)


def _factory(
    named: str | RandomInitSpec, task: Task, tokenizer: Any, notes: list[str]
) -> tuple[ModelFactory, Checkpoint | None]:
    """How a named model, or one given by its sizes, begins; adds what there is to say of it."""
    if isinstance(named, RandomInitSpec):
        family_named(named).head_class(task.kind)  # before anything is trained
        random_init = _config(named)
        factory = factory_from_random_init(
            random_init,
            vocabulary=id_count(tokenizer),
            kind=task.kind,
            num_labels=task.num_labels,
            labels=task.labels,
            pad=_padding(tokenizer, task.kind),
        )
        return factory, None
    found = read_checkpoint(named, kind=task.kind, num_labels=task.num_labels, labels=task.labels)
    notes += found.notes
    return factory_from_state(found.state, task.kind, task.num_labels, task.labels), found


def _padding(tokenizer: Any, kind: str) -> int | None:
    """The token that pads; None where the one that ends texts stands in for it.

    Its vector would not be trained. Number 0 is what tokenizers that are trained here pad with.
    """
    pad: int = tokenizer.pad_token_id
    stands_in = task_kind(kind).generates and pad == tokenizer.eos_token_id and pad != 0
    return None if stands_in else pad


def _student(
    spec: SweepSpec, task: Task, teacher: ModelFactory, teacher_tokens: Any, notes: list[str]
) -> tuple[TokenizerPair, ModelFactory | StudentFromTeacher]:
    same = TokenizerPair(teacher=teacher_tokens, student=teacher_tokens, same=True)
    from_teacher, model = spec.student.from_teacher, spec.student.model
    if from_teacher is not None:
        check_from_teacher(
            teacher,
            layers=from_teacher.layers,
            sparsity=from_teacher.sparsity,
            weights=from_teacher.weights,
        )
        if from_teacher.sparsity is not None:
            return same, StudentFromTeacher(
                sparsity=float(from_teacher.sparsity), weights="finetuned"
            )
        assert from_teacher.layers is not None
        return same, StudentFromTeacher(
            layers=from_teacher.layers,
            weights=from_teacher.weights,
            sort_by_importance=from_teacher.sort_by_importance,
        )
    assert model is not None
    name, length = describe_model(model), spec.data.max_length
    if isinstance(model, RandomInitSpec):
        named = teacher_name(spec)
        teacher_is = named if isinstance(named, str) else _config(named)
        notes += unused_vocabulary(_config(model), teacher_is, id_count(teacher_tokens))
    with under("student.model"):
        own = load_tokenizer(model) if isinstance(model, str) else teacher_tokens
        factory, _ = _factory(model, task, own, notes)
        if isinstance(model, RandomInitSpec):
            notes += unused_sizes(_config(model), factory, "student.model")
        rows = factory.dims.vocabulary
        shared = _shared(teacher_tokens, own, teacher.dims.vocabulary, rows)
        check_tokens(shared or own, rows, name)
    check_positions(factory, length, name, "student.model")
    if shared is None:
        return TokenizerPair(teacher=teacher_tokens, student=own, same=False), factory
    if task.task_kind.generates and shared.eos_token_id != own.eos_token_id:
        notes.append(
            f"student.model: texts end with '{shared.eos_token}' ({shared.eos_token_id}), as those "
            f"of the teacher do, and not with '{own.eos_token}' ({own.eos_token_id}), as '{name}' "
            "says; the student learns it, and is saved with it"
        )
    return TokenizerPair(teacher=shared, student=shared, same=True), factory


def _shared(teacher: Any, student: Any, teacher_rows: int, student_rows: int) -> Any:
    """The tokenizer for both models, the teacher's if the student has its tokens; None: neither."""
    if teacher is student:
        return teacher
    if not same_tokens(teacher, student):
        return None
    if id_count(teacher) > student_rows and id_count(student) <= min(student_rows, teacher_rows):
        return student
    return teacher


def _config(given: RandomInitSpec) -> RandomInitConfig:
    """The sizes of a model as the families read them."""
    return RandomInitConfig(**{**given.model_dump(), "dropout": float(given.dropout)})
