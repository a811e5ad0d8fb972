"""Records of small sweeps that were never run: tables of confirm scores, arm by seed.

None is a run that left no score.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from raykd.report.sections import verdict as verdict_section
from raykd.results.caveat import Caveat
from raykd.results.diagnose import diagnose
from raykd.results.records import Status, SweepResult, TaskRecord, TeacherRecord, TrialResult

TASK = "glue/rte"
Scores = Sequence[float | None]


def sweep(
    rows: int = 277, metric: str = "accuracy", teacher: float = 0.72, **arms: Scores
) -> SweepResult:
    """A sweep with one search trial and the given confirm scores of each arm."""
    trials = []
    for arm, scores in arms.items():
        first = next(s for s in scores if s is not None)
        trials.append(trial(arm, "search", "s000", first, {metric: first}))
        for seed, value in enumerate(scores, start=11):
            metrics = {} if value is None else {metric: value, f"test/{metric}": value}
            done = trial(arm, "confirm", f"c0.{seed}", value, metrics)
            if value is None:
                done = dataclasses.replace(done, status=Status.FAILED, error="loss is not finite")
            trials.append(done)
    task = TaskRecord(
        name=TASK, metric=metric, mode="max", metrics=(metric,), select_on="10% of train",
        rows={"train": 2241, "validation": 249, "test": rows}, report_on="validation",
        data_fingerprint="d", truncated=0, student="small", student_parameters=1,
    )  # fmt: skip
    record = TeacherRecord(
        task=TASK, model="large", fingerprint="t", rows=2241, parameters=1, forwards=1, distinct=1,
        metrics={f"test/{metric}": teacher, f"validation/{metric}": teacher}, store_bytes=1,
        stored={}, seconds=1.0, cached=False,
    )  # fmt: skip
    methods = {arm: {"method": arm, "fixed": {}, "domains": {}} for arm in arms}
    spec = {"name": "s", "tasks": [TASK], "data": {}, "methods": methods,
            "train": {"fixed": {}, "domains": {}}}  # fmt: skip
    baseline = "kd" if "kd" in arms else "none"
    return SweepResult(
        name="s", run="s", spec=spec, spec_text="", command="", env={}, baseline=baseline,
        tasks=(task,), teachers=(record,), trials=tuple(trials),
    )  # fmt: skip


def trial(
    arm: str, stage: str, tail: str, value: float | None, metrics: Mapping[str, float]
) -> TrialResult:
    return TrialResult(
        sweep="s", task=TASK, arm=arm, method=arm, trial_id=f"glue-rte.{arm}.{tail}",
        number=0, stage=stage, status=Status.COMPLETED, params={}, objective=value, metrics=metrics,
        seconds=10.0, device_seconds=20.0 if stage == "search" else 300.0,
    )  # fmt: skip


def with_record(result: SweepResult, **changes: object) -> SweepResult:
    return dataclasses.replace(result, tasks=(dataclasses.replace(result.tasks[0], **changes),))


def heading(result: SweepResult) -> str:
    return verdict_section.record(result).heading


def caveats(result: SweepResult) -> dict[str, Caveat]:
    return {c.code: c for c in diagnose(result)}
