"""The teacher: its scores, size, stored outputs and forward passes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import stdev

from raykd.registry import METHODS_WITHOUT_TEACHER
from raykd.report.charts import duration, size
from raykd.report.section import Section, template
from raykd.results.arm_teachers import members
from raykd.results.gap import tells_spread
from raykd.results.records import SweepResult, TeacherRecord, TrialResult
from raykd.results.summary import metric_of, scale_of

COLUMNS = (
    "task", "model", "weights", "scores", "trained on rows", "stored", "store size",
    "times that it saw each distinct row", "preparation",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class TeacherSectionRecord:
    """One row per teacher."""

    heading: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    served: tuple[str, ...]
    searched: tuple[str, ...]
    spread: tuple[str, ...]
    notes: tuple[str, ...]
    usage: tuple[str, ...]
    used: tuple[str, ...]


def record(result: SweepResult) -> TeacherSectionRecord | None:
    """None before a teacher was ready."""
    if not result.teachers:
        return None
    ratios = [forwards_per_example(t) for t in result.teachers]
    known = [r for r in ratios if r is not None]
    trials = sum(t.method not in METHODS_WITHOUT_TEACHER for t in result.trials)
    heading = f"Prepared once per task and read by {trials} trials"
    if known:
        heading += f"; it saw each distinct row {_times(max(known))}"
    return TeacherSectionRecord(
        heading=heading,
        columns=COLUMNS,
        rows=tuple(_row(result, t) for t in result.teachers),
        served=tuple(
            f"{_place(t)}: {t.serving}{describe_precision(t)}"
            for t in result.teachers
            if t.serving and not _is_combined(result, t)
        ),
        searched=tuple(describe_search(result, t) for t in result.teachers if t.tried),
        spread=tuple(describe_spread(result, t) for t in result.teachers if t.seeds > 1),
        notes=result.teacher_notes,
        usage=tuple(describe_endpoint_usage(t) for t in result.teachers if t.usage),
        used=tuple(describe_use(result, t) for t in result.teachers if t.name),
    )


def render(r: TeacherSectionRecord) -> str:
    """The table."""
    return template("teacher", r)


def forwards_per_example(teacher: TeacherRecord) -> float | None:
    """How often the teacher saw each example to record it; None when it recorded none."""
    return teacher.forwards / teacher.distinct if teacher.distinct else None


def describe_precision(teacher: TeacherRecord) -> str:
    """What running the teacher in fewer bits has changed; empty for float32."""
    if not teacher.precision_error:
        return ""
    errors = ", ".join(f"{k} by {100 * e:.2g} %" for k, e in teacher.precision_error.items())
    return f"; it runs in {teacher.frozen_precision}, which changes {errors} against fp32"


def describe_search(result: SweepResult, teacher: TeacherRecord) -> str:
    """The search for the settings that a teacher was fine-tuned with, and what it cost."""
    metric = teacher.tried[0].metric
    scale = scale_of(result, teacher.task, metric)
    tried = "; ".join(
        f"lr {t.lr:.3g}, {t.epochs} epochs: "
        + (scale.show(t.score) if math.isfinite(t.score) else "diverged")
        + (" (taken)" if t.chosen else "")
        for t in teacher.tried
    )
    seconds = sum(t.seconds for t in teacher.tried)
    return (
        f"{_place(teacher)}: {len(teacher.tried)} trainings of the teacher, {duration(seconds)} in "
        f"all, searched its settings by {metric} on the validation split. {tried}"
    )


def describe_spread(result: SweepResult, teacher: TeacherRecord) -> str:
    """How far teachers of other seeds score from the one that students learnt from."""
    metric = metric_of(result, teacher.task)[0]
    scale, own = scale_of(result, teacher.task), teacher.metrics.get(f"test/{metric}", math.nan)
    scores = [own, *teacher.seed_scores.values()]
    others = ", ".join(scale.show(score) for score in scores[1:])
    text = (
        f"{teacher.task}: {teacher.seeds} teachers were trained with seeds of their own. Students "
        f"learnt from the one that has {scale.show(own)} ({metric}) on the test split; the others "
        f"have {others or 'none'}"
    )
    if lost := teacher.seeds - len(scores):
        text += f", and {lost} diverged"
    if len(scores) > 1:
        sd = f"{stdev(scores) * scale.factor:.2g}"
        text += f" (standard deviation {sd} {scale.unit})"
        if not tells_spread(scores):
            text += (
                ", which is too little to say how far teachers vary: intervals of the gap recovered"
                " assume no less than the spread of the students"
            )
    return text


def describe_endpoint_usage(teacher: TeacherRecord) -> str:
    """What asking a teacher behind an address took, in tokens as its server counts them."""
    usage = teacher.usage
    text = (
        f"{_place(teacher)}: {teacher.model} was sent {usage['requests']:,} requests, and read "
        f"{usage['prompt_tokens']:,} tokens and wrote {usage['completion_tokens']:,} for it"
    )
    if usage["cached"]:
        text += (
            f"; {usage['cached']:,} answers were there from before, for which it had read "
            f"{usage['cached_prompt_tokens']:,} and written {usage['cached_completion_tokens']:,}"
        )
    return text


def describe_use(result: SweepResult, teacher: TeacherRecord) -> str:
    """The trials that learnt from one of several teachers, and what it cost."""
    own = [t for t in result.trials if t.task == teacher.task and "teacher" in t.params]
    alone = [t for t in own if t.params["teacher"] == teacher.name]
    among = [t for t in own if t not in alone and _reads(result, t, teacher.name)]
    counted = f"{teacher.task}: {_counted(alone)} learnt from {teacher.name}"
    if among:
        counted += f", and {_counted(among)} from it with others"
    if _is_combined(result, teacher):
        return counted
    return f"{counted}; it took {duration(teacher.seconds)} to prepare"


def _counted(trials: Sequence[TrialResult]) -> str:
    """How many trials, of which arms."""
    arms = ", ".join(dict.fromkeys(t.arm for t in trials)) or "no arm"
    return f"{len(trials)} trials ({arms})"


def _reads(result: SweepResult, trial: TrialResult, teacher: str) -> bool:
    """Whether a trial learnt from a combination that a teacher is a part of."""
    return teacher in members(result, str(trial.params["teacher"]))


def _is_combined(result: SweepResult, teacher: TeacherRecord) -> bool:
    """Whether it is made of what others say."""
    return members(result, teacher.name) != (teacher.name,)


def _place(teacher: TeacherRecord) -> str:
    """The task, and the name of the teacher where it has one."""
    return teacher.task + (f" ({teacher.name})" if teacher.name else "")


def _times(ratio: float) -> str:
    return "once" if ratio == 1 else f"{ratio:.3g} times"


def _row(result: SweepResult, teacher: TeacherRecord) -> tuple[str, ...]:
    ratio = forwards_per_example(teacher)
    counted = f"{teacher.forwards:,} / {teacher.distinct:,}"
    scores = ", ".join(
        f"{name} {scale_of(result, teacher.task, name).show(v)}"
        for name, v in teacher.metrics.items()
    )
    stored = ", ".join(
        f"{name} {size(b)}" + _rounded(teacher.rounding.get(name, 0.0))
        for name, b in teacher.stored.items()
    )
    elsewhere = not teacher.parameters
    trained = "n/a (its outputs were given)" if elsewhere else "loaded fine-tuned"
    if teacher.usage:
        trained = "n/a (behind an address)"
    elif _is_combined(result, teacher):
        trained = "n/a (others were)"
    return (
        _place(teacher),
        teacher.model,
        "n/a" if elsewhere else f"{teacher.parameters:,}",
        scores or "n/a",
        f"{teacher.rows:,}" if teacher.rows else trained,
        stored or ("texts only" if elsewhere else "nothing (served as weights)"),
        size(teacher.store_bytes),
        "n/a" if ratio is None else f"{ratio:.3g} ({counted})",
        "combined" if _is_combined(result, teacher) else _made(teacher),
    )


def _made(teacher: TeacherRecord) -> str:
    """How what is served came to be."""
    if not teacher.parameters:
        return "behind an address" if teacher.usage else "made elsewhere"
    return "read from the cache" if teacher.cached else duration(teacher.seconds)


def _rounded(error: float) -> str:
    """What keeping a signal in fewer bits has cost."""
    return f" (rounding error {100 * error:.2g} %)" if error else ""


SECTION = Section(order=110, title="Teacher", record=record, render=render)
