"""A teacher and a student with their tokenizers: found, read and checked against each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from raykd.data.base import Examples, Task
from raykd.data.prompts import id_count
from raykd.data.task_kinds import task_kind
from raykd.models.base import ModelDims, RandomInitConfig
from raykd.models.bpe import train_bpe
from raykd.models.checkpoint import Checkpoint, read_checkpoint
from raykd.models.families.base import ModelFamily, family_named, family_of
from raykd.models.model_factory import ModelFactory, factory_from_random_init, factory_from_state
from raykd.models.pair_checks import (
    check_checkpoint,
    check_from_teacher,
    check_positions,
    check_tokens,
    padding_of_vocabulary,
    under,
    unused_sizes,
    unused_vocabulary,
)
from raykd.models.resolve import read_config, resolve
from raykd.models.student_from_teacher import StudentFromTeacher
from raykd.models.tokenizers import load_tokenizer, same_tokens, train_tokenizer

STUDENT_KEY = "student.model"
"""The place of the student in the search space."""


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

    def shared_ids(self) -> int:
        """Token ids that the teacher's can give, and the student's too if they are alike."""
        teacher = id_count(self.teacher)
        return min(teacher, id_count(self.student)) if self.same else teacher


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelPair:
    """A teacher and a student.

    Attributes:
        teacher: How the teacher begins; without weights and sizes to draw them where it is no
            model here, and nothing can be built.
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


@dataclass(frozen=True, kw_only=True, slots=True)
class PairSettings:
    """Which models are paired, by their names or sizes.

    Attributes:
        teacher: Name or folder of the teacher, or its sizes; None where there is no such model.
        teacher_key: Its place in the search space.
        teacher_name: The teacher in the user's words.
        finetuned: Whether the teacher is a checkpoint that is used as it is.
        student: Name or folder of the student, its sizes, or how it is derived from the teacher.
        student_name: The student in the user's words.
        max_length: Most tokens of a row.
        tokens: The model whose tokens a student of sizes reads where the teacher is no model here;
            None: tokens that are trained for it.
    """

    teacher: str | RandomInitConfig | None
    teacher_key: str
    teacher_name: str
    finetuned: bool
    student: str | RandomInitConfig | StudentFromTeacher
    student_name: str
    max_length: int
    tokens: str | RandomInitConfig | None = None

    def text_family(self) -> ModelFamily:
        """The family whose kind of text the rows are read for: the teacher's if there is one.

        Raises:
            RaykdError: There is no such model, or none of a known family; says under which key.
        """
        named, key = self.teacher, self.teacher_key
        if named is None:
            named, key = self.reader(), STUDENT_KEY
        with under(key):
            return family_in(named)

    def reader(self) -> str | RandomInitConfig:
        """Whose tokens the rows are read as where the teacher is no model here."""
        assert not isinstance(self.student, StudentFromTeacher)
        by_sizes = isinstance(self.student, RandomInitConfig)
        return (self.tokens if by_sizes else None) or self.student


def load_pair(settings: PairSettings, task: Task, rows: Mapping[str, Examples]) -> ModelPair:
    """The models of a sweep, set up for a task.

    Args:
        settings: Which models.
        task: The task.
        rows: Its rows by role; a teacher given by its sizes learns its tokens from ``finetune``.

    Raises:
        SpecError: The checkpoint has no head, or the student cannot be made of the teacher.
        DataError: A model or a tokenizer cannot be used.
        SetupError: A model cannot be reached.
    """
    key, name = settings.teacher_key, settings.teacher_name
    notes: list[str] = []
    if settings.teacher is None:
        return _student_alone(settings, task, rows)
    with under(key):
        teacher_tokens = _own_tokenizer(settings.teacher, rows)
        teacher, checkpoint = _factory(settings.teacher, task, teacher_tokens, notes)
        if isinstance(settings.teacher, RandomInitConfig):
            notes += unused_sizes(settings.teacher, teacher, key)
        if settings.finetuned:
            assert checkpoint is not None
            note = check_checkpoint(checkpoint, task.num_labels, task.kind, task.labels)
            notes += [note] if note else []
        check_tokens(teacher_tokens, teacher.dims.vocabulary, name)
        notes += padding_of_vocabulary(teacher_tokens, teacher.dims.vocabulary, key)
    check_positions(teacher, settings.max_length, name, key)
    tokenizers, student = _student(settings, task, teacher, teacher_tokens, notes)
    return ModelPair(teacher=teacher, student=student, tokenizers=tokenizers, notes=tuple(notes))


