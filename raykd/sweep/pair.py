"""A teacher and a student: how they begin, and how each of them splits text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from raykd import registry
from raykd.data.base import TEXT_KINDS, Rows, Task
from raykd.errors import Problem, SpecError
from raykd.models import pruning
from raykd.models.base import Anatomy, ModelShape
from raykd.models.byte_pairs import train_byte_pairs
from raykd.models.families.base import ModelFamily, family_of
from raykd.models.folder import find, read_config
from raykd.models.load import check_max_length
from raykd.models.source import ModelSource, load_source, shape_source
from raykd.models.tokenizers import load_tokenizer, same_tokens, train_tokenizer
from raykd.spec.schema import ShapeSpec, SweepSpec
from raykd.teachers.inputs import StudentCut


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
class Pair:
    """A teacher and a student.

    Attributes:
        teacher: How the teacher begins.
        student: How the student begins, or which blocks of the teacher it is.
        tokens: Their tokenizers.
    """

    teacher: ModelSource
    student: ModelSource | StudentCut
    tokens: Tokens

    def student_anatomy(self) -> Anatomy:
        """The sizes of the student."""
        if isinstance(self.student, ModelSource):
            return self.student.anatomy
        return self.student.anatomy(self.teacher.anatomy)


def pair_of(spec: SweepSpec, task: Task, rows: Mapping[str, Rows]) -> Pair:
    """The models of a sweep, set up for a task.

    Args:
        spec: The sweep.
        task: The task.
        rows: Its rows by role; a teacher given by its sizes learns its tokens from ``finetune``.

    Raises:
        SpecError: The checkpoint has no head, or the student cannot be made of the teacher.
        SetupError: A model cannot be reached.
    """
    teacher_tokens = _teacher_tokenizer(spec, rows)
    teacher = _source(teacher_name(spec), spec, task, teacher_tokens)
    if spec.teacher.checkpoint is not None:
        _check_head(teacher, spec.teacher.checkpoint)
    tokens, student = _student(spec, task, teacher, teacher_tokens)
    return Pair(teacher=teacher, student=student, tokens=tokens)


def teacher_name(spec: SweepSpec) -> str | ShapeSpec:
    """The name of the teacher, or its sizes."""
    named = spec.teacher.checkpoint or spec.teacher.model
    assert named is not None
    return named


def family_named(named: str | ShapeSpec) -> ModelFamily:
    """The family of a named model, or of one given by its sizes."""
    if isinstance(named, ShapeSpec):
        family: ModelFamily = registry.load("families", named.family)
        return family
    return family_of(read_config(find(named))["model_type"])


def _teacher_tokenizer(spec: SweepSpec, rows: Mapping[str, Rows]) -> Any:
    named = teacher_name(spec)
    if isinstance(named, str):
        return load_tokenizer(named)
    texts = [text for column in rows["finetune"].texts for text in column]
    if specials := family_named(named).specials:
        return train_byte_pairs(texts, named.vocabulary, specials)
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
