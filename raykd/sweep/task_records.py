"""Makes the records of a task and its teacher that the report shows."""

from __future__ import annotations

import math
from dataclasses import replace

from raykd.data.base import EXPLAIN, PREDICT
from raykd.data.chance_level import constant_scores
from raykd.data.confusion import counted_classes
from raykd.data.unlabelled_files import unlabelled_count
from raykd.models.file_arrays import nbytes
from raykd.models.signals.unrecorded import unrecorded
from raykd.results.records import UNLABELLED, TaskRecord, TeacherRecord
from raykd.results.scales import unit_of
from raykd.spec.arms import use_of_unlabelled
from raykd.spec.descriptions import describe_splits, describe_student, describe_teacher
from raykd.sweep.arm_studies import objectives
from raykd.task_setup.set_up import TaskSetup
from raykd.teachers.object_store import TeacherHandle
from raykd.teachers.prepared_task import PreparedTask
from raykd.teachers.serving_plan import ServingPlan


def task_record(setup: TaskSetup, prepared: PreparedTask) -> TaskRecord:
    """The task as the report shows it."""
    metric, mode = objectives(setup.spec, setup.task)[0]
    data = setup.spec.data
    select_on, report_on = describe_splits(
        data.select_on, data.report_on, setup.spec.search.repeats
    )
    without = unlabelled_count(setup.rows["train"])
    return TaskRecord(
        name=setup.task.name,
        metric=metric,
        mode=mode,
        metrics=setup.task.metrics,
        rows={
            "teacher": len(setup.rows["finetune"]) if setup.spec.teacher.is_trained_here else 0,
            **{role: len(setup.rows[role]) for role in ("train", "validation", "test")},
            **_explained(setup, prepared),
            **({UNLABELLED: without} if without else {}),
        },
        unlabelled={
            name: use_of_unlabelled(arm, prepared.context())
            for name, arm in (setup.spec.methods.items() if without else ())
        },
        select_on=select_on,
        report_on=report_on,
        data_fingerprint=setup.data_fingerprint,
        truncated=setup.student_splits["train"].truncated,
        student=describe_student(setup.spec),
        student_parameters=prepared.student.parameters(),
        units={name: unit for name in setup.task.metrics if (unit := _unit(setup, name))},
        constant={
            role: constant_scores(setup.task, setup.student_splits[role], metric)
            for role in ("validation", "test")
        },
        shared=setup.shared,
        classes=counted_classes(setup.task),
    )


def joined_record(first: TaskRecord | None, more: TaskRecord) -> TaskRecord:
    """The record of a task with several teachers: that of the first, and what arms of others add.

    Args:
        first: That of the teachers before, None for none.
        more: That of one more.
    """
    if first is None:
        return more
    rows = {**more.rows, **first.rows}
    return replace(first, rows=rows, unlabelled={**more.unlabelled, **first.unlabelled})


def _unit(setup: TaskSetup, metric: str) -> str:
    """What a metric is, as the task says, or as is known of those of the package."""
    return unit_of(metric, setup.task.units) or unit_of(metric)


def _explained(setup: TaskSetup, prepared: PreparedTask) -> dict[str, int]:
    """Train rows with a rationale, and those left out as no model gave them a label."""
    numbers = {}
    if (view := prepared.splits["train"].views.get(PREDICT)) is not None:
        counts = view.views[EXPLAIN].label_counts()
        numbers["with a rationale"] = int((counts > 0).sum())
    for signal in unrecorded(setup.output_spec):
        numbers |= signal.counts(prepared.splits)
    if left_out := setup.rows["train"].left_out:
        numbers["left out without a label"] = left_out
    return numbers


def teacher_record(
    setup: TaskSetup,
    prepared: PreparedTask,
    handle: TeacherHandle,
    *,
    cached: bool,
    plan: ServingPlan,
) -> TeacherRecord:
    """The teacher as the report shows it."""
    stored = dict(handle.stored)
    if prepared.teacher is not None and prepared.teacher.state is not None:
        stored["weights"] = nbytes(prepared.teacher.state.tensors)
    if prepared.analysis_results:
        stored["analyses"] = sum(
            a.nbytes for f in prepared.analysis_results.values() for a in f.arrays.values()
        )
    return TeacherRecord(
        task=setup.task.name,
        model=describe_teacher(setup.spec.teacher),
        fingerprint=prepared.fingerprint,
        rows=len(setup.rows["finetune"]) if setup.spec.teacher.is_trained_here else 0,
        metrics=prepared.metrics,
        parameters=prepared.parameters,
        forwards=prepared.forwards,
        distinct=prepared.distinct,
        store_bytes=handle.store_bytes,
        stored=stored,
        seconds=prepared.seconds,
        cached=cached,
        serving=plan.serving,
        precision=plan.inputs.precision if setup.spec.teacher.is_trained_here else "",
        frozen_precision=prepared.precision,
        precision_error=dict(prepared.precision_error),
        weights=plan.keys.teacher,
        rounding=dict(prepared.cached_outputs.error())
        if prepared.cached_outputs is not None
        else {},
        analysed={name: analysis.seconds for name, analysis in prepared.analysis_results.items()},
        history=prepared.history,
        tried=prepared.tried,
        seeds=len(prepared.seed_scores) + 1,
        seed_scores={
            str(seed): metrics[setup.task.metric]
            for seed, metrics in prepared.seed_scores.items()
            if math.isfinite(metrics.get(setup.task.metric, math.nan))
        },
        usage=dict(setup.usage),
        name=setup.named,
        speed=prepared.speed,
        untimed=prepared.untimed,
    )
