"""Prepares a teacher or runs one trial in this process, without Ray, for debugging."""

from __future__ import annotations

import contextlib
import functools
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from raykd.data.base import Task
from raykd.errors import SetupError, SpecError
from raykd.models.tokenizers import save_tokenizer
from raykd.params import Scalar
from raykd.registry import suggestion
from raykd.results.records import Evaluation
from raykd.search.space import domains_of, ordered
from raykd.spec.domains import Domain
from raykd.spec.method_section import arm_infos, train_infos
from raykd.spec.schema import SweepSpec
from raykd.spec.size_section import student_infos
from raykd.sweep.arm_studies import arm_studies, search_trial
from raykd.task_setup.endpoint_teacher import with_answers
from raykd.task_setup.named_teachers import combined, set_up_named, teacher_names
from raykd.task_setup.set_up import TaskSetup, setup_notes
from raykd.task_setup.teacher_plan import plan_teacher
from raykd.teachers.cache_index import ANSWERS, TEACHER
from raykd.teachers.inputs import Progress
from raykd.teachers.prepare import make
from raykd.teachers.prepared_task import PreparedTask
from raykd.teachers.serving_plan import ServingPlan
from raykd.teachers.stepwise_store import StepwiseStore
from raykd.teachers.teacher_cache import (
    TeacherCache,
    describe_missing,
    finish_task,
    with_known_parts,
    with_values,
)
from raykd.teachers.user_cache import open_cache, without_cache
from raykd.training.arithmetic import CUBLAS_WORKSPACE, set_arithmetic
from raykd.training.device import DistributedContext
from raykd.trial.run import TrialConfig, TrialOutcome, run_trial


@dataclass(frozen=True, kw_only=True, slots=True)
class PreparedTeacher:
    """A teacher that is ready.

    Attributes:
        folder: Its weights: in the cache, or the checkpoint that the search space names; of a
            teacher behind an address, its answers.
        fingerprint: Its name in the cache.
        metrics: Its scores.
        cached: Whether all of it was in the cache.
    """

    folder: str
    fingerprint: str
    metrics: Mapping[str, float]
    cached: bool


def prepared_teacher(
    spec: SweepSpec, task: str, progress: Progress, note: Callable[[str], None], name: str = ""
) -> PreparedTeacher:
    """Make sure that the cache holds the teacher of a task and everything a sweep records of it.

    Args:
        spec: The sweep.
        task: Task name.
        progress: Told how far it is.
        note: Told what is worth knowing.
        name: The teacher among several.

    Raises:
        SetupError: Something is missing and the cache cannot be written, said before any work.
        SpecError: The teacher is no model that could be prepared.
    """
    teacher = spec.teachers.get(name, spec.teacher)
    if teacher.outputs is not None:
        raise SpecError(
            "teacher.outputs is read as it is: there is no teacher to prepare",
            hint="raykd validate FILE reads and checks it",
        )
    cache, why = open_cache()
    with contextlib.closing(cache):
        _, plan, prepared, cached = _prepared(
            spec, task, cache, progress, note, name=name, must_keep=True, refusal=why
        )
    folder = teacher.checkpoint
    if folder is None:
        assert cache.folder is not None
        has_endpoint = teacher.endpoint is not None
        folder = str(cache.folder / (ANSWERS if has_endpoint else f"{plan.keys.teacher}/{TEACHER}"))
    return PreparedTeacher(
        folder=folder, fingerprint=plan.keys.teacher, metrics=prepared.metrics, cached=cached
    )


def prepare_task(
    spec: SweepSpec,
    task: str,
    folder: Path | None,
    progress: Progress,
    note: Callable[[str], None] = lambda message: None,
    *,
    name: str = "",
) -> tuple[TaskSetup, PreparedTask, bool]:
    """Load the teacher of a task from the cache, and prepare missing parts in this process.

    Args:
        spec: The sweep.
        task: Task name.
        folder: The cache, None for the usual place; without one that can be written it runs, too.
        progress: Told how far it is.
        note: Told what is worth knowing.
        name: The teacher among several; empty: the first, or the only one.

    Returns:
        The setup of the task, the prepared task, and whether all of it was in the cache.
    """
    cache, why = open_cache(folder)
    if why is not None:
        note(without_cache(cache, why))
    with contextlib.closing(cache):
        name = name or teacher_names(spec)[0]
        setup, _, prepared, cached = _prepared(spec, task, cache, progress, note, name=name)
    return setup, prepared, cached


