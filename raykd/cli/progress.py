"""The progress of a sweep, folded from its events; independent of rendering."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from raykd.params import Scalar, show
from raykd.results.scales import Scale, scale_named, unit_of

Event = Mapping[str, Any]  # one object of the event stream, as plain JSON data
_PHASES = {
    "ask": "asking the teacher",
    "load": "loading the teacher",
    "encode": "tokenising",
    "finetune": "fine-tuning the teacher",
    "record": "recording the teacher's outputs",
    "analyse": "analysing the teacher",
    "write": "writing the teacher's responses",
}


@dataclass(slots=True)
class ArmProgress:
    """One arm on one task.

    Attributes:
        done: Search trials that ended, whatever became of them.
        pruned: How many of them were stopped early.
        failed: How many of them failed.
        confirmed: Confirm runs that were completed.
        lost: Confirm runs that failed.
        best: Best objective, None before the first.
        best_params: Searched parameters of the best.
        since: Trials that ended since the best.
    """

    done: int = 0
    pruned: int = 0
    failed: int = 0
    confirmed: int = 0
    lost: int = 0
    best: float | None = None
    best_params: Mapping[str, Scalar] = field(default_factory=dict)
    since: int = 0


@dataclass(slots=True)
class RunningTrial:
    """A trial that runs now."""

    arm: str
    number: int
    stage: str
    params: Mapping[str, Scalar]
    epoch: float | None = None
    objective: float | None = None


@dataclass(slots=True)
class Preparation:
    """The running step of the preparation of a teacher."""

    task: str
    phase: str
    done: float
    total: float
    unit: str
    detail: str

    def describe(self) -> str:
        """``fine-tuning the teacher of glue/rte``."""
        return f"{_PHASES.get(self.phase, self.phase)} of {self.task}"


@dataclass(slots=True)
class Progress:
    """The state of a sweep.

    Attributes:
        name: Name of the search space.
        tasks: Tasks in order.
        arm_names: Arms in order.
        trials: Search trials per task and arm.
        confirm_runs: Confirm runs per task and arm.
        task: The task at work.
        stage: ``search`` or ``confirm``; empty before.
        started: When the sweep began, seconds since the epoch.
        trials_started: When the first trial began, 0 before.
        arms: By task and arm.
        running: By trial id.
        preparation: The teacher at work, None when there is none.
        teachers: The objective of each prepared teacher on the validation split, None when unknown.
        modes: ``max`` or ``min`` by task.
        scales: How scores are written, by task.
        cluster: The last cluster event.
        slots: State by slot number.
        finished: Status of the sweep, empty before its end.
        lost: Ids of confirm runs that failed.
    """

    name: str = ""
    tasks: tuple[str, ...] = ()
    arm_names: tuple[str, ...] = ()
    trials: int = 0
    confirm_runs: int = 0
    task: str = ""
    stage: str = ""
    started: float = 0.0
    trials_started: float = 0.0
    arms: dict[tuple[str, str], ArmProgress] = field(default_factory=dict)
    running: dict[str, RunningTrial] = field(default_factory=dict)
    preparation: Preparation | None = None
    teachers: dict[str, float | None] = field(default_factory=dict)
    modes: dict[str, str] = field(default_factory=dict)
    scales: dict[str, Scale] = field(default_factory=dict)
    cluster: Mapping[str, Any] = field(default_factory=dict)
    slots: dict[int, str] = field(default_factory=dict)
    finished: str = ""
    lost: set[str] = field(default_factory=set)

    def arm(self, task: str, name: str) -> ArmProgress:
        """The state of one arm."""
        return self.arms.setdefault((task, name), ArmProgress())

    def score(self, task: str, value: float | None) -> str:
        """A score of a task in its unit, as the report writes it; ``-`` when there is none."""
        scale = self.scales.get(task)
        return number(value) if value is None or scale is None else scale.show(value)

    def update(self, event: Event) -> None:
        """Take in one event; kinds that say nothing about progress are passed over."""
        handler = _HANDLERS.get(event["event"])
        if handler is not None:
            handler(self, event)

    @property
    def ended(self) -> int:
        """Search trials and confirm runs that ended."""
        return sum(arm.done + arm.confirmed + arm.lost for arm in self.arms.values())

    @property
    def planned(self) -> int:
        """All search trials and confirm runs."""
        return (self.trials + self.confirm_runs) * len(self.tasks) * len(self.arm_names)

    def seconds_left(self, now: float) -> float | None:
        """A guess from the pace so far; None before the first trial ended."""
        if not self.ended or not self.trials_started:
            return None
        pace = (now - self.trials_started) / self.ended
        return max(pace * (self.planned - self.ended), 0.0)

    def _sweep_started(self, event: Event) -> None:
        self.name = event["name"]
        self.tasks, self.arm_names = tuple(event["tasks"]), tuple(event["arms"])
        self.trials, self.confirm_runs = event["trials"], event["confirm_runs"]
        self.started = event["time"]
        self.task = self.tasks[0] if self.tasks else ""

    def _cluster(self, event: Event) -> None:
        self.cluster = event

    def _teacher_progress(self, event: Event) -> None:
        self.task = event["task"]
        self.preparation = Preparation(
            task=event["task"], phase=event["phase"], done=event["done"], total=event["total"],
            unit=event.get("unit", ""), detail=event.get("detail", ""),
        )  # fmt: skip

    def _teacher_ready(self, event: Event) -> None:
        self.preparation = None
        task, record = event["task"], event["record"]
        self.modes[task] = record["mode"]
        metric = record["metric"]
        unit = unit_of(metric, record.get("units") or {}) or unit_of(metric)
        self.scales[task] = scale_named(unit, metric)
        self.teachers[task] = event["teacher"]["metrics"].get(f"validation/{record['metric']}")

    def _slot(self, event: Event) -> None:
        self.slots[event["slot"]] = event["state"]

    def _stage(self, event: Event) -> None:
        self.stage, self.task = event["stage"], event["task"]

    def _trial_started(self, event: Event) -> None:
        self.trials_started = self.trials_started or event["time"]
        self.task, self.stage = event["task"], event["stage"]
        if event["trial_id"] in self.lost:  # a confirm run that failed is run once more
            self.lost.discard(event["trial_id"])
            self.arm(event["task"], event["arm"]).lost -= 1
        self.running[event["trial_id"]] = RunningTrial(
            event["arm"], event["number"], event["stage"], event["params"]
        )

    def _trial_report(self, event: Event) -> None:
        trial = self.running.get(event["trial_id"])
        if trial is not None:
            trial.epoch, trial.objective = event["evaluation"]["epoch"], event["objective"]

    def _trial_finished(self, event: Event) -> None:
        result = event["result"]
        self.running.pop(result["trial_id"], None)
        arm = self.arm(result["task"], result["arm"])
        if result["status"] == "interrupted":
            return
        if result["stage"] == "confirm":
            arm.confirmed += result["status"] != "failed"
            if result["status"] == "failed":
                arm.lost += 1
                self.lost.add(result["trial_id"])
            return
        arm.done += 1
        arm.since += 1
        arm.pruned += result["status"] == "pruned"
        arm.failed += result["status"] == "failed"
        value = result["objective"]
        counts = result["status"] != "failed" and not result.get("violated")
        if value is not None and counts and self._better(result, arm):
            arm.best, arm.since = value, 0
            arm.best_params = {k: result["params"][k] for k in result["searched"]}

    def _better(self, result: Mapping[str, Any], arm: ArmProgress) -> bool:
        if arm.best is None:
            return True
        smaller = self.modes.get(result["task"]) == "min"
        return bool(result["objective"] < arm.best if smaller else result["objective"] > arm.best)

    def _sweep_finished(self, event: Event) -> None:
        self.finished = event["status"]
        self.running.clear()
        self.preparation = None


_HANDLERS = {
    "sweep_started": Progress._sweep_started,
    "cluster": Progress._cluster,
    "teacher_progress": Progress._teacher_progress,
    "teacher_ready": Progress._teacher_ready,
    "slot": Progress._slot,
    "stage": Progress._stage,
    "trial_started": Progress._trial_started,
    "trial_report": Progress._trial_report,
    "trial_finished": Progress._trial_finished,
    "sweep_finished": Progress._sweep_finished,
}


def describe_cluster(event: Event) -> str:
    """``cluster of 2 nodes: 1 slot on 10.0.0.1, 4 slots on 10.0.0.2; 3 more are wanted``."""
    where = [f"{_slots(n['slots'])} on {n['node']}" for n in event["where"] if n["slots"]]
    text = f"cluster of {event['nodes']} nodes: " + (", ".join(where) or _slots(event["slots"]))
    missing = event["wanted"] - event["slots"]
    return text + (f"; {missing} more are wanted" if missing > 0 else "")


def describe_node(event: Event) -> str:
    """``node 10.0.0.2 was lost, and its 4 slots with it``."""
    slots = len(event["slots"])
    if event["state"] == "lost":
        return f"node {event['node']} was lost" + (
            f", and its {_slots(slots)} with it" if slots else ""
        )
    return f"node {event['node']} joined" + (f", and holds {_slots(slots)}" if slots else "")


def _slots(count: int) -> str:
    return f"{count} slot" + ("" if count == 1 else "s")


def number(value: float | None) -> str:
    """A score or coefficient in four digits, ``-`` when there is none."""
    return "-" if value is None else f"{value:.4g}"


def parameters(values: Mapping[str, Scalar]) -> str:
    """``alpha 0.71  wrdist 12.3``."""
    texts = {k: number(v) if isinstance(v, float) else show(v) for k, v in values.items()}
    return "  ".join(f"{name} {text}" for name, text in texts.items())


def duration(seconds: float) -> str:
    """``04:12:07``."""
    whole = int(max(seconds, 0))
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}"


def time_left(seconds: float) -> str:
    """``about 3 min left``, ``less than a minute left``."""
    left = f"{about(seconds)} left"
    return left if left.startswith("less") else f"about {left}"


def about(seconds: float) -> str:
    """A rough duration in words: ``1 h 50 min``, ``3 min``, ``less than a minute``."""
    minutes = round(seconds / 60)
    if minutes < 1:
        return "less than a minute"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
