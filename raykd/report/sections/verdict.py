"""The verdict: one sentence per task, with the caveats next to it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from raykd.params import show
from raykd.report.commands import export, own_name
from raykd.report.section import Section, template
from raykd.results.arm_teachers import learnt_from
from raykd.results.caveat import Caveat
from raykd.results.constraints import weights_of
from raykd.results.diagnose import diagnose
from raykd.results.differences import MIN_SEEDS
from raykd.results.records import SweepResult
from raykd.results.reported_runs import reported_runs, runs_with_student
from raykd.results.sentences import plural
from raykd.results.summary import ArmSummary, arm_summaries, metric_of, named, scale_of
from raykd.results.verdict import Verdict, listed, sure_winners, verdict

MAX_SHOWN_CAVEATS = 6
MAX_NAMED = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskVerdict:
    """One task's card.

    Attributes:
        verdict: The verdict.
        measure: What was measured.
        config: The winning configuration as YAML.
        key: Unique id of its element.
        student: Where the leader's student is, and how large, by name.
        of_search: Which of several searches found the configuration; empty where there is one.
    """

    verdict: Verdict
    measure: str
    config: str
    key: str
    student: tuple[tuple[str, str], ...] = ()
    of_search: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class VerdictRecord:
    """The first screen."""

    heading: str
    tasks: tuple[TaskVerdict, ...]
    caveats: tuple[Caveat, ...]
    more_caveats: tuple[Caveat, ...]
    notes: tuple[str, ...]
    name_tasks: bool
    several_searches: bool


def record(result: SweepResult) -> VerdictRecord:
    """The verdict of every task of the search space, also of those that never began."""
    tasks = tuple(dict.fromkeys([*(t.name for t in result.tasks), *result.spec.get("tasks", ())]))
    cards = tuple(_card(result, task, i) for i, task in enumerate(tasks))
    caveats = _grouped(diagnose(result))
    return VerdictRecord(
        heading=_heading(cards),
        tasks=cards,
        caveats=caveats[:MAX_SHOWN_CAVEATS],
        more_caveats=caveats[MAX_SHOWN_CAVEATS:],
        notes=result.notes,
        name_tasks=len(tasks) > 1,
        several_searches=result.searches > 1,
    )


def render(r: VerdictRecord) -> str:
    """The cards and the caveats box."""
    return template("verdict", r)


def as_yaml(arm: ArmSummary) -> str:
    """The chosen configuration of an arm as a search-space file takes it, searched values only."""
    names = arm.best.searched if arm.best else ()
    own = [f"    {n}: {show(arm.chosen[n])}" for n in names if n in arm.chosen]
    name = own_name(arm.name)
    head = f"methods:\n  {_quoted(name)}:"
    method = [f"    method: {_quoted(arm.method)}"] if arm.method != name else []
    return "\n".join([head, *method, *own] if own or method else [head + " {}"])


def _card(result: SweepResult, task: str, index: int) -> TaskVerdict:
    outcome = verdict(result, task)
    leader = next((a for a in arm_summaries(result, task) if a.name == outcome.leader), None)
    return TaskVerdict(
        verdict=outcome,
        measure=_measure(result, task),
        config=as_yaml(leader) if leader else "",
        key=f"config-{index}",
        student=_student(result, task, outcome.leader),
        of_search=_of_search(result, task, outcome.leader),
    )


def _of_search(result: SweepResult, task: str, arm: str) -> str:
    """The search whose configuration and student are shown, of those that the verdict is on."""
    runs = reported_runs(result, task, arm) if arm else ()
    if result.searches == 1 or not runs:
        return ""
    return f" (search {runs[0].repeat + 1} of {result.searches}, each has its own)"


def _student(result: SweepResult, task: str, arm: str) -> tuple[tuple[str, str], ...]:
    """Where the student of an arm was kept, and its size next to the teacher's."""
    kept = runs_with_student(result, task, arm)
    record = next((t for t in result.tasks if t.name == task), None)
    if not kept or record is None:
        return ()
    teacher, own = learnt_from(result, kept[0]), weights_of(kept[0], record)
    size = f"{own:,} weights"
    if teacher is not None and teacher.parameters and own:
        size += f", {100 * own / teacher.parameters:.2g} % of the teacher's"
    run = f"runs/{kept[0].sweep}"
    return (
        ("folder", f"{run}/{kept[0].checkpoint}"),
        ("size", size),
        ("trained as", kept[0].trial_id),
        ("to use it", export(kept[0])),
    )


