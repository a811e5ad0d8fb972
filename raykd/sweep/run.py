"""From a search space to a run folder with confirmed results and a report."""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from raykd.clusters.connection import connected
from raykd.errors import ClusterLost, SetupError, SweepFailed
from raykd.results.event_log import EventLog, Listener
from raykd.results.records import Status
from raykd.results.store import load_results, read_events, torn_lines, write_trials
from raykd.spec.schema import SweepSpec
from raykd.sweep import input_hashes, run_folder
from raykd.sweep.disk_need import disk_need, look_for_room
from raykd.sweep.driver import Driver
from raykd.sweep.input_hashes import hash_inputs
from raykd.sweep.loggers import Loggers, check_loggers
from raykd.sweep.trial_states import drop_ended
from raykd.task_setup.endpoint_teacher import with_answers
from raykd.task_setup.named_teachers import set_up_all
from raykd.task_setup.set_up import TaskSetup, setup_notes
from raykd.whole_file import reason, whole_file

_log = logging.getLogger(__name__)

_REPLAYED = ("sweep_started", "teacher_ready", "trial_finished")


@dataclass(frozen=True, kw_only=True, slots=True)
class SweepOptions:
    """How to run a sweep, besides what the search space says.

    Attributes:
        out: Folder of run folders.
        address: Ray cluster to use, None for a local one.
        resume: Run folder to continue, None for a new one.
        confirm: Whether to run the confirm stage.
        cache: Folder of prepared teachers, None for the usual one.
        command: The command line, for the record.
        allow_changes: Whether to continue a run although its data or models changed.
        check: Called again and again while it runs; what it raises ends the sweep.
    """

    out: Path = Path("runs")
    address: str | None = None
    resume: Path | None = None
    confirm: bool = True
    cache: Path | None = None
    command: str = ""
    allow_changes: bool = False
    check: Callable[[], None] = lambda: None


def run_sweep(spec: SweepSpec, source: str, options: SweepOptions, listener: Listener) -> Path:
    """Run or resume a sweep; returns the run folder.

    The listener hears of the run folder, with ``sweep_started`` or ``sweep_resumed``, before
    anything is started.

    Raises:
        RaykdError: What is wrong; what was done before stays in the run folder.
        KeyboardInterrupt: The user stopped it; the run folder is complete up to then.
    """
    if options.resume is None:  # later, one that cannot work is switched off
        check_loggers(spec)
    setups = set_up_all(spec)
    inputs = {task: hash_inputs(setup) for task, setup in setups.items()}
    commits = input_hashes.hub_commits(spec)
    run, need = options.resume, ""
    if run is None:
        need = look_for_room(options.out, disk_need(spec, setups.values()))
        baseline = spec.report.baseline or ""
        run = run_folder.create(
            options.out, spec, source, options.command, baseline, inputs, commits
        )
    with run_folder.lock(run):
        loggers = Loggers(spec, run)
        log = EventLog(run / "events.jsonl", loggers.waking(listener))
        if options.resume is None:
            _announce(spec, run, log)
        else:
            _resume(spec, run, log, listener, (inputs, commits), options)
        _warn(setups, log, options.cache)
        loggers.start(log)
        if need:
            log.emit("note", message=need)
        conclusion = Conclusion(spec, run, log, loggers)
        with conclusion:
            setups = {key: _with_answers(setup, options, log) for key, setup in setups.items()}
            with conclusion.is_kept(), connected(options.address) as connection:

                def check() -> None:
                    connection.check()
                    options.check()

                def conclude(error: BaseException | None) -> None:
                    with connection.unneeded(is_over=error is None):
                        conclusion.write(error)

                Driver(
                    spec, run, log, setups, cache=options.cache,
                    resumed=options.resume is not None, with_confirm=options.confirm,
                    elastic=options.address is not None,
                ).drive(conclude, check)  # fmt: skip
    if not any(t.status is Status.COMPLETED for t in load_results(run).trials):
        raise SweepFailed("no trial completed", hint="the report's section 'What failed' says why")
    return run


def _resume(
    spec: SweepSpec,
    run: Path,
    log: EventLog,
    listener: Listener,
    given: tuple[Mapping[str, input_hashes.InputHashes], Mapping[str, str]],
    options: SweepOptions,
) -> None:
    """Check that a run can be resumed, before anything is written to its folder.

    Args:
        spec: The sweep.
        run: Its run folder.
        log: Its log.
        listener: Hears of what was before.
        given: The hashes of its inputs now, and the commits of models from the hub.
        options: How to run it.

    Raises:
        RaykdError: It cannot, and is as it was.
    """
    load_results(run)
    inputs, commits = given
    before = run_folder.recorded_inputs(run)
    changed = input_hashes.changed_inputs(before, inputs)
    if not options.allow_changes:
        input_hashes.refuse_changed_inputs(changed, str(run))
    drop_ended(run)
    versions = input_hashes.changed_versions(
        run_folder.last_environment(run), run_folder.environment("", "")
    )
    if changed:
        # States and generators belong to what the run began with.
        for part in ("state", "samplers"):
            _empty(run / part)
    run_folder.write_resumption(run, spec, options.command, inputs, commits)
    _replay(run, listener)
    log.emit("sweep_resumed", folder=str(run), changed=list(changed), versions=list(versions))
    if changed:
        log.emit("note", message=f"resumed although inputs changed: {', '.join(changed)}")
    if versions:
        log.emit("note", message=f"resumed with other versions: {', '.join(versions)}")


