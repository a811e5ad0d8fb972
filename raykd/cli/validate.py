"""``raykd validate``: every error of every file, or the plan of the sweep."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any

import typer

from raykd.cli.imports import AllowImports, limit_imports
from raykd.cli.output import Output
from raykd.errors import RaykdError, SpecError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from raykd.params import Scalar
    from raykd.spec.schema import (
        DataSpec,
        FromTeacher,
        ParameterSpec,
        RandomInitSpec,
        SweepSpec,
        TeacherSpec,
    )
    from raykd.sweep.preflight import TaskPreflight


def validate(
    output: Output,
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Search spaces.")],
    override: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a value.")
    ] = None,
    no_data: Annotated[
        bool, typer.Option("--no-data", help="Check the files only, not data and models.")
    ] = False,
    allow_imports: AllowImports = False,
) -> None:
    """Check search spaces, their data and models; show all errors, or what would be run."""
    from raykd.spec.load import load_spec

    limit_imports(allow_imports)
    errors: list[RaykdError] = []
    for file in files:
        try:
            spec = load_spec(file, override or ())
        except SpecError as exc:
            errors.append(exc)
            continue
        seen, wrong = (None, []) if no_data else look_at(file, spec, override or ())
        errors += wrong
        if not wrong:
            show_plan(file, spec, output, seen)
    raise_all(errors)


def look_at(
    file: str, spec: SweepSpec, overrides: Sequence[str]
) -> tuple[list[TaskPreflight], list[RaykdError]]:
    """Look at data and models as a sweep does.

    Args:
        file: The search space, for the places of errors; a run folder has none.
        spec: What it means.
        overrides: What was changed by options.

    Returns:
        What was found of each task, and every error with its place in the file.
    """
    from pathlib import Path

    from raykd.spec.load import placed
    from raykd.sweep.preflight import preflight

    seen, errors = preflight(spec)
    if Path(file).is_file():
        errors = [
            error.with_problems([placed(problem, file, overrides) for problem in error.problems()])
            for error in errors
        ]
    return seen, errors


def raise_all(errors: Sequence[RaykdError]) -> None:
    """Raise errors as one; a mistake of the user's outweighs one of the surroundings."""
    if not errors:
        return
    worst = min(errors, key=lambda error: error.exit_code)
    problems = [problem for error in errors for problem in error.problems()]
    raise (SpecError if worst.exit_code == SpecError.exit_code else type(worst))(problems=problems)


def show_plan(
    file: str, spec: SweepSpec, output: Output, seen: Sequence[TaskPreflight] | None = None
) -> None:
    """Print what a sweep of this file runs.

    Args:
        file: The file, or the run.
        spec: What it means.
        output: Where to.
        seen: What was found of each task; None when nothing was looked at.
    """
    made = plan(file, spec, seen)
    for one in seen or ():
        for note in one.notes:
            output.note(f"note: {one.task}: {note}")
    if output.is_json:
        output.record(made)
    if output.is_json or output.quiet:
        return
    studies = made["studies"]
    sizes = {"task": len(spec.tasks), "arm": len(spec.methods)}
    if spec.search.repeats > 1:
        sizes["search"] = spec.search.repeats
    product, names_of = (" x ".join(str(part) for part in of) for of in (sizes.values(), sizes))
    arms = f"{product} = {math.prod(sizes.values())} studies ({names_of})"
    output.text(
        f"{file}: valid; {arms}, {made['trials']} trials, {made['confirm_runs']} confirm runs"
    )
    output.facts(made["setup"])
    output.text("")
    columns = ("task", "metric", "arm", "method", "trials", "confirm")
    names = ("task", "metric", "arm", "method", "trials", "confirm_runs")
    output.table(columns, [[str(study[name]) for name in names] for study in studies])
    output.text("")
    output.table(("arm", "parameter", "value"), _parameter_rows(spec))


def _parameter_rows(spec: SweepSpec) -> list[tuple[str, str, str]]:
    """What each arm sets and searches, then what training does for all of them."""
    rows: list[tuple[str, str, str]] = []
    for owner, arm in [*spec.methods.items(), ("every arm", spec.train)]:
        texts = _texts(arm) | _constants(arm.fixed)
        for k, (name, text) in enumerate(texts.items()):
            rows.append((owner if k == 0 else "", name, text))
        if not texts:
            rows.append((owner, "", "nothing set or searched"))
    return rows


def plan(file: str, spec: SweepSpec, seen: Sequence[TaskPreflight] | None = None) -> dict[str, Any]:
    """What a sweep runs, as plain data.

    Returns:
        ``file``, ``name``, ``trials``, ``confirm_runs``, ``studies`` (one per task and arm with
        ``searched`` and ``fixed`` parameters as text), ``setup`` (everything else in words) and
        ``rows`` (by task and role; null for a task that was not looked at).
    """
    runs = spec.confirm_runs
    studies = []
    for task in spec.tasks:
        for name, arm in spec.methods.items():
            studies.append(
                {
                    "task": task,
                    "metric": _objectives(spec, task),
                    "arm": name,
                    "method": arm.method,
                    "searches": spec.search.repeats,
                    "trials": spec.search_trials,
                    "confirm_runs": runs,
                    "searched": _texts(arm) | _texts(spec.train),
                    "fixed": _constants(arm.fixed) | _constants(spec.train.fixed),
                }
            )
    return {
        "file": file,
        "name": spec.name,
        "trials": spec.search_trials * len(studies),
        "confirm_runs": runs * len(studies),
        "studies": studies,
        "setup": _setup(spec, seen),
        "rows": {one.task: dict(one.rows) or None for one in seen or ()},
    }