def _measure(result: SweepResult, task: str) -> str:
    """Metric, rows, direction, and what is scored without knowing anything."""
    metric, mode = metric_of(result, task)
    record = next((t for t in result.tasks if t.name == task), None)
    split = record.report_on if record else "the test split"
    rows = record.rows.get("test") if record else None
    scale = scale_of(result, task)
    unit = "" if scale.unit in ("points", metric) else f" in {scale.unit}"
    parts = [f"{metric}{unit} on {split}" + (f", {rows:,} rows" if rows else "")]
    if metric == "log_likelihood":
        parts.append("the mean over tokens, which without its sign is the logarithm of perplexity")
    parts.append("lower is better" if mode == "min" else "higher is better")
    if rows and scale.per_row:
        parts.append(f"one row is {100 / rows:.2g} points")
    constant = record.constant.get("test", ()) if record else ()
    if constant:
        best = min(constant) if mode == "min" else max(constant)
        parts.append(f"the same answer for every row has {scale.show(best)}")
    return "; ".join(parts)


def _heading(cards: tuple[TaskVerdict, ...]) -> str:
    """The finding; over several tasks, of those winners that stand when all tasks are counted."""
    if len(cards) == 1:
        return _alone(cards[0].verdict)
    sure = sure_winners([c.verdict for c in cards])
    if not sure:
        return f"No clear winner on any of the {len(cards)} tasks"
    corrected = f"corrected for {len(cards)} tasks"
    leaders = {v.leader for v in sure}
    if len(leaders) == 1 and len(sure) == len(cards):
        alone = f"ahead of every other arm on {_all(len(cards))} tasks ({corrected})"
        return f"{_take(sure[0])}: {alone}"
    parts = ", ".join(f"{named(v.leader)} on {v.task}" for v in sure)
    return f"A clear winner on {len(sure)} of {len(cards)} tasks, {corrected}: {parts}"


def _take(v: Verdict) -> str:
    """What to take: a method, or the configuration of it that one search found."""
    if named(v.leader) != v.leader:
        return "Take the student without a teacher"
    return f"Take {v.leader}" if v.counted == "search" else f"Take {v.leader}'s configuration"


def _alone(v: Verdict) -> str:
    """The finding on the only task: which arm to take, or which cannot be told apart."""
    if not v.leader:
        return "Nothing was measured yet"
    if v.decided:
        lead = f"ahead of every other arm {v.on} (least lead {v.lead})"
        small = f"{named(v.leader)} is {lead}, but by less than matters to you"
        return small if v.is_small else f"{_take(v)}: {lead}"
    if len(v.leading) < 2 or v.seeds < MIN_SEEDS:
        why = f"few {plural(v.counted)}" if v.leading else "nothing was confirmed"
        why = "it lost confirm runs" if len(v.leading) == 1 and v.seeds >= MIN_SEEDS else why
        ahead = f"{named(v.leader)} is ahead"
        return f"No winner yet; {ahead}, but {why}" if v.leading else f"No winner yet; {why}"
    names = [named(arm) for arm in v.leading]
    shown = listed(names[:MAX_NAMED])
    if len(names) > MAX_NAMED:
        shown = f"{', '.join(names[:MAX_NAMED])} and {len(names) - MAX_NAMED} more"
    if v.equal_within:
        first = f"{shown} are ahead, and " if len(names) < v.compared else f"{shown} are "
        return f"No winner: {first}equal within {v.equal_within}"
    behind = "are ahead; they " if len(names) < v.compared else ""
    return f"No winner yet: {shown} {behind}cannot be told apart"


def _all(count: int) -> str:
    return "both" if count == 2 else f"all {count}"


def _grouped(caveats: tuple[Caveat, ...]) -> tuple[Caveat, ...]:
    """Caveats that say the same about several tasks become one that names them all."""
    alike: dict[tuple[str, str], list[Caveat]] = {}
    for caveat in caveats:
        alike.setdefault((caveat.code, caveat.message), []).append(caveat)
    merged = []
    for group in alike.values():
        tasks = dict.fromkeys(c.task for c in group if c.task)
        merged.append(dataclasses.replace(group[0], task=", ".join(tasks)))
    return tuple(merged)


def _quoted(text: str) -> str:
    is_safe = text.replace("-", "").replace("_", "").isalnum() and not text[:1].isdigit()
    return text if is_safe else "'" + text.replace("'", "''") + "'"


SECTION = Section(order=10, title="Which method, and how sure?", record=record, render=render)