def _student_alone(settings: PairSettings, task: Task, rows: Mapping[str, Examples]) -> ModelPair:
    """The pair of a sweep whose teacher is no model here: the student stands for its sizes."""
    student = settings.student
    assert not isinstance(student, StudentFromTeacher)
    notes: list[str] = []
    with under(STUDENT_KEY):
        tokens = _own_tokenizer(settings.reader(), rows)
        factory, _ = _factory(student, task, tokens, notes)
        if isinstance(student, RandomInitConfig):
            notes += unused_sizes(student, factory, STUDENT_KEY)
        check_tokens(tokens, factory.dims.vocabulary, settings.student_name)
        notes += padding_of_vocabulary(tokens, factory.dims.vocabulary, STUDENT_KEY)
    check_positions(factory, settings.max_length, settings.student_name, STUDENT_KEY)
    return ModelPair(
        teacher=replace(factory, state=None, random_init=None),
        student=factory,
        tokenizers=TokenizerPair(teacher=tokens, student=tokens, same=True),
        notes=tuple(notes),
    )


def family_in(named: str | RandomInitConfig) -> ModelFamily:
    """The family of a named model, or of one given by its sizes."""
    if isinstance(named, RandomInitConfig):
        return family_named(named.family)
    return family_of(read_config(resolve(named)))


def _own_tokenizer(named: str | RandomInitConfig, rows: Mapping[str, Examples]) -> Any:
    if isinstance(named, str):
        return load_tokenizer(named)
    texts = [text for column in rows["finetune"].texts for text in column]
    if specials := family_in(named).specials:
        return train_bpe(texts, named.vocabulary, specials)
    return train_tokenizer(texts, named.vocabulary)


def _factory(
    named: str | RandomInitConfig, task: Task, tokenizer: Any, notes: list[str]
) -> tuple[ModelFactory, Checkpoint | None]:
    """How a named model, or one given by its sizes, begins; adds what there is to say of it."""
    if isinstance(named, RandomInitConfig):
        family_in(named).head_class(task.kind)  # before anything is trained
        factory = factory_from_random_init(
            named,
            vocabulary=id_count(tokenizer),
            kind=task.kind,
            num_labels=task.num_labels,
            labels=task.labels,
            pad=_padding(tokenizer, task.kind),
        )
        return factory, None
    checkpoint = read_checkpoint(
        named, kind=task.kind, num_labels=task.num_labels, labels=task.labels,
        pad=tokenizer.pad_token_id,
    )  # fmt: skip
    notes += checkpoint.notes
    factory = factory_from_state(checkpoint.state, task.kind, task.num_labels, task.labels)
    return factory, checkpoint


def _padding(tokenizer: Any, kind: str) -> int | None:
    """The token that pads; None where the one that ends texts stands in for it.

    Its vector would not be trained. Number 0 is what tokenizers that are trained here pad with.
    """
    pad: int = tokenizer.pad_token_id
    stands_in = task_kind(kind).generates and pad == tokenizer.eos_token_id and pad != 0
    return None if stands_in else pad


def _student(
    settings: PairSettings,
    task: Task,
    teacher: ModelFactory,
    teacher_tokens: Any,
    notes: list[str],
) -> tuple[TokenizerPair, ModelFactory | StudentFromTeacher]:
    student, name = settings.student, settings.student_name
    assert settings.teacher is not None
    if isinstance(student, StudentFromTeacher):
        check_from_teacher(teacher, student)
        return TokenizerPair(teacher=teacher_tokens, student=teacher_tokens, same=True), student
    if isinstance(student, RandomInitConfig):
        notes += unused_vocabulary(student, settings.teacher, id_count(teacher_tokens))
    with under(STUDENT_KEY):
        family_in(student)  # an unusable model is refused before its tokenizer
        own = load_tokenizer(student) if isinstance(student, str) else teacher_tokens
        factory, _ = _factory(student, task, own, notes)
        if isinstance(student, RandomInitConfig):
            notes += unused_sizes(student, factory, STUDENT_KEY)
        rows = factory.dims.vocabulary
        shared = _shared(teacher_tokens, own, teacher.dims.vocabulary, rows)
        check_tokens(shared or own, rows, name)
        notes += padding_of_vocabulary(shared or own, rows, STUDENT_KEY)
    check_positions(factory, settings.max_length, name, STUDENT_KEY)
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
