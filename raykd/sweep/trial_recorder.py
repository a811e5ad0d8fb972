"""Launches the jobs of trials and records how they start, are evaluated and end."""

from __future__ import annotations

import dataclasses
import math
import os
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from raykd.params import Scalar
from raykd.results.event_log import EventLog
from raykd.results.records import Evaluation, Status, TrialResult
from raykd.results.row_outcomes import write_row_outcomes
from raykd.results.serialization import from_dict, to_dict
from raykd.search.arms import ArmsRecorder
from raykd.sweep.arm_studies import ArmStudy
from raykd.sweep.trial_states import drop_states
from raykd.task_setup.train_checks import batch_wide
from raykd.training.settings import AUTO
from raykd.trial.coordinator import answer
from raykd.trial.run import TrialConfig
from raykd.trial.unread import unread
from raykd.trial.worker import TrialJob
from raykd.whole_file import reason

_ERROR_LINES = 40


@dataclasses.dataclass(slots=True)
class _Running:
    config: TrialConfig
    searched: tuple[str, ...]
    submitted: float
    again: bool = False
    lease: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    history: list[Evaluation] = dataclasses.field(default_factory=list)


class TrialRecorder:
    """Launches jobs and turns their events into `TrialResult` records in the event log.

    Args:
        coordinator: Handle of the coordinator actor.
        log: The event log.
        run: The run folder.
        devices: Devices a trial holds.
        max_failures: Times a trial may lose its worker before it counts as failed.
        cut_short: Ids of trials that began under an earlier driver and have no end.

    Attributes:
        precision: What a setting of ``precision`` means for the students of a task.
    """

    precision: Callable[[str, str], str] = staticmethod(lambda wanted, task: wanted)

    def __init__(
        self,
        coordinator: Any,
        log: EventLog,
        run: Path,
        devices: float,
        max_failures: int,
        cut_short: frozenset[str] = frozenset(),
    ) -> None:
        self._coordinator = coordinator
        self._log = log
        self._run = run
        self.devices = devices
        self._max_failures = max_failures
        self._cut_short = cut_short
        self._running: dict[str, _Running] = {}
        self._keeps_states = False
        self._noted: set[tuple[str, str, int]] = set()
        self._lock = threading.RLock()

    def launch(
        self, config: TrialConfig, searched: tuple[str, ...], key: str, *, again: bool = False
    ) -> None:
        """Submit the job of a trial to the coordinator.

        Args:
            config: What to train.
            searched: Names of parameters that were searched.
            key: Fingerprint under which workers find the teacher.
            again: Whether it was run before and failed.
        """
        config = self._resolved(config)
        is_retry = again or config.trial_id in self._cut_short
        self._running[config.trial_id] = _Running(config, searched, time.time(), is_retry)
        job = unread(TrialJob(config=config, key=key))
        answer(self._coordinator.submit.remote(config.trial_id, job, self._max_failures, again))

    def _resolved(self, config: TrialConfig) -> TrialConfig:
        """The configuration with the number format that ``precision: auto`` means in this sweep.

        The saved state of a trial is of one format; where that differs, it starts again.
        """
        wanted = str(config.train.get("precision", "auto"))
        precision = self.precision(wanted, config.task)
        path = config.state_path
        if path is not None and wanted == "auto":
            path = path.removesuffix(".safetensors") + f".{precision}.safetensors"
        return dataclasses.replace(config, precision=precision, state_path=path)

    def leased(self, notification: Mapping[str, Any]) -> None:
        """A slot has taken a job; called from the thread that listens to the coordinator."""
        with self._lock:
            running = self._running.get(notification["job"])
            if running is not None:
                self._begin(running, notification)

    def _begin(self, running: _Running, lease: Mapping[str, Any]) -> None:
        """Record the start of a trial, once for each lease."""
        if running.lease.get("attempt") == lease["attempt"]:
            return
        running.lease = lease
        config = running.config
        self._log.emit(
            "trial_started",
            trial_id=config.trial_id,
            task=config.task,
            arm=config.arm,
            number=config.number,
            repeat=config.repeat,
            stage=config.stage,
            params={**config.coefficients, **config.train},
            slot=lease["slot"],
            # The retry of a trial that was cut short is that trial, with its number and seed.
            **({"retry_of": config.trial_id} if running.again else {}),
        )

    def evaluated(self, trial_id: str, event: Mapping[str, Any], metric: str) -> None:
        """Record the evaluation in an event of a job.

        After a retry a trial may repeat evaluations; the later ones stand.
        """
        running = self._running[trial_id]
        with self._lock:
            self._begin(running, event["lease"])
        entry = from_dict(Evaluation, event["evaluation"])
        self._note_micro_batch(running.config, entry)
        running.history = [e for e in running.history if e.step < entry.step]
        running.history.append(entry)
        config = running.config
        self._log.emit(
            "trial_report",
            trial_id=trial_id,
            task=config.task,
            arm=config.arm,
            stage=config.stage,
            objective=entry.metrics.get(metric),
            evaluation=to_dict(entry),
        )

    def _note_micro_batch(self, config: TrialConfig, evaluation: Evaluation) -> None:
        """Say that memory ran out in a trial, once for each arm and size."""
        size = evaluation.micro_batch
        place = (config.task, config.arm, size)
        if not size or config.train.get("micro_batch", AUTO) != AUTO or place in self._noted:
            return
        self._noted.add(place)
        changes = batch_wide(config.method)
        self._log.emit(
            "note",
            message=f"{config.trial_id}: memory ran out; a pass now has {size:,} rows at most, and "
            "a step more of them" + (f" ({changes})" if changes else ""),
        )

    def finished(
        self, trial_id: str, status: Status, event: Mapping[str, Any] | None, metric: str
    ) -> TrialResult:
        """Record the end of a trial."""
        event = event or {}
        with self._lock:
            running = self._running.pop(trial_id)
            if event.get("lease"):
                self._begin(running, event["lease"])
        config, lease = running.config, running.lease
        last = running.history[-1] if running.history else None
        metrics = dict(event.get("metrics") or (last.metrics if last else {}))
        micro_batch = last.micro_batch if last else 0
        started = float(lease.get("time", running.submitted))
        seconds = float(event.get("seconds") or time.time() - started)
        params = {**config.coefficients, **config.train}
        result = TrialResult(
            sweep=self._run.name,
            task=config.task,
            arm=config.arm,
            method=config.method,
            trial_id=trial_id,
            number=config.number,
            repeat=config.repeat,
            stage=config.stage,
            status=status,
            params=params,
            searched=running.searched,
            seed=config.seed,
            objective=_finite(metrics.get(metric)) if status is not Status.FAILED else None,
            metrics=metrics,
            history=tuple(running.history),
            started=started,
            seconds=seconds,
            device_seconds=seconds * self.devices,
            node=str(lease.get("node", "")),
            slot=int(lease.get("slot", -1)),
            attempts=max(1, int(lease.get("attempt", 1))),
            error=" = ".join(str(event[k]) for k in ("error", "hint") if event.get(k)),
            traceback="\n".join(str(event.get("traceback", "")).splitlines()[-_ERROR_LINES:]),
            checkpoint=os.path.relpath(config.save_path, self._run) if config.save_path else "",
            precision=config.precision,
            # Before the end is on record, which a run is not repeated after.
            row_outcomes=self._kept_rows(trial_id, params, event),
            micro_batch=micro_batch,
            batch_wide=batch_wide(config.method) if micro_batch else "",
            control=bool(event.get("control")),
            spared=float(event.get("spared", 0.0)),
            violated=tuple(event.get("violated", ())),
            confusion=tuple(event.get("confusion", ())),
        )
        self._log.emit("trial_finished", result=to_dict(result))
        if status is not Status.INTERRUPTED and config.state_path is not None:
            self._drop_states(Path(config.state_path))
        answer(self._coordinator.forget.remote(trial_id))
        return result

    def _drop_states(self, path: Path) -> None:
        """Delete the states that the attempts of a trial that is over kept to continue from.

        One that stays takes room, of which there is one note, and does no harm: its name is of one
        trial and one configuration, and what has ended is not run again. If it failed and is run
        once more, it goes the same way from there as from the beginning.
        """
        try:
            drop_states(path.parent, [path.stem])
        except OSError as exc:
            if not self._keeps_states:
                message = (
                    f"states of trials that are over cannot be deleted: {reason(exc)}; "
                    f"'{path.parent}' may be emptied when the sweep has ended"
                )
                self._log.emit("note", message=message)
            self._keeps_states = True

    def _kept_rows(self, trial_id: str, params: Mapping[str, Any], event: Mapping[str, Any]) -> str:
        """Write what became of each test row; the file, empty where that is not known."""
        outcomes = event.get("row_outcomes")
        if outcomes is None:
            return ""
        predictions = event.get("row_predictions")
        return write_row_outcomes(self._run, trial_id, params, outcomes, predictions)

    def cancel(self, trial_id: str) -> None:
        """Stop the job of a trial."""
        answer(self._coordinator.cancel.remote(trial_id))


