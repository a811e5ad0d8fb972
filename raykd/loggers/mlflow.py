"""MLflow: a run for the sweep, and a nested run for each trial, at a server or in a database."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from raykd.loggers.base import LoggedTrial, Logger, Memory, Scores, SweepEnd, TrialEnd
from raykd.params import Scalar, param, show

if TYPE_CHECKING:
    pass

_MOST = 100
"""Parameters or tags of a request."""
_STATUS = {"completed": "FINISHED", "pruned": "KILLED", "failed": "FAILED", "interrupted": "KILLED",
           "done": "FINISHED"}  # fmt: skip
_PARENT = "mlflow.parentRunId"
_KEY = "raykd.trial"
_OTHER = re.compile(r"[^\w\-. :/]")
"""What names of metrics, parameters and tags may not hold."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Params:
    """Where the runs go."""

    uri: str | None = param(
        None,
        help="Address of the server or of the database; null = what MLFLOW_TRACKING_URI says, or "
        "MLflow's default. User and password go into MLFLOW_TRACKING_USERNAME and _PASSWORD.",
    )
    experiment: str = param("raykd", help="Name of the experiment; made where there is none.")


class MlflowLogger(Logger[Params]):
    """Scores are metrics of the trial's run, by step; the verdicts are the note of the sweep's run.

    A resumed sweep continues in the same runs. What is logged twice is there once: a metric is
    identified by its step and its time, which are those of the event.
    """

    needs = "mlflow"
    extra = "mlflow"

    def connect(self, memory: Memory) -> None:
        """Make the run of the sweep, or continue it."""
        # One try a call is enough, as a call that failed is made again; its own tries take minutes.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
        os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
        from mlflow.tracking import MlflowClient, get_tracking_uri

        for noisy in ("alembic", "mlflow"):  # they write into the live view
            logging.getLogger(noisy).setLevel(logging.ERROR)
        self._uri = self.params.uri or str(get_tracking_uri())
        self._client = MlflowClient(tracking_uri=self._uri)
        self._experiment = self._experiment_id()
        self._runs: dict[str, str] = {}
        self._parent = str(memory.get("run", ""))
        if self._parent:
            self._client.update_run(self._parent, status="RUNNING")
            return
        tags = {"raykd.run": self.sweep.run}
        made = self._client.create_run(self._experiment, tags=tags, run_name=self.sweep.run)
        self._parent = made.info.run_id
        self._batch(self._parent, params=self.sweep.settings)

    def trial_started(self, trial: LoggedTrial) -> None:
        """Its run, nested in that of the sweep."""
        run = self._run_of(trial)
        self._client.update_run(run, status="RUNNING")
        tags = {"task": trial.task, "arm": trial.arm, "stage": trial.stage,
                "number": str(trial.number)}  # fmt: skip
        self._batch(run, params=trial.params, tags=tags)

    def scores(self, scores: Scores) -> None:
        """Metrics at a step."""
        run = self._parent if scores.trial is None else self._run_of(scores.trial)
        self._batch(run, metrics=scores.values, time=scores.time, step=scores.step)

    def trial_finished(self, end: TrialEnd) -> None:
        """Metrics that only the end has, and its status."""
        run = self._run_of(end.trial)
        last = {n: v for n, v in end.metrics.items() if not n.startswith("validation/")}
        tags = {"status": end.status, **({"error": end.error} if end.error else {})}
        self._batch(
            run, metrics={**last, "seconds": end.seconds}, time=end.time, step=end.step, tags=tags
        )
        self._client.set_terminated(run, _STATUS.get(end.status, "FAILED"), _milliseconds(end.time))
        self._runs.pop(end.trial.key, None)

    def sweep_finished(self, end: SweepEnd) -> None:
        """The verdicts, and the status of the sweep."""
        verdicts = {f"verdict.{task}": text for task, text in end.verdicts.items()}
        note = "\n\n".join(f"**{task}**: {text}" for task, text in end.verdicts.items())
        self._batch(self._parent, tags={**verdicts, "mlflow.note.content": note})
        self._client.set_terminated(
            self._parent, _STATUS.get(end.status, "FAILED"), _milliseconds(end.time)
        )

    def memory(self) -> Memory:
        """The run of the sweep."""
        return {"run": self._parent}

    @property
    def place(self) -> str:
        """The server, the experiment and the run."""
        return f"{self._uri}, experiment {self.params.experiment}, run {self._parent}"

    def _experiment_id(self) -> str:
        experiment = self._client.get_experiment_by_name(self.params.experiment)
        if experiment is not None:
            return str(experiment.experiment_id)
        return str(self._client.create_experiment(self.params.experiment))

    def _run_of(self, trial: LoggedTrial) -> str:
        """The run of a trial: one that is known, one of an earlier driver, or a new one."""
        if trial.key not in self._runs:
            where = f"tags.`{_PARENT}` = '{self._parent}' and tags.`{_KEY}` = '{trial.key}'"
            runs = self._client.search_runs([self._experiment], where, max_results=1)
            made = runs[0] if runs else self._new(trial)
            self._runs[trial.key] = made.info.run_id
        return self._runs[trial.key]

    def _new(self, trial: LoggedTrial) -> Any:  # MLflow's run
        return self._client.create_run(
            self._experiment,
            start_time=_milliseconds(trial.time),
            tags={_PARENT: self._parent, _KEY: trial.key},
            run_name=trial.key,
        )

    def _batch(
        self,
        run: str,
        *,
        metrics: Mapping[str, float] | None = None,
        time: float = 0.0,
        step: int = 0,
        params: Mapping[str, Scalar] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        from mlflow.entities import Metric, Param, RunTag

        when = _milliseconds(time)
        named = [Metric(_name(n), v, when, step) for n, v in (metrics or {}).items()]
        tagged = [RunTag(_name(n), v) for n, v in (tags or {}).items()]
        if named or tagged:
            self._client.log_batch(run, metrics=named, tags=tagged)
        for part in _parts([Param(_name(n), show(v)) for n, v in (params or {}).items()]):
            self._client.log_batch(run, params=part)


def _parts(items: list[Any]) -> Iterable[list[Any]]:
    return (items[begin : begin + _MOST] for begin in range(0, len(items), _MOST))


def _name(text: str) -> str:
    return _OTHER.sub("_", text)


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


LOGGER = MlflowLogger
