"""The events of a small sweep: one task, two arms, two trials each, one confirm run."""

from __future__ import annotations

from typing import Any

START = 1000.0


def event(kind: str, after: float, **what: Any) -> dict[str, Any]:
    return {"event": kind, "time": START + after, **what}


def result(arm: str, number: int, status: str, objective: float | None, **other: Any) -> dict:
    return {
        "task": "glue/rte", "arm": arm, "trial_id": f"glue-rte.{arm}.s{number:03}",
        "number": number, "stage": "search", "status": status, "searched": ["alpha"],
        "params": {"alpha": 0.71234, "epochs": 4}, "objective": objective, "error": "", **other,
    }  # fmt: skip


BEGIN = [
    event("sweep_started", 0, name="small", run="small-1", folder="runs/small-1",
          tasks=["glue/rte"], arms=["kd", "none"], trials=2, confirm_runs=1),
    event("cluster", 1, nodes=1, cpus=8, gpus=0, slots=2),
    event("slot", 2, slot=0, state="ready", node="n1"),
    event("slot", 2, slot=1, state="ready", node="n1"),
]  # fmt: skip
TEACHER = [
    event("teacher_progress", 3, task="glue/rte", phase="finetune", done=10, total=40,
          unit="steps", detail="accuracy 0.6"),
    event("teacher_progress", 4, task="glue/rte", phase="finetune", done=20, total=40,
          unit="steps", detail="accuracy 0.7"),
]  # fmt: skip
READY = [
    event("teacher_ready", 10, task="glue/rte",
          teacher={"metrics": {"validation/accuracy": 0.726}, "cached": False},
          record={"metric": "accuracy", "mode": "max"}),
    event("stage", 10, stage="search", task="glue/rte"),
    event("trial_started", 10, trial_id="glue-rte.kd.s000", task="glue/rte", arm="kd", number=0,
          stage="search", params={"alpha": 0.71234, "epochs": 4}, slot=0),
    event("trial_report", 15, trial_id="glue-rte.kd.s000", task="glue/rte", arm="kd",
          stage="search", objective=0.65,
          evaluation={"step": 5, "epoch": 2.0, "seconds": 5.0, "metrics": {}, "terms": {}}),
]  # fmt: skip
TRIALS = [
    event("trial_finished", 20, result=result("kd", 0, "completed", 0.7)),
    event("trial_finished", 40, result=result("kd", 1, "failed", None, error="boom [x]")),
    event("trial_finished", 50, result=result("none", 0, "pruned", 0.6)),
]
END = [
    event("note", 51, message="[bold] was ignored"),
    event("sweep_finished", 100, status="completed", seconds=100.0, report="r.html", run="small-1"),
]
EVERYTHING = [*BEGIN, *TEACHER, *READY, *TRIALS, *END]
