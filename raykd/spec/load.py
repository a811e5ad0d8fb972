"""Reads a search-space file into a `SweepSpec`, or says everything that is wrong at once."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from raykd import registry
from raykd.errors import Problem, SpecError
from raykd.registry import METHODS_WITHOUT_TEACHER
from raykd.spec.addresses import refuse_secrets
from raykd.spec.dump import to_yaml
from raykd.spec.feasibility import check_feasible
from raykd.spec.loggers_section import read_logging
from raykd.spec.lora_section import read_lora
from raykd.spec.method_section import as_params, read_methods, read_train
from raykd.spec.model_section import read_student, read_teacher
from raykd.spec.name_rules import name_problem
from raykd.spec.overrides import apply_overrides
from raykd.spec.report_path import path_problem
from raykd.spec.schema import (
    ArmSpec,
    DataSpec,
    RationaleSpec,
    SplitRef,
    SweepSpec,
    TeacherSpec,
)
from raykd.spec.schema_stages import ConfirmSpec, ReportSpec, ResourceSpec, SearchSpec, SeedPlan
from raykd.spec.search_section import read_search
from raykd.spec.search_values import joined
from raykd.spec.sections import read_section, unknown_keys
from raykd.spec.size_section import read_size
from raykd.spec.splits import split_problems
from raykd.spec.tasks_section import read_tasks
from raykd.spec.teachers_section import arms_with_teachers, check_students, read_teachers
from raykd.spec.yaml_loader import read_file
from raykd.spec.yaml_nodes import Findings, Mark, YamlEntry, YamlNode

__all__ = ["load_spec", "placed", "spec_from_dict", "to_yaml"]

REQUIRED = ("name", "tasks", "teacher", "student", "train", "methods")
DEFAULT_BASELINE = "kd"


def load_spec(path: str | Path, overrides: Sequence[str] = ()) -> SweepSpec:
    """Read and check a search-space file.

    Args:
        path: The file.
        overrides: ``a.b=c`` texts, as given to ``--set``; later ones win.

    Raises:
        SpecError: With every problem of the file and the overrides.
        SetupError: If an extension that the file names needs a package that is not installed.
    """
    findings = Findings()
    root = read_file(path, findings)
    apply_overrides(root, overrides, findings)
    refuse_secrets(root, findings)
    spec = _read_root(root, findings)
    findings.raise_any()
    assert spec is not None, "a file without problems has a meaning"
    return spec


def spec_from_dict(plain: Mapping[str, Any]) -> SweepSpec:
    """The inverse of `SweepSpec.as_dict`, for a run folder that was written before.

    Raises:
        SpecError: It was written by a version of raykd that had other keys, or changed by hand.
    """
    hint = "it was made by another version of raykd, or its resolved.json was changed"
    try:
        spec = SweepSpec.model_validate_json(json.dumps(plain))
    except ValidationError as exc:
        first = exc.errors()[0]
        where = ".".join(map(str, first["loc"]))
        message = f"the settings of the run cannot be read: {where}: {first['msg']}"
        raise SpecError(message, hint=hint) from exc
    for teacher in filter(None, (spec.teacher, *spec.teachers.values())):
        if teacher.runs_here and teacher.model is None and teacher.checkpoint is None:
            raise SpecError("the settings of the run name a teacher without a model", hint=hint)
    return spec


def placed(problem: Problem, path: str | Path, overrides: Sequence[str] = ()) -> Problem:
    """A problem found later (data, models, cluster), with the place that its path names.

    A path that the file does not spell out gets the place of its nearest section, or none.
    """
    if problem.line or problem.file:
        return problem
    root = read_file(path, Findings())
    apply_overrides(root, overrides, Findings())
    node, mark = root, None
    for key, number in re.findall(r"([^.\[\]]+)|\[(\d+)\]", problem.path):
        if key and key in node.entries:
            entry = node.entries[key]
            node, mark = entry.node, entry.mark
        elif number and int(number) < len(node.items):
            node = node.items[int(number)]
            mark = node.mark
        else:
            break
    if mark is None:
        return dataclasses.replace(problem, file=str(path))
    return dataclasses.replace(
        problem, file=mark.source.name, line=mark.line, column=mark.column, source=mark.text()
    )


def _read_root(root: YamlNode, findings: Findings) -> SweepSpec | None:
    entries = root.entries
    known = [key for key in SweepSpec.model_fields if key != "own_tasks"]
    meant = unknown_keys(entries, known, "", findings)
    missing = [key for key in REQUIRED if key not in entries and key not in meant]
    if "teachers" in entries and "teacher" in missing:
        missing.remove("teacher")
    for key in missing:
        findings.problems.append(
            Problem(message="this section is required", path=key, file=root.mark.source.name)
        )
    name = _read_name(entries.get("name"), findings)
    description = _read_text(entries.get("description"), "description", findings)
    tasks = read_tasks(entries.get("tasks"), findings)
    data = _read_data(entries.get("data"), findings)
    teacher, teachers = _read_teachers(entries, findings)
    lora, adapter = read_lora(entries.get("student"), findings)
    student = (
        read_student(entries["student"], teacher, lora, findings) if "student" in entries else None
    )
    given = entries.get("train", YamlEntry(root.mark, YamlNode({}, "", root.mark)))
    size = read_size(entries.get("student"), findings)
    train = joined((read_train(given, findings), adapter, size))
    methods = read_methods(entries["methods"], train, findings) if "methods" in entries else {}
    methods = arms_with_teachers(methods, teachers, entries, findings)
    check_students(student, teachers, findings, entries)
    search = read_search(entries.get("search"), tasks.metrics, findings)
    confirm = _read_confirm(entries.get("confirm"), findings)
    _check_repeats(search, confirm, entries.get("confirm"), findings)
    resources = _read_resources(entries.get("resources"), findings)
    report = _read_report(entries.get("report"), entries.get("methods"), methods, findings)
    logging = read_logging(entries, findings)
    if search is not None and "methods" in entries:
        check_feasible(methods, as_params(train), search, entries, findings)
    if findings.problems:
        return None
    return SweepSpec.model_validate(
        {
            "name": name, "description": description, "tasks": tuple(tasks.names),
            "own_tasks": tasks.own, "data": data,
            "teacher": teacher, "teachers": teachers, "student": student,
            "train": as_params(train), "methods": methods,
            "search": search, "confirm": confirm, "resources": resources, "report": report,
            **logging,
        }
    )  # fmt: skip


def _read_teachers(
    entries: Mapping[str, YamlEntry], findings: Findings
) -> tuple[TeacherSpec | None, dict[str, TeacherSpec]]:
    """The teacher, or the first of several, and all of them by name where there are several."""
    one, several = entries.get("teacher"), entries.get("teachers")
    if several is None:
        teacher = None if one is None else read_teacher(one, findings)
        if one is not None and teacher is not None and teacher.members:
            message = "a combination needs the teachers that it combines, each with a name"
            findings.add(one.mark, "teacher", message, "teachers: {a: ..., b: ..., both: ...}")
        return teacher, {}
    if one is not None:
        message = "give either 'teacher' or 'teachers', not both"
        findings.add(several.mark, "teachers", message, "move teacher among teachers, by a name")
    teachers = read_teachers(several, findings)
    return next(iter(teachers.values()), None), teachers


def _read_text(entry: YamlEntry | None, key: str, findings: Findings) -> str:
    if entry is None or entry.node.value is None:
        return ""
    if not isinstance(entry.node.value, str):
        message = f"'{key}' must be text, got {entry.node.typed()}"
        findings.add(entry.node.mark, key, message, f'quote it: {key}: "..."')
        return ""
    return entry.node.value


def _read_name(entry: YamlEntry | None, findings: Findings) -> str:
    before = findings.count
    name = _read_text(entry, "name", findings)
    if entry is not None and findings.count == before and (wrong := name_problem(name)):
        hint = "it names the run folder and the report"
        findings.add(entry.node.mark, "name", f"'name' {wrong}", hint)
    return name


def _read_data(entry: YamlEntry | None, findings: Findings) -> DataSpec | None:
    parsed: dict[str, SplitRef] = {}
    by_hand = ("select_on", "report_on")
    given = entry.node.entries if entry is not None else {}
    before = findings.count
    for key in by_hand:
        if key in given and given[key].node.value is not None:
            split = read_section(SplitRef, given[key], f"data.{key}", findings)
            if split is not None:
                parsed[key] = split
    made = read_section(DataSpec, entry, "data", findings, parsed=parsed, by_hand=by_hand)
    augment = made.augment if made is not None else None
    if augment is not None and augment.model is None and augment.vectors is None:
        message = "'augment' needs a source of words"
        hint = "model: a masked language model, and/or vectors: a file of word vectors"
        findings.add(given["augment"].node.mark, "data.augment", message, hint)
    if made is not None:
        for problem in split_problems(made):
            key = problem.path.removeprefix("data.")
            at = given.get(key) or next(given[k] for k in by_hand if k in given)
            findings.add(at.node.mark, problem.path, problem.message, problem.hint)
    if made is not None and "rationales" in given:
        _check_rationales(made.rationales, given["rationales"].node.mark, findings)
    return made if findings.count == before else None


def _check_rationales(made: RationaleSpec, mark: Mark, findings: Findings) -> None:
    where = "data.rationales"
    if made.source != "data" and not made.by_teacher and made.file is None:
        message = "'source' is data, teacher, teacher_posthoc or a file that ends in .jsonl, "
        findings.add(mark, f"{where}.source", f"{message}got '{made.source}'")
    if not made.by_teacher and made.max_new_tokens != RationaleSpec().max_new_tokens:
        message = "'max_new_tokens' bounds what a teacher writes, and it writes nothing here"
        findings.add(mark, f"{where}.max_new_tokens", message, "set source: teacher, or remove it")
    if made.as_input and made.by_teacher:
        message = "'as_input' needs rationales that are there before the teacher is"
        hint = "use source: data, or a file"
        findings.add(mark, f"{where}.as_input", message, hint)


def _read_confirm(entry: YamlEntry | None, findings: Findings) -> ConfirmSpec | None:
    seeds = entry.node.entries.get("seeds") if entry is not None else None
    if seeds is not None and isinstance(seeds.node.value, dict):
        plan = _read_seed_plan(seeds, findings)
        return read_section(
            ConfirmSpec, entry, "confirm", findings, by_hand=("seeds",),
            parsed={"seeds": plan} if plan is not None else {},
        )  # fmt: skip
    made = read_section(ConfirmSpec, entry, "confirm", findings)
    if made is None or seeds is None or isinstance(made.seeds, SeedPlan):
        return made
    for k, node in enumerate(seeds.node.items):
        if made.all_seeds[k] in made.all_seeds[:k]:
            message = f"seed {made.all_seeds[k]} is listed twice"
            findings.add(node.mark, "confirm.seeds", message, "arms are paired by seed")
    return made


def _check_repeats(
    search: SearchSpec | None,
    confirm: ConfirmSpec | None,
    entry: YamlEntry | None,
    findings: Findings,
) -> None:
    """Refuse a plan of seeds where searches are what is counted."""
    if search is None or confirm is None or search.repeats == 1 or entry is None:
        return
    if isinstance(confirm.seeds, SeedPlan):
        message = (
            "seeds by a plan decide between single configurations, and search.repeats: "
            f"{search.repeats} compares searches"
        )
        hint = "list seeds, e.g. [1, 2], or remove search.repeats"
        findings.add(entry.node.entries["seeds"].node.mark, "confirm.seeds", message, hint)


def _read_seed_plan(entry: YamlEntry, findings: Findings) -> SeedPlan | None:
    made = read_section(SeedPlan, entry, "confirm.seeds", findings)
    if made is None or list(made.looks) == sorted(set(made.looks)):
        return made
    node = entry.node.entries["then"].node
    message = f"'then' must be growing numbers of seeds above start, got {list(made.then)}"
    findings.add(node.mark, "confirm.seeds.then", message, "for example {start: 5, then: [10, 20]}")
    return None


def _read_resources(entry: YamlEntry | None, findings: Findings) -> ResourceSpec | None:
    made = read_section(ResourceSpec, entry, "resources", findings)
    if made is not None and made.gpus_per_worker != "auto" and made.gpus_per_worker < 0:
        assert entry is not None
        node = entry.node.entries["gpus_per_worker"].node
        message = f"'gpus_per_worker' must be >= 0 or auto, got {node.text}"
        findings.add(node.mark, "resources.gpus_per_worker", message)
    return made


def _read_report(
    entry: YamlEntry | None,
    blocks: YamlEntry | None,
    methods: Mapping[str, ArmSpec],
    findings: Findings,
) -> ReportSpec | None:
    """The ``report`` section with the baseline filled in."""
    made = read_section(ReportSpec, entry, "report", findings)
    if made is None:
        return None
    if entry is not None and "path" in entry.node.entries:
        wrong, hint = path_problem(made.path)
        if wrong:
            node = entry.node.entries["path"].node
            findings.add(node.mark, "report.path", f"'path' {wrong}, got {node.typed()}", hint)
    names = list(dict.fromkeys([*(blocks.node.entries if blocks is not None else ()), *methods]))
    if made.baseline is None:
        without = next(
            (m.name for m in methods.values() if m.method in METHODS_WITHOUT_TEACHER),
            METHODS_WITHOUT_TEACHER[0],
        )
        baseline = DEFAULT_BASELINE if DEFAULT_BASELINE in names else without
        return made.model_copy(update={"baseline": baseline})
    assert entry is not None
    if made.baseline not in names and blocks is not None:
        node = entry.node.entries["baseline"].node
        message = f"'baseline' must be one of the arms, got {made.baseline}"
        hint = registry.suggestion(made.baseline, names) or f"arms: {', '.join(names)}"
        findings.add(node.mark, "report.baseline", message, hint)
    return made
