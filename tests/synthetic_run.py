"""A synthetic run folder with everything a real one has, written through the public records."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from raykd.results.records import Evaluation, Status, TaskRecord, TeacherRecord, TrialResult
from raykd.results.serialization import to_dict
from raykd.results.store import VERSION, write_trials
from raykd.spec.domains import Domain
from raykd.spec.schema import ArmSpec, ParameterSpec, StudentSpec, SweepSpec, TeacherSpec
from raykd.spec.schema_stages import ConfirmSpec, ReportSpec, SearchSpec

START = 1_768_383_012.0
HOSTILE = "<script>alert('x')</script>&\"<b>"
SEEDS = (11, 12, 13, 14, 15)
METRIC = "accuracy"
EPOCHS = 4

# arm -> (confirmed mean per task, spread of the search)
QUALITY = {"none": (0.660, 0.81), "kd": (0.694, 0.835), "ckd": (0.712, 0.841)}


def spec(name: str = "ckd_glue", trials: int = 12) -> SweepSpec:
    """Three arms on two tasks, with a conditional domain and every kind of distribution."""
    log = {"kind": "loguniform", "low": 0.1, "high": 1000.0}
    methods = {
        "none": ArmSpec(name="none", method="none"),
        "kd": ArmSpec(
            name="kd",
            method="kd",
            domains={
                "alpha": Domain(kind="uniform", low=0.1, high=0.9),
                "temperature": Domain(kind="choice", choices=(1, 2, 4, 8)),
            },
        ),
        "ckd": ArmSpec(
            name="ckd",
            method="ckd",
            fixed={"layers": HOSTILE},
            domains={
                "wrdist": Domain(**log),
                "window": Domain(kind="int", low=5, high=41),
                "angles": Domain(kind="choice", choices=(True, False)),
                "wrangle": Domain(**log, when={"angles": True}),
                "matching": Domain(kind="choice", choices=("emb+skip", HOSTILE)),
            },
        ),
    }
    return SweepSpec(
        name=name,
        description=f"A synthetic sweep {HOSTILE}",
        tasks=("glue/rte", "glue/mrpc"),
        teacher=TeacherSpec(model="tiny"),
        student=StudentSpec(model="tinier"),
        train=ParameterSpec(
            fixed={"epochs": EPOCHS},
            domains={"lr": Domain(kind="loguniform", low=1e-5, high=1e-4)},
        ),
        methods=methods,
        search=SearchSpec(trials=trials),
        confirm=ConfirmSpec(seeds=SEEDS),
        report=ReportSpec(baseline="kd"),
    )


class Builder:
    """Writes the files and events of a run one by one.

    Args:
        folder: The run folder, made here.
        search_space: What was swept.
        env: Entries that replace those of ``env.json``.
    """

    def __init__(
        self, folder: Path, search_space: SweepSpec | None = None, env: Mapping[str, Any] = {}
    ) -> None:
        self.folder = folder
        self.spec = search_space or spec()
        self.clock = START
        self.trials: list[TrialResult] = []
        self.confirmed: dict[tuple[str, str, int], dict[str, Any]] = {}
        self.random = random.Random(7)
        (folder / "teachers").mkdir(parents=True)
        (folder / "resolved.json").write_text(json.dumps(self.spec.as_dict()))
        (folder / "resolved.yaml").write_text(f"name: {self.spec.name}  # {HOSTILE}\n")
        (folder / "spec.yaml").write_text(f"name: {self.spec.name}\n")
        plain = {
            "version": VERSION,
            "command": f"raykd sweep search_spaces/{self.spec.name}.yaml",
            "baseline": "kd",
            "started": START,
            "git": "0123abcd",
            "packages": {"raykd": "0.1.0", "torch": "2.13.0"},
            "host": f"node-1 {HOSTILE}",
            "devices": ["H200"],
            **env,
        }
        (folder / "env.json").write_text(json.dumps(plain))
        (folder / "events.jsonl").touch()

    def event(self, kind: str, **fields: Any) -> None:
        """Append one event."""
        line = json.dumps({"time": self.clock, "event": kind, **fields})
        with (self.folder / "events.jsonl").open("a") as file:
            file.write(line + "\n")

    def start(self) -> None:
        """The sweep begins and two slots come up."""
        self.event("sweep_started", name=self.spec.name, run=self.folder.name,
                   tasks=list(self.spec.tasks), arms=list(self.spec.methods),
                   trials=self.spec.search.trials, confirm_runs=len(SEEDS))  # fmt: skip
        self.event("cluster", nodes=1, cpus=4, gpus=1, slots=2)
        for slot in (0, 1):
            self.event("slot", slot=slot, state="starting", node="node-1")
        self.clock += 15
        for slot in (0, 1):
            self.event("slot", slot=slot, state="ready", node="node-1")

    def teacher(self, task: str, score: float = 0.726, **changes: Any) -> None:
        """A teacher is ready."""
        self.clock += 90
        record = TaskRecord(**{
            "name": task, "metric": METRIC, "mode": "max", "metrics": (METRIC, "f1"),
            "rows": {"teacher": 10_000, "train": 1_000, "validation": 249, "test": 277},
            "select_on": "10 % of train", "report_on": "validation", "data_fingerprint": "d4ta",
            "truncated": 3, "student": "bert 6x384", "student_parameters": 11_000_000,
            **{k: v for k, v in changes.items() if k in TaskRecord.__dataclass_fields__},
        })  # fmt: skip
        teacher = TeacherRecord(
            task=task, model=f"BERT {HOSTILE}", fingerprint=changes.get("fingerprint", "feed"),
            rows=10_000, metrics={f"test/{METRIC}": score, f"validation/{METRIC}": score + 0.01},
            parameters=110_000_000, forwards=1249, distinct=1249, store_bytes=5_400_000,
            stored={"logits": 20_000, "hidden_states": 5_380_000}, seconds=80.0, cached=False,
            precision_error=changes.get("precision_error", {}),
            frozen_precision=changes.get("frozen_precision", ""),
        )  # fmt: skip
        self.event("teacher_ready", task=task, teacher=to_dict(teacher), record=to_dict(record))
        path = self.folder / "teachers" / f"{task.replace('/', '-')}.json"
        path.write_text(json.dumps({"teacher": to_dict(teacher), "record": to_dict(record)}))

    def draw(self, arm: str) -> dict[str, Any]:
        """Parameters from the domains of an arm, conditions respected."""
        values: dict[str, Any] = dict(self.spec.train.fixed)
        for name, d in {**self.spec.train.domains, **self.spec.methods[arm].domains}.items():
            if not d.active(values):
                continue
            if d.kind == "choice":
                values[name] = self.random.choice(d.choices)
            elif d.kind in ("int", "logint"):
                values[name] = self.random.randint(int(d.low), int(d.high))
            elif d.kind == "loguniform":
                values[name] = math.exp(self.random.uniform(math.log(d.low), math.log(d.high)))
            else:
                values[name] = self.random.uniform(d.low, d.high)
        return {**values, **self.spec.methods[arm].fixed}

    def trial(
        self,
        task: str,
        arm: str,
        number: int,
        status: Status = Status.COMPLETED,
        objective: float | None = 0.7,
        params: Mapping[str, Any] | None = None,
        confirm_seed: int | None = None,
        test: float | None = None,
        **changes: Any,
    ) -> TrialResult:
        """One trial from its start to its end, with its evaluations."""
        confirm = confirm_seed is not None
        tail = f"c{number}.{confirm_seed}" if confirm else f"s{number:03d}"
        trial_id = f"{task.replace('/', '-')}.{arm}.{tail}"
        stage, slot = ("confirm" if confirm else "search"), number % 2
        if params is None and confirm:  # all seeds of a configuration have its parameters
            params = self.confirmed.setdefault((task, arm, number), self.draw(arm))
        values = dict(params if params is not None else self.draw(arm))
        self.event("trial_started", trial_id=trial_id, task=task, arm=arm, number=number,
                   stage=stage, params=values, slot=slot)  # fmt: skip
        epochs = {Status.COMPLETED: EPOCHS, Status.PRUNED: 2}.get(status, 1)
        history = tuple(self._evaluation(e, objective) for e in range(1, epochs + 1))
        for evaluation in history:
            self.event(
                "trial_report",
                trial_id=trial_id,
                task=task,
                arm=arm,
                stage=stage,
                objective=evaluation.metrics[METRIC],
                evaluation=to_dict(evaluation),
            )
        metrics = dict(history[-1].metrics)
        if test is not None:
            metrics[f"test/{METRIC}"] = test
        domains = {**self.spec.train.domains, **self.spec.methods[arm].domains}
        fields = {
            "sweep": self.folder.name, "task": task, "arm": arm, "method": arm,
            "trial_id": trial_id, "number": number, "stage": stage, "status": status,
            "params": values, "searched": tuple(n for n in domains if n in values),
            "seed": confirm_seed or 1000 + number,
            "objective": None if status is Status.FAILED else objective,
            "metrics": metrics, "history": history, "started": self.clock,
            "seconds": 20.0 * epochs, "device_seconds": 20.0 * epochs, "node": "node-1",
            "slot": slot, **changes,
        }  # fmt: skip
        result = TrialResult(**fields)
        self.clock += 1 if slot == 0 else result.seconds
        self.event("trial_finished", result=to_dict(result))
        self.trials.append(result)
        return result

    def _evaluation(self, epoch: int, objective: float | None) -> Evaluation:
        target = 0.6 if objective is None else objective
        value = target - 0.05 * (EPOCHS - epoch) / EPOCHS if epoch < EPOCHS else target
        return Evaluation(
            step=30 * epoch, epoch=float(epoch), seconds=20.0 * epoch,
            metrics={METRIC: value, "f1": value - 0.02},
            terms={"task": 0.7 / epoch, "distil": 3.0 / epoch, "loss": 3.7 / epoch},
        )  # fmt: skip

    def finish(self, status: str = "done") -> None:
        """The sweep ends and the table is written."""
        self.clock += 100
        self.event("sweep_finished", status=status, seconds=self.clock - START)
        write_trials(self.folder, self.trials)


def write_run(folder: Path, search_space: SweepSpec | None = None, **env: Any) -> Builder:
    """A whole run: pruned and failed trials, five confirm seeds, a clear winner."""
    builder = Builder(folder, search_space, env)
    builder.start()
    for place, task in enumerate(builder.spec.tasks):
        builder.teacher(task, score=(0.726, 0.85)[place])
        for arm in builder.spec.methods:
            _search(builder, task, arm, place)
        builder.event("stage", stage="confirm", task=task)
        for arm in builder.spec.methods:
            _confirm(builder, task, arm, place)
    builder.event("note", message=f"a setting was ignored {HOSTILE}")
    builder.finish()
    return builder


def _search(builder: Builder, task: str, arm: str, place: int) -> None:
    mean = QUALITY[arm][place]
    for number in range(builder.spec.search.trials):
        score = mean + builder.random.gauss(-0.015, 0.02)
        if number % 4 == 3:
            builder.trial(task, arm, number, Status.PRUNED, score - 0.05)
        elif arm == "ckd" and number in (5, 9):
            error = f"RuntimeError: CUDA out of memory at step {number} {HOSTILE}"
            builder.trial(task, arm, number, Status.FAILED, None, error=error,
                          traceback=f"Traceback (most recent call last):\n{error}")  # fmt: skip
        else:
            builder.trial(task, arm, number, objective=score)


def _confirm(builder: Builder, task: str, arm: str, place: int) -> None:
    mean = QUALITY[arm][place]
    best = max(
        (t for t in builder.trials if (t.task, t.arm, t.status) == (task, arm, "completed")),
        key=lambda t: t.objective or 0.0,
    )
    for k, seed in enumerate(SEEDS):
        shared = (-0.012, 0.004, 0.010, -0.006, 0.003)[k]
        value = mean + shared + builder.random.gauss(0, 0.004)
        builder.trial(task, arm, 0, objective=value, params=best.params, confirm_seed=seed,
                      test=value)  # fmt: skip