def _setup(spec: SweepSpec, seen: Sequence[TaskPreflight] | None) -> dict[str, str]:
    from raykd.spec.descriptions import describe_splits

    search, resources = spec.search, spec.resources
    select_on, report_on = describe_splits(spec.data.select_on, spec.data.report_on, search.repeats)
    budget = "" if search.time_budget_s is None else f", at most {search.time_budget_s:.0f} s"
    if search.device_budget_s is not None:
        budget += f", {search.device_budget_s:.0f} s of device time a search"
    if search.trial_time_limit_s is not None:
        budget += f", {search.trial_time_limit_s:.0f} s for a trial"
    return {
        "data": _data(spec.data),
        **_sources(spec, seen),
        "select on": select_on,
        "report on": report_on,
        "teacher": _teacher(spec),
        "student": _student(spec),
        "search": f"{_named(search.algorithm.name, search.algorithm.params)}, scheduler "
        f"{_named(search.scheduler.name, search.scheduler.params)}, seed {search.seed}{budget}"
        + (f", {search.repeats} searches of each arm" if search.repeats > 1 else "")
        + "".join(f", {constraint}" for constraint in search.constraints),
        "resources": f"{resources.workers} x ({resources.cpus_per_worker} CPUs, "
        f"{resources.gpus_per_worker} GPUs) a trial",
        "report": spec.report.path.format(name=spec.name)
        + f", compared with {spec.report.baseline}",
        **_loggers(spec),
    }


def _loggers(spec: SweepSpec) -> dict[str, str]:
    if not spec.loggers:
        return {}
    names = ", ".join(_named(logger.name, logger.params) for logger in spec.loggers)
    steps = f", step metrics every {spec.log_every} steps" if spec.log_every else ""
    return {"loggers": names + steps}


def _objectives(spec: SweepSpec, task: str) -> str:
    from raykd import registry

    described = spec.own_tasks.get(task)
    own = described.all_metrics()[0] if described else registry.load("tasks", task).metric
    return ", ".join(own if o.metric == "auto" else o.metric for o in spec.search.objective)


def _data(data: DataSpec) -> str:
    parts = [
        f"at most {data.max_length} tokens a row",
        f"at most {data.limit:,} rows a split" if data.limit else "",
        f"{data.student_rows:,} rows for students" if data.student_rows else "",
    ]
    return ", ".join(part for part in parts if part)


def _sources(spec: SweepSpec, seen: Sequence[TaskPreflight] | None) -> dict[str, str]:
    """Where the rows of each task come from, and how many there are."""
    from raykd.spec.descriptions import describe_data

    overviews = {one.task: one for one in seen or ()}
    words = {}
    for task in spec.tasks:
        words[f"data of {task}"] = describe_data(spec, task)
        if task not in overviews:
            continue
        without = {"train": overviews[task].without_label}
        counts = [
            f"{count:,} {role}"
            + (f" ({without[role]:,} of them without a label)" if without.get(role) else "")
            for role, count in sorted(overviews[task].rows.items())
        ]
        words[f"data of {task}"] += f"; rows: {', '.join(counts)}" if counts else ""
        if overviews[task].missing:
            what = "models" if counts else "data and models"
            words[f"data of {task}"] += f"; {what} NOT LOOKED AT: {overviews[task].missing}"
    return words


def _teacher(spec: SweepSpec) -> str:
    if not spec.teachers:
        return _one_teacher(spec.teacher)
    return "; ".join(f"{name}: {_one_teacher(one)}" for name, one in spec.teachers.items())


def _one_teacher(teacher: TeacherSpec) -> str:
    from raykd.spec.descriptions import describe_teacher

    if teacher.checkpoint is not None:
        return f"checkpoint {teacher.checkpoint}"
    if not teacher.runs_here:
        return describe_teacher(teacher)
    assert teacher.model is not None
    tuned = _pairs(_constants(teacher.finetune)) or "defaults"
    return f"{_model(teacher.model)}, fine-tuned with {tuned}"


def _student(spec: SweepSpec) -> str:
    if spec.student.model is not None:
        return _model(spec.student.model)
    assert spec.student.from_teacher is not None
    return _from_teacher(spec.student.from_teacher)


def _model(model: str | RandomInitSpec) -> str:
    if isinstance(model, str):
        return model
    return f"{model.family} {model.layers} x {model.hidden}, {model.heads} heads, random weights"


def _from_teacher(from_teacher: FromTeacher) -> str:
    if from_teacher.layers is None:
        return f"the fine-tuned teacher, {from_teacher.sparsity}% of heads and neurons pruned"
    layers = ", ".join(str(k) for k in from_teacher.layers)
    return f"layers {layers} of the teacher, {from_teacher.weights} weights"


def _named(name: str, params: Mapping[str, Scalar]) -> str:
    return f"{name} ({_pairs(_constants(params))})" if params else name


def _texts(arm: ParameterSpec) -> dict[str, str]:
    from raykd.params import show

    texts = {}
    for name, domain in arm.domains.items():
        when = " and ".join(f"{other} = {show(value)}" for other, value in domain.when.items())
        texts[name] = domain.describe() + (f" when {when}" if when else "")
    return texts


def _constants(values: Mapping[str, Scalar]) -> dict[str, str]:
    from raykd.params import show

    return {name: show(value) for name, value in values.items()}


def _pairs(values: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())
