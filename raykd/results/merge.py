"""Merges several runs into one comparison: arms stay distinct, differences are recorded."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from raykd.errors import RaykdError
from raykd.registry import METHODS_WITHOUT_TEACHER
from raykd.results.anonymous import anonymous
from raykd.results.arm_teachers import teachers_of_task
from raykd.results.records import SweepResult
from raykd.results.seed_plan import strictest
from raykd.results.store import load_results


def load_runs(runs: Sequence[str | Path], *, is_anonymous: bool = False) -> SweepResult:
    """The records of a run, or of several as one.

    Args:
        runs: Run folders.
        is_anonymous: Leave out what says whose they are (`raykd.results.anonymous`).

    Raises:
        RaykdError: A run folder cannot be read, or there is none.
    """
    results = [load_results(run) for run in runs]
    return merge([anonymous(result) for result in results] if is_anonymous else results)


def merge(results: Sequence[SweepResult]) -> SweepResult:
    """One result from several; a single one is returned as it is.

    An arm that several runs have is written ``run/arm``. The baseline and the arm without
    teacher are those of the first run. `SweepResult.env` gets ``merged``: per run its packages,
    training settings, data, students and teacher fingerprints, for `raykd.results.diagnose`.

    Raises:
        RaykdError: Without any run, or with different `search.repeats`.
    """
    if not results:
        raise RaykdError("no run was given", hint="raykd report runs/NAME [runs/OTHER ...]")
    if len(results) == 1:
        return results[0]
    if len({r.searches for r in results}) > 1:
        counts_of = ", ".join(f"{r.run}: {r.searches}" for r in results)
        raise RaykdError(
            f"the runs have different numbers of searches of an arm ({counts_of})",
            hint="compare runs with the same search.repeats: a search and a seed are no pair",
        )
    results = _distinct_names(results)
    counts = Counter(arm for r in results for arm in r.arms)
    parts = [_renamed(r, counts, keep_references=i == 0) for i, r in enumerate(results)]
    first = parts[0]
    methods = {name: m for p in parts for name, m in p.spec["methods"].items()}
    tasks = {t.name: t for p in reversed(parts) for t in p.tasks}
    teachers = {(t.task, t.name): t for p in reversed(parts) for t in p.teachers}
    described: dict[str, Any] = {}
    for part in reversed(parts):
        described |= part.spec.get("teachers") or {}
    spec = {
        **first.spec, "methods": methods, "teachers": described,
        "train": {"fixed": {}, "domains": {}}, "loggers": [],
    }  # fmt: skip
    env = {**first.env, "merged": [_identity(r) for r in results]}
    trials = sorted((t for p in parts for t in p.trials), key=lambda t: (t.started, t.trial_id))
    return dataclasses.replace(
        first,
        name=" + ".join(dict.fromkeys(p.name for p in parts)),
        run=" + ".join(p.run for p in parts),
        spec=spec,
        spec_text="\n".join(f"# {p.run}\n{p.spec_text}" for p in parts),
        command="\n".join(p.command for p in parts),
        env=env,
        tasks=tuple(dict(reversed(tasks.items())).values()),
        teachers=tuple(dict(reversed(teachers.items())).values()),
        trials=tuple(trials),
        spans=tuple(span for p in parts for span in p.spans),
        started=min(p.started for p in parts),
        finished=max(p.finished for p in parts),
        interrupted=any(p.interrupted for p in parts),
        worked=math.fsum(p.worked for p in parts),
        notes=tuple(f"{p.run}: {note}" for p in parts for note in p.notes),
        teacher_notes=tuple(f"{p.run}: {note}" for p in parts for note in p.teacher_notes),
        row_outcomes=_same_rows(parts),
        outside=tuple(score for p in parts for score in p.outside),
        seed_plans=strictest(parts),
    )


def _distinct_names(results: Sequence[SweepResult]) -> list[SweepResult]:
    """Run names made unique; folders of different places may have the same name."""
    seen: Counter[str] = Counter()
    named = []
    for result in results:
        seen[result.run] += 1
        count = seen[result.run]
        run = result.run if count == 1 else f"{result.run} ({count})"
        named.append(dataclasses.replace(result, run=run))
    return named


def _renamed(result: SweepResult, counts: Mapping[str, int], keep_references: bool) -> SweepResult:
    """A run with arms, trial ids and domains that stand next to those of other runs."""

    def name(arm: str) -> str:
        is_reference = keep_references and arm in (result.baseline, *METHODS_WITHOUT_TEACHER)
        return arm if counts[arm] == 1 or is_reference else f"{result.run}/{arm}"

    train = result.spec["train"]
    methods: dict[str, Any] = {}
    for arm, method in result.spec["methods"].items():
        # Training domains may differ from run to run, so each arm carries its own from here on.
        both = {
            part: {**train.get(part, {}), **method.get(part, {})} for part in ("fixed", "domains")
        }
        # And each run has bounds of its own, or none.
        bounds = (result.spec.get("search") or {}).get("constraints") or ()
        methods[name(arm)] = {**method, **both, "constraints": bounds}
    trials = tuple(
        dataclasses.replace(
            t,
            arm=name(t.arm),
            trial_id=f"{result.run}/{t.trial_id}",
            row_outcomes=t.row_outcomes and f"{result.run}/{t.row_outcomes}",
        )
        for t in result.trials
    )
    return dataclasses.replace(
        result,
        spec={**result.spec, "methods": methods},
        trials=trials,
        row_outcomes={f"{result.run}/{name}": v for name, v in result.row_outcomes.items()},
        outside=tuple(
            dataclasses.replace(s, arm=name(s.arm), trial_id=f"{result.run}/{s.trial_id}")
            for s in result.outside
        ),
    )


def _same_rows(parts: Sequence[SweepResult]) -> dict[str, Any]:
    """The outcomes on tasks that have the same rows in all runs: others pair nothing."""
    prints: dict[str, set[str]] = {}
    for part in parts:
        for task in part.tasks:
            prints.setdefault(task.name, set()).add(task.data_fingerprint)
    return {
        t.row_outcomes: part.row_outcomes[t.row_outcomes]
        for part in parts
        for t in part.trials
        if t.row_outcomes in part.row_outcomes and len(prints[t.task]) == 1
    }


def _identity(result: SweepResult) -> dict[str, Any]:
    return {
        "run": result.run,
        "started": result.started,
        "arms": list(result.arms),
        "trials": len(result.trials),
        "spec": result.spec,
        "packages": dict(result.env.get("packages", {})),
        "train": result.spec["train"],
        "data": {t.name: t.data_fingerprint for t in result.tasks},
        "students": {t.name: (t.student, t.student_parameters) for t in result.tasks},
        "teachers": {
            task.name: {t.name: t.weights or t.fingerprint for t in of_task}
            for task in result.tasks
            if (of_task := teachers_of_task(result, task.name))
        },
    }
