"""Checks that a teacher and a student work together: tokens, positions, heads, classes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from typing import Any

from raykd.data.prompts import id_count
from raykd.data.task_kinds import task_kind
from raykd.errors import DataError, Problem, SetupError, SpecError
from raykd.models import unit_selection
from raykd.models.base import RandomInitConfig
from raykd.models.checkpoint import Checkpoint
from raykd.models.class_names import format_names
from raykd.models.families.base import ModelFamily, family_named, family_of
from raykd.models.layer_selection import INSTEAD, LAYERS
from raykd.models.layer_selection import refusal as layers_refusal
from raykd.models.model_factory import ModelFactory
from raykd.models.student_from_teacher import StudentFromTeacher
from raykd.models.student_size import kept_blocks
from raykd.models.weight_names import listed


@contextmanager
def under(key: str) -> Iterator[None]:
    """Say at which place of the file a model is named that cannot be used."""
    try:
        yield
    except (SpecError, DataError, SetupError) as exc:
        problems = exc.at(key).problems()
        raise type(exc)(f"{key}: {exc.message}", hint=exc.hint, problems=problems) from exc


def check_tokens(tokenizer: Any, rows: int, name: str) -> None:
    """Refuse a tokenizer that gives ids for which the model has no vector.

    Args:
        tokenizer: The tokenizer that the model reads with.
        rows: Rows of its word embedding.
        name: The model in the user's words.

    Raises:
        DataError: There are more tokens than rows.
    """
    needed = id_count(tokenizer)
    if needed > rows:
        count = len(tokenizer.get_vocab())
        last = tokenizer.convert_ids_to_tokens(needed - 1)
        raise DataError(
            f"the tokenizer of '{name}' has {count:,} tokens, the last one '{last}' with number "
            f"{needed - 1:,}, but its word embedding has {rows:,} rows",
            hint="were tokens added? call model.resize_token_embeddings(len(tokenizer)) and save "
            "both again",
        )


def padding_of_vocabulary(tokenizer: Any, rows: int, key: str) -> list[str]:
    """What to say of a word embedding with more rows than there are tokens.

    Args:
        tokenizer: The tokenizer that the model reads with.
        rows: Rows of its word embedding.
        key: Its place in the file.
    """
    tokens = id_count(tokenizer)
    if rows <= tokens:
        return []
    return [
        f"{key}: its word embedding has {rows:,} rows, and its tokenizer gives {tokens:,} ids; the "
        "other rows are padding, which no text is read or written with"
    ]


def check_positions(factory: ModelFactory, max_length: int, name: str, key: str) -> None:
    """Refuse rows that are longer than a model has positions.

    Args:
        factory: The model.
        max_length: Most tokens of a row.
        name: The model in the user's words.
        key: Its place in the file.

    Raises:
        SpecError: There are too few positions.
    """
    there = factory.positions()
    if max_length > there:
        more = (
            f", or raise {key}.max_positions"
            if isinstance(factory.random_init, RandomInitConfig)
            else ""
        )
        problem = Problem(
            path="data.max_length",
            message=f"data.max_length is {max_length}, but '{name}' has {there} positions",
            hint=f"set data.max_length to {there} or less{more}",
        )
        raise SpecError(problems=[problem])


DEFAULTS = {field.name: field.default for field in fields(RandomInitConfig)}
"""Sizes of a model that need not be given."""


def unused_sizes(given: RandomInitConfig, factory: ModelFactory, key: str) -> list[str]:
    """What to say of sizes that the family of a model has no use for.

    Args:
        given: The sizes.
        factory: The model that they make.
        key: Its place in the file.
    """
    positions = given.max_positions
    if positions in (DEFAULTS["max_positions"], factory.positions()):
        return []
    return [
        f"{key}.max_positions: {positions} has no effect: a {given.family} reads rows of any length"
    ]


def unused_vocabulary(
    student: RandomInitConfig, teacher: str | RandomInitConfig, tokens: int
) -> list[str]:
    """What to say of the vocabulary of a student by sizes, which reads the teacher's tokens.

    Args:
        student: The sizes of the student.
        teacher: The teacher's name, or its sizes.
        tokens: How many the teacher has.
    """
    known = {DEFAULTS["vocabulary"], tokens}
    if isinstance(teacher, RandomInitConfig):
        known.add(teacher.vocabulary)
    if student.vocabulary in known:
        return []
    return [
        f"student.model.vocabulary: {student.vocabulary} has no effect: a student given by its "
        f"sizes reads the teacher's tokens ({tokens:,})"
    ]


def check_checkpoint(
    checkpoint: Checkpoint, num_labels: int, kind: str, labels: tuple[str, ...]
) -> str:
    """Refuse a checkpoint that cannot serve as it is; returns what a user should know of it.

    Args:
        checkpoint: The checkpoint.
        num_labels: Width of the logits.
        kind: Kind of task.
        labels: Names of the task's classes.

    Raises:
        SpecError: It has no head for the task, or one for other classes.
    """
    key = "teacher.checkpoint"
    if task_kind(kind).generates or not task_kind(kind).has_head:
        return ""  # The output matrix of a language model is there from the start.
    family = family_of(checkpoint.state.config)
    if not any(family.is_head(tensor) for tensor in checkpoint.state.tensors):
        problem = Problem(
            path=key,
            message=f"it has no head with {num_labels} outputs"
            + (f" ({format_names(labels)})" if labels else "")
            + ", so it is not fine-tuned for this task",
            hint="use teacher.model to fine-tune it here",
        )
        raise SpecError(problems=[problem])
    if checkpoint.fresh:
        problem = Problem(
            path=key,
            message=f"it lacks {listed(checkpoint.fresh)}, which would be drawn at random",
            hint="save the whole model, with its head; or use teacher.model to fine-tune it here",
        )
        raise SpecError(problems=[problem])
    classes = checkpoint.classes
    if classes is None or classes.certain:
        return ""
    if classes.clash:
        problem = Problem(
            path=key,
            message=f"its head has the classes {format_names(classes.given)}, the task has "
            f"{format_names(labels)}: it is not known which output is which class, as some are the "
            "same at other places, numbers are not in order, or label2id of its config.json says "
            "something else",
            hint="write the task's names into id2label and label2id of its config.json, in the "
            "order of its outputs",
        )
        raise SpecError(problems=[problem])
    if not classes.given:
        return (
            f"{key}: its config.json names no classes (id2label), so its outputs were taken as "
            f"those of the task in their order: {format_names(labels)}"
        )
    return ""  # The names that differ are among the checkpoint's notes.


def check_from_teacher(teacher: ModelFactory, student: StudentFromTeacher) -> None:
    """Refuse a student that cannot be derived from the teacher.

    Args:
        teacher: The teacher.
        student: How the student is derived from it.

    Raises:
        SpecError: Its blocks or units cannot be taken, or it has no weights yet to take.
    """
    if student.sparsity is not None:
        if wrong := unit_selection.refusal(teacher.dims):
            reason, _, hint = wrong.partition("\n")
            hint = hint or "take layers of it: student.from_teacher.layers"
            raise _wrong_from_teacher("sparsity", f"the teacher {reason}", hint)
        return
    count = teacher.dims.layers
    beyond = [k for k in student.layers if not 0 <= k < count]
    if beyond:
        raise _wrong_from_teacher(
            "layers", f"the teacher has layers 0 to {count - 1}, got {beyond[0]}"
        )
    family, config = _configured(teacher)
    if wrong := layers_refusal(family, config, student.layers):
        raise _wrong_from_teacher("layers", wrong, INSTEAD)
    if wrong := teacher.dims.lack(LAYERS):
        raise _wrong_from_teacher("layers", f"blocks of a {family.name}: {wrong}", INSTEAD)
    if student.weights == "pretrained" and teacher.state is None:
        raise _wrong_from_teacher(
            "weights",
            "'pretrained' weights of the teacher were requested, but it begins with random ones",
            "set student.from_teacher.weights: finetuned",
        )


def check_sizes(
    student: ModelFactory | StudentFromTeacher, teacher: ModelFactory, sizes: Sequence[int | None]
) -> None:
    """Refuse numbers of blocks that the student cannot keep.

    Args:
        student: The student, or how it is derived from the teacher.
        teacher: The teacher.
        sizes: How many blocks it is to keep; None for all of them.

    Raises:
        SpecError: It has fewer, or they cannot be taken one by one.
    """
    if isinstance(student, StudentFromTeacher):
        source, dims = teacher, student.dims(teacher.dims)
        own = student.layers or tuple(range(dims.layers))
    else:
        source, dims = student, student.dims
        own = tuple(range(dims.layers))
    for kept in sizes:
        if kept is None or kept == dims.layers:
            continue
        if kept > dims.layers:
            plural = "s" if dims.layers > 1 else ""
            wrong, hint = f"the student has {dims.layers} block{plural}, got {kept}", ""
        elif source is student and student.random_init is not None:
            continue
        else:
            blocks = [own[k] for k in kept_blocks(dims.layers, kept)]
            wrong, hint = layers_refusal(*_configured(source), blocks), INSTEAD
            wrong = wrong or dims.lack(LAYERS)
        if wrong:
            raise SpecError(
                problems=[Problem(path="student.keep_layers", message=wrong, hint=hint)]
            )


def check_heads(student: ModelFactory | StudentFromTeacher, sizes: Sequence[int | None]) -> None:
    """Refuse numbers of heads that the student cannot have.

    Args:
        student: The student, or how it is derived from the teacher.
        sizes: How many heads a block is to have; None for all of them.

    Raises:
        SpecError: It has fewer, or weights that are not random.
    """
    kept = max((n for n in sizes if n is not None), default=None)
    if kept is None:
        return
    if isinstance(student, StudentFromTeacher) or student.random_init is None:
        wrong = "only a student with random weights can be narrower, and this one has weights"
        hint = "give student.model by its sizes, {family: bert, layers: 2, hidden: 96, heads: 2}"
    elif kept > student.random_init.heads:
        wrong, hint = f"a block has {student.random_init.heads} heads, got {kept}", ""
    else:
        return
    raise SpecError(problems=[Problem(path="student.keep_heads", message=wrong, hint=hint)])


def _wrong_from_teacher(part: str, message: str, hint: str = "") -> SpecError:
    path = f"student.from_teacher.{part}"
    return SpecError(problems=[Problem(path=path, message=message, hint=hint)])


def _configured(factory: ModelFactory) -> tuple[ModelFamily, Mapping[str, Any]]:
    if factory.state is not None:
        return family_of(factory.state.config), factory.state.config
    assert factory.random_init is not None
    family = family_named(factory.random_init.family)
    config = family.config(
        factory.random_init, factory.dims.vocabulary, factory.kind, factory.num_labels
    )
    return family, config.to_dict()
