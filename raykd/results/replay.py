"""Replays the event log to rebuild the state of a sweep, also of one that was killed."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from raykd.results.logger_record import LOGGER_NOTE, LoggerRecord
from raykd.results.records import (
    TEACHER_NOTE,
    DerivedTeacher,
    Evaluation,
    Status,
    TaskRecord,
    TeacherRecord,
    TrialResult,
)
from raykd.results.seed_plan_record import SeedPlanRecord
from raykd.results.serialization import from_dict

Event = Mapping[str, Any]  # one line of events.jsonl
_ENDINGS = ("the sweep ended with an error", "stopped by the user", "the time budget ended")
"""How notes begin that say why a session ended: what a later one makes untrue."""


@dataclass(slots=True)
class Replay:
    """The state that results from the events applied so far; see `apply`.

    Args:
        run: Name of the run folder.
        spec: The resolved search space as plain data.

    Attributes:
        tasks: Task name to record.
        teachers: Task name and name of the teacher to record.
        finished_trials: Trial id to its latest result; of confirm runs, whose ids say nothing of
            the configuration, one for each configuration that bore the id.
        derived: Task name and key to derived teacher.
        spans: Timeline entries besides trials.
        seed_plans: Task name to the plan by which confirm seeds are added.
        lags: Task name to the lag of its search, where it is on record.
        loggers: Name to what a logger received, as its last session recorded it.
        started: Time of the first event of the sweep.
        finished: Time of the last ``sweep_finished``, 0 when it is still open.
        interrupted: Whether the user stopped it.
        notes: Things worth telling.
        teacher_notes: Those that say where teachers came from.
        last: Time of the last event.
    """

    run: str
    spec: Mapping[str, Any]
    tasks: dict[str, TaskRecord] = field(default_factory=dict)
    teachers: dict[tuple[str, str], TeacherRecord] = field(default_factory=dict)
    finished_trials: dict[tuple[str, str], TrialResult] = field(default_factory=dict)
    derived: dict[tuple[str, str], DerivedTeacher] = field(default_factory=dict)
    spans: list[Mapping[str, Any]] = field(default_factory=list)
    seed_plans: dict[str, SeedPlanRecord] = field(default_factory=dict)
    lags: dict[str, int | None] = field(default_factory=dict)
    loggers: dict[str, LoggerRecord] = field(default_factory=dict)
    started: float = 0.0
    finished: float = 0.0
    interrupted: bool = False
    notes: list[str] = field(default_factory=list)
    teacher_notes: list[str] = field(default_factory=list)
    last: float = 0.0
    _before: float = 0.0
    _session: float = 0.0
    _worked: float = 0.0
    _open: dict[str, Event] = field(default_factory=dict)
    _cut: dict[str, Event] = field(default_factory=dict)
    _reports: dict[str, list[Evaluation]] = field(default_factory=dict)
    _slot_starts: dict[int, Event] = field(default_factory=dict)
    _slot_nodes: dict[int, str] = field(default_factory=dict)

    def apply(self, events: Iterable[Event]) -> None:
        """Take in events in the order of the log; kinds that mean nothing here are passed over.

        Raises:
            KeyError: If an event lacks a field of its kind.
            TypeError: If a record in an event lacks a field.
        """
        handlers: Mapping[str, Callable[[Event], None]] = {
            "sweep_started": self._sweep_started,
            "sweep_resumed": self._sweep_resumed,
            "sweep_finished": self._sweep_finished,
            "teacher_ready": self._teacher_ready,
            "slot": self._slot,
            "node": self._node,
            "waiting": self._waiting,
            "trial_started": self._trial_started,
            "trial_report": self._trial_report,
            "trial_finished": self._trial_finished,
            "derived_teacher": self._derived_teacher,
            "stage": self._stage,
            "seed_plan": self._seed_plan,
            "seed_look": self._seed_look,
            "logger": self._logger,
            "note": self._note,
        }
        for event in events:
            self._before = self.last
            self.last = max(self.last, float(event.get("time", 0.0)))
            handler = handlers.get(str(event.get("event")))
            if handler is not None:
                handler(event)

    def trials(self) -> tuple[TrialResult, ...]:
        """Every trial in order of start; those that never finished are ``interrupted``."""
        cut = {_place(e): self._cut_short(e) for e in self._open.values()}
        together = {**self.finished_trials, **cut}
        return tuple(sorted(together.values(), key=lambda t: (t.started, t.trial_id)))

    @property
    def worked(self) -> float:
        """Seconds at work, without the time between the end of a session and the next one."""
        return self._worked + max((self.finished or self.last) - self._session, 0.0)

    def _sweep_started(self, event: Event) -> None:
        self.started = self.started or float(event["time"])
        self._session = self._session or self.started

    def _sweep_resumed(self, event: Event) -> None:
        if self._session:
            self._worked += max(self._before - self._session, 0.0)
            self.spans.append(_span("not running", "pause", self._before, float(event["time"])))
        self._session = float(event["time"])
        self.finished = 0.0
        self.interrupted = False
        self.loggers.clear()
        self.notes = [n for n in self.notes if not n.startswith(_ENDINGS)]
        self.spans.append(_span("resumed", "resume", float(event["time"]), float(event["time"])))

    def _sweep_finished(self, event: Event) -> None:
        self.finished = float(event["time"])
        self.interrupted = event.get("status") == "interrupted"
        if event.get("status") == "failed":
            _add(self.notes, "the sweep ended with an error; --resume continues it")

    def _teacher_ready(self, event: Event) -> None:
        task, made = str(event["task"]), from_dict(TeacherRecord, event["teacher"])
        self.teachers[task, made.name] = made
        self.tasks[task] = from_dict(TaskRecord, event["record"])
        end = float(event["time"])
        if not made.cached:
            label = f"teacher {made.name} of {task}" if made.name else f"teacher {task}"
            self.spans.append(_span(label, "teacher", end - made.seconds, end))

    def _slot(self, event: Event) -> None:
        slot, state, time = int(event["slot"]), event["state"], float(event["time"])
        self._slot_nodes[slot] = str(event.get("node") or self._slot_nodes.get(slot, ""))
        if state == "starting":
            self._slot_starts[slot] = event
        elif state == "ready" and slot in self._slot_starts:
            start = float(self._slot_starts.pop(slot)["time"])
            self.spans.append(_span(f"slot {slot} start", "slot", start, time, slot))
        elif state == "lost":
            self.spans.append(_span(f"slot {slot} lost", "lost", time, time, slot))

    def _node(self, event: Event) -> None:
        time = float(event["time"])
        self.spans.append(_span(f"node {event['node']} {event['state']}", "node", time, time))

    def _waiting(self, event: Event) -> None:
        time = float(event["time"])
        self.spans.append(_span(str(event["message"]), "waiting", time, time))

    def _trial_started(self, event: Event) -> None:
        """A trial that was cut short begins again as itself: what it reported stands until then."""
        trial = str(event["trial_id"])
        before = self._open.get(trial) or self._cut.get(trial)
        if before is None or before["params"] != event["params"]:
            # A confirm trial of another configuration has the same id.
            self._reports[trial] = []
        self._open[trial] = event
        self.finished_trials.pop(_place(event), None)

    def _trial_report(self, event: Event) -> None:
        """An evaluation; after a retry a trial may repeat some, and the later ones stand."""
        entry = from_dict(Evaluation, event["evaluation"])
        before = self._reports.get(str(event["trial_id"]), ())
        self._reports[str(event["trial_id"])] = [*(e for e in before if e.step < entry.step), entry]

    def _trial_finished(self, event: Event) -> None:
        result = from_dict(TrialResult, event["result"])
        begun = self._open.pop(result.trial_id, None)
        reports = self._reports.get(result.trial_id, [])
        if not result.history and reports:
            result = dataclasses.replace(result, history=tuple(reports))
        if result.status is Status.INTERRUPTED and begun is not None:
            self._cut[result.trial_id] = begun
        else:
            self._reports.pop(result.trial_id, None)
        self.finished_trials[_place(event["result"])] = result

    def _derived_teacher(self, event: Event) -> None:
        place = str(event["task"]), str(event["key"])
        before = self.derived.get(place)
        self.derived[place] = DerivedTeacher(
            task=place[0],
            key=place[1],
            about=str(event["about"]),
            rows=int(event["rows"]) + (before.rows if before else 0),
            seconds=float(event["seconds"]) + (before.seconds if before else 0.0),
            made=int(event["made"]) + (before.made if before else 0),
            by=tuple(event.get("by", ())),
            trials=(*(before.trials if before else ()), str(event["trial_id"])),
        )

    def _stage(self, event: Event) -> None:
        if "lag" in event:
            self.lags[str(event["task"])] = event["lag"]

    def _seed_plan(self, event: Event) -> None:
        """The plan stays what it was before the first seed, also where a resumption repeats it."""
        task = str(event["task"])
        looks, levels = tuple(event["looks"]), tuple(event["levels"])
        self.seed_plans.setdefault(task, SeedPlanRecord(task=task, looks=looks, levels=levels))

    def _seed_look(self, event: Event) -> None:
        task = str(event["task"])
        self.seed_plans[task] = dataclasses.replace(
            self.seed_plans[task], ended=str(event["ended"]), seeds=int(event["seeds"])
        )

    def _logger(self, event: Event) -> None:
        self.loggers[str(event["name"])] = from_dict(LoggerRecord, event)

    def _note(self, event: Event) -> None:
        if event.get("about") == LOGGER_NOTE:
            return  # the records say more
        if event.get("about") == TEACHER_NOTE:
            _add(self.teacher_notes, str(event["message"]))
        elif not event.get("caveat"):  # of what is a caveat, the records say more
            _add(self.notes, str(event["message"]))

    def _cut_short(self, event: Event) -> TrialResult:
        """The record of a trial that started and never ended."""
        trial, arm = str(event["trial_id"]), str(event["arm"])
        method = self.spec["methods"].get(arm, {})
        domains = {**self.spec["train"]["domains"], **method.get("domains", {})}
        history = tuple(self._reports.get(trial, ()))
        slot = int(event.get("slot", -1))
        return TrialResult(
            sweep=self.run,
            task=str(event["task"]),
            arm=arm,
            method=str(method.get("method", arm)),
            trial_id=trial,
            number=int(event["number"]),
            repeat=int(event.get("repeat", 0)),
            stage=str(event["stage"]),
            status=Status.INTERRUPTED,
            params=dict(event["params"]),
            searched=tuple(name for name in event["params"] if name in domains),
            metrics=dict(history[-1].metrics) if history else {},
            history=history,
            started=float(event["time"]),
            seconds=history[-1].seconds if history else 0.0,
            node=self._slot_nodes.get(slot, ""),
            slot=slot,
            error="started and never finished",
        )


def _add(notes: list[str], message: str) -> None:
    if message not in notes:
        notes.append(message)


def _place(trial: Mapping[str, Any]) -> tuple[str, str]:
    """What a later record of a trial replaces: the same trial, begun again.

    After a resumed search, the confirm runs of another configuration have the same ids. They
    replace nothing: the first ones were measured, too.
    """
    is_confirm = trial["stage"] == "confirm"
    params = json.dumps(trial["params"], sort_keys=True, default=str) if is_confirm else ""
    return str(trial["trial_id"]), params


def _span(name: str, kind: str, start: float, end: float, slot: int = -1) -> Mapping[str, Any]:
    return {"name": name, "kind": kind, "start": start, "end": end, "slot": slot}