class SearchRecorder(ArmsRecorder):
    """Records the trials of a search over the arms of one task.

    Args:
        trials: Records single trials.
        arm_studies: Studies of the task by arm.
        configure: Makes the configuration of a trial from study, number and searched parameters.
        key: Fingerprint under which workers find the teacher of a trial.
        trainable_config: Part of the Tune config that is the same for every trial.
    """

    def __init__(
        self,
        trials: TrialRecorder,
        arm_studies: Mapping[str, ArmStudy],
        configure: Callable[[ArmStudy, int, Mapping[str, Scalar]], TrialConfig],
        key: Callable[[TrialConfig], str],
        trainable_config: Mapping[str, str],
    ) -> None:
        self._trials = trials
        self._arm_studies = arm_studies
        self._configure = configure
        self._key = key
        self._trainable_config = dict(trainable_config)
        self._ids: dict[tuple[str, int], str] = {}

    def launch(self, arm: str, number: int, params: Mapping[str, Scalar]) -> dict[str, Any]:
        """Submit the job of a suggested trial to the coordinator."""
        config = self._configure(self._arm_studies[arm], number, params)
        self._ids[arm, number] = config.trial_id
        self._trials.launch(config, tuple(params), self._key(config))
        return {**self._trainable_config, "job": config.trial_id}

    def evaluated(self, arm: str, number: int, event: Mapping[str, Any]) -> None:
        """Record an evaluation."""
        metric = self._arm_studies[arm].metrics[0]
        self._trials.evaluated(self._ids[arm, number], event, metric)

    def finished(
        self, arm: str, number: int, status: Status, event: Mapping[str, Any] | None
    ) -> float:
        """Record the end of a trial; returns its device seconds."""
        metric = self._arm_studies[arm].metrics[0]
        trial = self._trials.finished(self._ids.pop((arm, number)), status, event, metric)
        return trial.device_seconds

    def cancel(self, arm: str, number: int) -> None:
        """Stop the job of a trial."""
        self._trials.cancel(self._ids[arm, number])


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None
