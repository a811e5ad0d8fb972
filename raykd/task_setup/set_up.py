"""Sets up a task: reads its rows and models, and checks that they fit together.

Runs in the driver, before anything is started: what is wrong with data, models or methods is
reported before the first second of training.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from raykd.data.base import EXPLAIN, PLAIN, PREDICT, Examples, Task, TokenizedDataset
from raykd.data.fitting_rows import fitting_rows
from raykd.data.hold_out import fingerprint
from raykd.data.keys import at_key
from raykd.data.notes import listening
from raykd.data.prompts import id_count
from raykd.data.row_checks import check_rationales, check_views
from raykd.data.row_roles import load_row_roles
from raykd.data.shared_rows import shared
from raykd.data.unlabelled_files import unlabelled_count
from raykd.errors import Problem, SpecError
from raykd.losses.targets import Divergence
from raykd.methods.base import DistillationContext, TeacherAnalysis
from raykd.models.encoded_rows import encoded, paired
from raykd.models.lora import check_installed, check_targets
from raykd.models.model_factory import ModelFactory
from raykd.models.model_pair import ModelPair, TokenizerPair, load_pair
from raykd.models.pair_checks import check_heads, check_sizes
from raykd.models.signals.base import OutputSpec
from raykd.models.signals.unrecorded import TextPrompts, TrainRows, UnrecordedSignal, unrecorded
from raykd.models.student_from_teacher import StudentFromTeacher
from raykd.results.data_caveats import CONTRADICTORY, describe_shared_rows
from raykd.spec.arms import refusals, teacher_analyses, vocabulary_needs
from raykd.spec.descriptions import describe_student, describe_teacher
from raykd.spec.schema import SweepSpec
from raykd.spec.size_section import sizes_of
from raykd.task_setup.constraint_checks import check_constraints
from raykd.task_setup.cut_rows import cut_notes
from raykd.task_setup.endpoint_teacher import cost_notes, endpoint_questions
from raykd.task_setup.given_teacher import check_rows_are_the_data, held, outputs_given
from raykd.task_setup.settings import lora_plan, pair_settings, role_settings
from raykd.task_setup.sharding_checks import check_sharded_arms, check_sharding
from raykd.task_setup.student_sizes import (
    Contexts,
    check_derived,
    contexts_of,
    outputs_for_all,
    with_size,
)
from raykd.task_setup.tasks import check_root, note_unread_splits, task_of
from raykd.task_setup.train_checks import check_arms, check_models, check_training, training_notes
from raykd.task_setup.unused_parameters import note_unused
from raykd.teachers.endpoint.questions import Questions
from raykd.teachers.given_outputs import GivenOutputs


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskSetup:
    """A task with its rows, tokenizers and models, ready to be prepared.

    Attributes:
        task: The task.
        spec: The sweep it belongs to.
        rows: Rows by role: ``finetune``, ``train``, ``validation``, ``test``.
        tokenizers: The tokenizers.
        teacher: How the teacher begins.
        student: How the student begins, or which blocks of the teacher it is.
        output_spec: What the methods read from the teacher.
        transformed: The same, with feature transforms in place of hidden states where methods allow
            it.
        teacher_analyses: How they derive other teachers from it.
        divergences: Divergences over a vocabulary that they compute, each with its arm.
        reads_scores: Whether one reads scores of the vocabulary themselves.
        teacher_splits: Rows as the teacher reads them.
        student_splits: Rows as the student reads them.
        own_prompts: Prompts for texts of the teacher, by the name of the signal that needs them.
        named: The name of the teacher, empty where the file has one alone.
        is_member: Whether other teachers are combinations of it.
        given: All that there is of a teacher that is no model here, or None.
        questions: Those to a teacher behind an address, None for another one.
        usage: What asking it took, see `raykd.teachers.endpoint.asking.Usage`.
        data_fingerprint: Hash of the rows.
        shared: How many rows of a split occur elsewhere, and of how many.
        notes: What a user should know of how rows and models were read.
    """

    task: Task
    spec: SweepSpec
    rows: Mapping[str, Examples]
    tokenizers: TokenizerPair
    teacher: ModelFactory
    student: ModelFactory | StudentFromTeacher
    output_spec: OutputSpec
    transformed: OutputSpec
    teacher_analyses: tuple[TeacherAnalysis, ...]
    divergences: tuple[tuple[str, Divergence], ...]
    reads_scores: bool
    teacher_splits: Mapping[str, TokenizedDataset]
    student_splits: Mapping[str, TokenizedDataset]
    own_prompts: Mapping[str, TextPrompts]
    given: GivenOutputs | None
    data_fingerprint: str
    shared: Mapping[str, tuple[int, int]]
    questions: Questions | None = None
    usage: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    named: str = ""
    is_member: bool = False


def set_up_task(spec: SweepSpec, name: str, also: OutputSpec | None = None) -> TaskSetup:
    """Read rows and models of a task and check that every arm can work on them.

    Args:
        spec: The sweep.
        name: Task name.
        also: What is read of the teacher besides what its arms need.

    Raises:
        SpecError: An arm cannot work on this pair or task.
        DataError: The rows are not what the task needs.
        SetupError: Data or models cannot be reached.
    """
    check_rows_are_the_data(spec)
    with listening() as heard:
        models = pair_settings(spec)
        task = task_of(spec, name).read_by(models.text_family().text_kind())
        check_constraints(spec, task)
        rows = load_roles(task, spec, name)
        pair = load_pair(models, task, rows)
        with at_key(_place(spec, name)):
            both = (pair.tokenizers.teacher, pair.tokenizers.student)
            rows = fitting_rows(task, rows, both, spec.data.max_length)
        with at_key(_place(spec, name)):
            setup = _set_up(spec, name, task, rows, pair)
        if also is not None:
            read, transformed = setup.output_spec.union(also), setup.transformed.union(also)
            setup = replace(setup, output_spec=read, transformed=transformed)
        questions = endpoint_questions(setup)
    notes = tuple(dict.fromkeys((*heard, *setup.notes)))
    return replace(setup, questions=questions, notes=notes)


def setup_notes(setup: TaskSetup, cache: Path | None = None) -> list[tuple[str, bool]]:
    """Notes on rows and models and on what asking costs, to be shown before anything is started.

    Args:
        setup: The task.
        cache: Folder of prepared teachers and answers, None for the usual place.

    Returns:
        Messages, each with whether the report has a caveat of its own that says it.
    """
    messages = (*setup.notes, *cut_notes(setup), *cost_notes(setup, cache))
    notes = [(message, False) for message in messages]
    for what, (count, total) in setup.shared.items():
        if what != CONTRADICTORY:
            notes.append((describe_shared_rows(what, count, total), True))
    return notes


def _set_up(
    spec: SweepSpec, name: str, task: Task, rows: Mapping[str, Examples], pair: ModelPair
) -> TaskSetup:
    """The task with everything that its preparation needs; data errors refer to its rows."""
    teacher, tokenizers = pair.teacher, pair.tokenizers
    source = pair.student if isinstance(pair.student, ModelFactory) else teacher
    student = source.without_memory()
    if spec.student.lora is not None:
        check_installed()
        check_targets(student, spec.student.lora.targets)
        lora_plan(spec)  # that adapters can be saved
    context = replace(_context(spec, task, pair), unlabelled=unlabelled_count(rows["train"]))
    check_training(spec)
    check_sharding(spec)
    check_models(spec, teacher.without_memory() if context.holds is None else student, student)
    contexts = _checked_contexts(spec, name, context, pair)
    unused = note_unused(spec, name, tuple(contexts.values()))
    divergences, reads_scores = vocabulary_needs(spec, context)
    output_spec = outputs_for_all(spec, contexts).resolved(teacher.dims)
    length = spec.data.max_length
    signals = unrecorded(output_spec)
    own_prompts = _own_prompts(signals, spec, task, rows["train"], tokenizers)
    for signal in signals:
        signal.check_rows(name, rows["train"], own_prompts.get(signal.name))
    if explains := spec.teacher.explain > 0:
        check_rationales(name, rows["finetune"])
    more = explains or any(signal.needs_views for signal in signals)
    teacher_splits = encoded(task, rows, tokenizers.teacher, length, more=more)
    student_splits: Mapping[str, TokenizedDataset] = teacher_splits
    if not tokenizers.same:
        student_splits = encoded(task, rows, tokenizers.student, length, more=more)
    student_splits = paired(student_splits, teacher_splits, output_spec)
    for splits in (student_splits, teacher_splits) if more else ():
        check_views(name, splits)
    if explains:
        teacher_splits = {role: e.views[PREDICT] for role, e in teacher_splits.items()}
    for signal in signals:
        signal.check_tokens(name, rows["train"], student_splits["train"])
    return TaskSetup(
        task=task,
        spec=spec,
        rows=rows,
        tokenizers=tokenizers,
        teacher=teacher,
        student=pair.student,
        output_spec=output_spec,
        transformed=outputs_for_all(spec, contexts, transformed=True).resolved(teacher.dims),
        teacher_analyses=teacher_analyses(spec, context),
        divergences=divergences,
        reads_scores=reads_scores,
        teacher_splits=teacher_splits,
        student_splits={r: e for r, e in student_splits.items() if r != "finetune"},
        own_prompts=own_prompts,
        given=outputs_given(spec, task, rows, student_splits, tokenizers.student),
        data_fingerprint=fingerprint(rows),
        shared=shared(task, rows, _trained_on(spec)),
        notes=(*pair.notes, *unused, *training_notes(spec, context)),
    )


def _context(spec: SweepSpec, task: Task, pair: ModelPair) -> DistillationContext:
    """The pair as methods see it."""
    tokenizers = pair.tokenizers
    return DistillationContext(
        teacher=pair.teacher.dims,
        student=pair.student_dims(),
        kind=task.kind,
        num_labels=task.num_labels,
        same_tokens=tokenizers.same,
        vocabulary=tokenizers.shared_ids() if tokenizers.same else id_count(tokenizers.student),
        teacher_views=_teacher_views(spec),
        teacher_name=describe_teacher(spec.teacher),
        student_name=describe_student(spec),
        adapted=spec.student.lora is not None,
        holds=held(spec.teacher, task),
    )


def _checked_contexts(
    spec: SweepSpec, name: str, context: DistillationContext, pair: ModelPair
) -> Contexts:
    """The pair with every size of the student, on which every arm can work."""
    sizes = sizes_of(spec.train)
    check_sizes(pair.student, pair.teacher, [size.keep_layers for size in sizes])
    check_heads(pair.student, [size.keep_heads for size in sizes])
    contexts = contexts_of(spec, context)
    _refuse(spec, name, contexts)
    for of_size in contexts.values():
        check_arms(spec, of_size)
        check_sharded_arms(spec, of_size)
    return contexts


def _teacher_views(spec: SweepSpec) -> tuple[str, ...]:
    """What the teacher is fine-tuned on; nobody knows that of one that is loaded."""
    if spec.teacher.explain > 0:
        return (PREDICT, EXPLAIN)
    return (PLAIN,) if spec.teacher.is_trained_here else ()


def _trained_on(spec: SweepSpec) -> tuple[str, ...]:
    """Roles whose rows a model is trained on; a loaded checkpoint is not trained."""
    return ("train", "finetune") if spec.teacher.is_trained_here else ("train",)


def load_roles(task: Task, spec: SweepSpec, name: str) -> dict[str, Examples]:
    """Rows by role, as `load_row_roles` gives them.

    Raises:
        SpecError: A role would have the rows that are trained on.
        DataError: As `load_row_roles`, with the place of the task in the file.
        SetupError: Data cannot be reached.
    """
    with at_key(_place(spec, name)):
        settings = role_settings(spec, task)
        check_root(spec)
        note_unread_splits(spec, task)
        return load_row_roles(task, settings)


def _place(spec: SweepSpec, name: str) -> str:
    """The place of a task in the file."""
    return f"tasks[{spec.tasks.index(name)}]"


def _own_prompts(
    signals: Iterable[UnrecordedSignal],
    spec: SweepSpec,
    task: Task,
    train: Examples,
    tokenizers: TokenizerPair,
) -> dict[str, TextPrompts]:
    """Prompts for texts of the teacher, by the name of the signal that needs them."""
    rows = TrainRows(
        task=task,
        rows=train,
        student_tokenizer=tokenizers.student,
        teacher_tokenizer=tokenizers.teacher,
        max_length=spec.data.max_length,
    )
    made = {
        signal.name: signal.own_prompts(
            replace(rows, settings=getattr(spec.data, signal.name, None))
        )
        for signal in signals
    }
    return {name: prompts for name, prompts in made.items() if prompts is not None}


def _refuse(spec: SweepSpec, task: str, contexts: Contexts) -> None:
    """Refuse the arms that cannot work on this task, each with the first reason.

    Raises:
        SpecError: One problem per arm.
    """
    problems: dict[str, Problem] = {}
    for size, context in contexts.items():
        for arm, why in refusals(spec, context):
            reason, _, hint = why.partition("\n")
            message = f"on {task}{with_size(size)}: {spec.methods[arm].method} {reason}"
            hint = hint or f"or leave it out: --set methods.{arm}=false"
            problems.setdefault(arm, Problem(path=f"methods.{arm}", message=message, hint=hint))
    if problems:
        raise SpecError(problems=list(problems.values()))
    check_derived(spec, contexts)


def student_width(setup: TaskSetup) -> int:
    """The width of the hidden states of a task's students."""
    student = setup.student
    if isinstance(student, StudentFromTeacher):
        return student.dims(setup.teacher.dims).hidden
    return student.dims.hidden