def _prepared(
    spec: SweepSpec,
    task: str,
    cache: TeacherCache,
    progress: Progress,
    note: Callable[[str], None],
    *,
    name: str = "",
    must_keep: bool = False,
    refusal: SetupError | None = None,
) -> tuple[TaskSetup, ServingPlan, PreparedTask, bool]:
    """The prepared task; a `refusal` is raised where anything has to be made."""
    os.environ.setdefault(*CUBLAS_WORKSPACE)
    set_arithmetic()
    setup = set_up_named(spec, task, name)
    for message, _ in setup_notes(setup, cache.folder):
        note(message)
    setup = with_answers(setup, cache.folder, progress, note)
    if members := setup.spec.teacher.members:
        parts = {m: _prepared(spec, task, cache, progress, note, name=m)[2] for m in members}
        setup = combined(setup, parts)
    plan = plan_teacher(setup.spec, setup, free_memory())
    inputs, keys = plan.inputs, plan.keys
    lookup, made = cache.look_up(inputs, keys), None
    if lookup.missing and refusal is not None:
        raise refusal
    if lookup.missing and not cache.claim(keys):
        note(f"the teacher of {task} is being made by {cache.holder(keys)}: it is waited for")
        cache.wait(keys, task, note)
    if lookup.missing:
        lookup = cache.look_up(inputs, keys)
    if lookup.missing:
        if missing := describe_missing(cache, task, keys, lookup):
            note(missing)
        tokenizer = functools.partial(save_tokenizer, setup.tokenizers.teacher)
        kept = StepwiseStore(cache, inputs, keys, lookup, tokenizer)
        made = make(
            with_known_parts(inputs, lookup), DistributedContext(), progress, keep=kept.weights
        )
        assert made is not None
        try:
            kept.rest(made)
        except SetupError as exc:
            if must_keep:
                raise
            note(f"the teacher of {task} is not kept for the next time: {exc}")
    prepared, blocks = finish_task(inputs, lookup, made)
    return setup, plan, with_values(prepared, made, blocks), made is None


def free_memory() -> int:
    """Free memory in bytes; cached outputs may use it like an object store.

    Ray's own store takes less of it: what a sweep on this machine reads is recorded here, too.
    """
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def trial_of(
    spec: SweepSpec, run: Path, task: str, arm: str, given: Mapping[str, Scalar], repeat: int = 0
) -> TrialConfig:
    """The configuration of one trial of an arm.

    A searched parameter that is not given takes the middle of its domain (the geometric middle of
    a logarithmic one, the first choice).

    Args:
        spec: The search space.
        run: Folder for what the trial keeps.
        task: Task name.
        arm: Arm.
        given: Parameters of the method or of training, searched or not.
        repeat: The search whose rows it is evaluated on, where the arm has several.

    Raises:
        SpecError: No such task or arm, or a parameter that neither method nor training has.
    """
    if task not in spec.tasks:
        raise SpecError(
            f"the file has no task '{task}'",
            hint=suggestion(task, spec.tasks) or f"tasks: {', '.join(spec.tasks)}",
        )
    wanted = (task, arm, repeat)
    arm_study = next(
        (c for c in arm_studies(spec) if (c.task, c.arm.name, c.repeat) == wanted), None
    )
    if arm_study is None:
        raise SpecError(
            f"the file has no arm '{arm}'",
            hint=suggestion(arm, tuple(spec.methods)) or f"arms: {', '.join(spec.methods)}",
        )
    in_training = {**train_infos(), **student_infos()}
    known = {**in_training, **arm_infos(arm_study.arm.method)}
    for name, value in given.items():
        if name in known and (wrong := known[name].problem(value)):
            raise SpecError(wrong)
        if name not in known:
            raise SpecError(
                f"neither method '{arm_study.arm.method}' nor training has a parameter '{name}'",
                hint=suggestion(name, tuple(known)),
            )
    domains = domains_of(arm_study.arm, spec.train)
    fixed = {**arm_study.arm.fixed, **spec.train.fixed, **given}
    chosen: dict[str, Scalar] = {}
    for name in ordered(domains):
        if name not in given and domains[name].active({**fixed, **chosen}):
            chosen[name] = middle(domains[name])
    config = search_trial(spec, run, arm_study, 0, chosen)
    own = {k: v for k, v in given.items() if k not in in_training}
    training = {k: v for k, v in given.items() if k in in_training}
    return replace(
        config,
        coefficients={**config.coefficients, **own},
        train={**config.train, **training},
        score_test=True,
        state_path=None,
    )


def middle(domain: Domain) -> Scalar:
    """A value in the middle of a domain."""
    if domain.kind == "choice":
        return domain.choices[0]
    assert domain.low is not None
    assert domain.high is not None
    if domain.kind in ("loguniform", "logint"):
        value = math.sqrt(domain.low * domain.high)
    else:
        value = (domain.low + domain.high) / 2
    if domain.kind == "quniform":
        assert domain.step is not None
        return domain.low + domain.step * round((value - domain.low) / domain.step)
    return round(value) if domain.kind in ("int", "logint") else value


def run_in_process(
    config: TrialConfig,
    prepared: PreparedTask,
    task: Task,
    on_evaluation: Callable[[Evaluation], None],
) -> TrialOutcome:
    """Run a trial in this process."""

    def is_stopped(evaluation: Evaluation) -> bool:
        on_evaluation(evaluation)
        return False

    return run_trial(config, prepared, task, DistributedContext(), is_stopped)