def _empty(folder: Path) -> None:
    """Delete what a folder holds, if there is one, and make it."""
    try:
        if os.path.lexists(folder):
            shutil.rmtree(folder)
        folder.mkdir()
    except OSError as exc:
        raise SetupError(
            f"'{folder}' belongs to the inputs that changed, and cannot be deleted: {reason(exc)}",
            hint="delete it and resume again",
        ) from exc


class Conclusion:
    """Finishes a sweep: closes the log, and writes the table of trials and the report, once.

    As a context manager it does so for whatever ends the block.

    Args:
        spec: The sweep.
        run: Its run folder.
        log: Its log.
        loggers: Its loggers.
    """

    def __init__(self, spec: SweepSpec, run: Path, log: EventLog, loggers: Loggers) -> None:
        self._spec = spec
        self._run = run
        self._log = log
        self._loggers = loggers
        self._began = time.monotonic()
        self._written = False
        self._done = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> None:
        self.write(error)
        drop_ended(self._run)
        # Ray's own, which nothing reads; what still ran until now may have written there.
        shutil.rmtree(self._run / "ray", ignore_errors=True)

    @contextmanager
    def is_kept(self) -> Iterator[None]:
        """A block in which a cluster that is lost after the end of the sweep ends nothing more."""
        try:
            yield
        except ClusterLost as exc:
            if not self._done:
                raise
            _log.debug("after the end of the sweep: %s", exc)

    def write(self, error: BaseException | None) -> None:
        """Write it, unless it was written before.

        Args:
            error: What ended the sweep, None when it ran to its end.
        """
        if self._written:
            return
        self._written = True
        status = "done" if error is None else "failed"
        if isinstance(error, KeyboardInterrupt):
            status = "interrupted"
        why = f"{error}" if status == "failed" else ""
        seconds = time.monotonic() - self._began
        try:
            self._log.emit("sweep_finished", status=status, seconds=seconds, error=why)
            result = load_results(self._run)
            trials = result.trials
            try:
                if trials:  # first of all: loggers may take their time, and Ctrl-C come again
                    write_trials(self._run, trials)
                    report = _write_report(self._spec, self._run)
            finally:
                self._loggers.finish(self._log, status, result)
            if not trials:
                self._done = status == "done"
                return  # nothing to report, and an earlier report of this search space stays
            if self._spec.loggers:  # which says what they were not sent
                report = _write_report(self._spec, self._run)
            self._log.emit("report_written", report=str(report), run=str(self._run))
            self._done = status == "done"
        except (SetupError, OSError):
            # A full disk ends a sweep and then cannot hold its report: the first error is raised.
            if status != "failed":
                raise


def _write_report(spec: SweepSpec, run: Path) -> Path:
    """The report in the run folder, and a copy where the user wants it."""
    from raykd.report.build import build_report  # plotly: no need to wait for it at the start

    report = build_report(run)
    wanted = Path(spec.report.path.format(name=spec.name))
    try:
        wanted.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(wanted) as part:
            shutil.copyfile(report, part)
    except OSError as exc:
        raise SetupError(
            f"cannot write the report to {wanted}: {exc.strerror or exc}",
            hint=f"it is in the run folder: {report}",
        ) from exc
    return wanted


def _replay(run: Path, listener: Listener) -> None:
    """Send earlier events to the listener, marked as ``replayed``."""
    events, torn = read_events(run / "events.jsonl")
    for event in events:
        if event.get("event") in _REPLAYED:
            listener({**event, "replayed": True})
    if torn:  # the report says it from the log
        listener({"event": "note", "time": time.time(), "message": torn_lines(torn)})


def _warn(setups: Mapping[str, TaskSetup], log: EventLog, cache: Path | None) -> None:
    """Report notes on models and rows at the start.

    Rows that stand in two splits are a caveat of the report.
    """
    seen = set()
    for setup in setups.values():
        for message, is_caveat in setup_notes(setup, cache):
            if (task := setup.task.name, message) in seen:
                continue  # of its rows and arms, with every teacher
            seen.add((task, message))
            caveat = {"caveat": True} if is_caveat else {}
            log.emit("note", message=f"{task}: {message}", **caveat)


def _with_answers(setup: TaskSetup, options: SweepOptions, log: EventLog) -> TaskSetup:
    """The task with what a teacher behind an address says of its rows."""
    task = setup.task.name

    def progress(phase: str, done: int, total: int, detail: str) -> None:
        log.emit(
            "teacher_progress", task=task, unit="requests", phase=phase, done=done, total=total,
            detail=detail,
        )  # fmt: skip

    def note(message: str) -> None:
        log.emit("note", message=f"{task}: {message}")

    return with_answers(setup, options.cache, progress, note)


def _announce(spec: SweepSpec, run: Path, log: EventLog) -> None:
    log.emit(
        "sweep_started",
        name=spec.name,
        run=run.name,
        folder=str(run),
        tasks=list(spec.tasks),
        arms=list(spec.methods),
        trials=spec.search_trials,
        confirm_runs=spec.confirm_runs,
    )
