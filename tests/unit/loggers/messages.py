"""What loggers receive in their tests, through the delivery of a sweep."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from raykd import params, registry
from raykd.loggers.base import Logger, Sweep
from raykd.loggers.delivery import LoggerDelivery
from raykd.loggers.feed import LoggerFeed
from raykd.results.logger_record import LoggerRecord
from tests.synthetic_run import EPOCHS as POINTS
from tests.synthetic_run import Builder

TASK = "glue/rte"
SEARCHED, CONFIRMED = "glue-rte.kd.s000", "glue-rte.kd.c0.1"
SETTINGS = {"search.trials": 12, "tasks": '["glue/rte"]', "confirm.top_k": 1}
VERDICT = "kd is better than none by 3.1 points."


def logger_of(name: str, run: Path, **given: Any) -> Logger[Any]:
    """A logger of a run folder, with some parameters."""
    kind: type[Logger[Any]] = registry.load("loggers", name)
    folder = run / "loggers" / name
    folder.mkdir(parents=True, exist_ok=True)
    sweep = Sweep(name="glue", run=run.name, folder=folder, settings=SETTINGS)
    return kind(params.build(registry.params_of("loggers", name), given), sweep)


def deliver(name: str, run: Path, **given: Any) -> LoggerRecord:
    """Tell a logger what stands in the log of a run and was not told yet."""
    off: list[str] = []
    record = attempt(name, run, off, **given)
    assert off == [], off
    return record


def attempt(name: str, run: Path, off: list[str], **given: Any) -> LoggerRecord:
    """The same of a logger that may be down; why it was switched off goes to `off`."""
    logger = logger_of(name, run, **given)
    delivery = LoggerDelivery(
        name, lambda: logger, run / "events.jsonl", LoggerFeed(with_steps=True),
        run / "loggers" / f"{name}.json", off.append, (),
    )  # fmt: skip
    delivery.start()
    delivery.end()
    return delivery.finish(60.0)


class Sweeping:
    """A sweep of two sessions: a search trial, then a confirm run and the verdict."""

    def __init__(self, folder: Path) -> None:
        self.run = folder / "glue-20260101-000000"
        self.builder = Builder(self.run)

    def first(self) -> None:
        """The teacher and a trial, with step metrics; a second trial begins."""
        self.builder.teacher(TASK)
        trial = self.builder.trial(TASK, "kd", 0, params={"lr": 1e-4, "temperature": 2})
        assert (trial.trial_id, len(trial.history)) == (SEARCHED, POINTS)
        self.steps(SEARCHED, 10)
        self.begin()

    def begin(self) -> None:
        """A trial begins, or begins again."""
        self.builder.event(
            "trial_started", trial_id="glue-rte.kd.s001", task=TASK, arm="kd", number=1,
            stage="search", params={"lr": 2e-4}, slot=0,
        )  # fmt: skip
        self.steps("glue-rte.kd.s001", 10)

    def steps(self, trial_id: str, step: int) -> None:
        """Step metrics of a trial."""
        self.builder.event(
            "trial_steps", trial_id=trial_id, step=step, terms={"loss": 3.0, "task": 1.0},
            values={"lr": 1e-4, "gradient_norm": 0.5, "tokens_per_s": 900.0, "memory_gib": 0.5},
        )  # fmt: skip

    def second(self) -> None:
        """The trial continues, fails, and a confirm run and the verdict follow."""
        self.begin()
        self.steps("glue-rte.kd.s001", 20)
        self.builder.event("trial_finished", result={
            "trial_id": "glue-rte.kd.s001", "status": "failed", "seconds": 2.0, "metrics": {},
            "error": "loss became NaN",
        })  # fmt: skip
        params = {"lr": 1e-4, "temperature": 2}
        self.builder.trial(TASK, "kd", 0, params=params, confirm_seed=1, test=0.64)
        self.builder.event("verdicts", status="done", verdicts={TASK: VERDICT})
