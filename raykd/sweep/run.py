"""`sweep`: from a search space to a run folder with confirmed results and a report."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from raykd.errors import SetupError, SweepFailed
from raykd.report.build import build_report
from raykd.results.records import Status, SweepResult
from raykd.results.store import load_results, read_events, write_trials
from raykd.spec.load import load_spec
from raykd.spec.schema import SweepSpec
from raykd.sweep import runfolder
from raykd.sweep.cluster import connected
from raykd.sweep.driver import Driver
from raykd.sweep.events import EventLog, Listener
from raykd.sweep.gather import gather
from raykd.sweep.places import cache_folder

_REPLAYED = ("sweep_started", "teacher_ready", "trial_finished")


@dataclass(frozen=True, kw_only=True, slots=True)
class SweepOptions:
    """How to run a sweep, beside what the search space says.

    Attributes:
        out: Folder of run folders.
        address: Ray cluster to use, None for a local one.
        resume: Run folder to continue, None for a new one.
        confirm: Whether to run the confirm stage.
        cache: Folder of prepared teachers.
        command: The command line, for the record.
    """

    out: Path = Path("runs")
    address: str | None = None
    resume: Path | None = None
    confirm: bool = True
    cache: Path
    command: str = ""


def sweep(
    source: str | Path | SweepSpec,
    *,
    out: str | Path = "runs",
    address: str | None = None,
    overrides: Sequence[str] = (),
    listener: Listener = lambda event: None,
) -> SweepResult:
    """Run a search space and return what came out; the Python form of ``raykd sweep``.

    Args:
        source: A search-space file, or a loaded one.
        out: Folder of run folders.
        address: Ray cluster to use; None starts a local one (or uses a connection that exists).
        overrides: ``a.b=c`` changes to the file.
        listener: Called with every event.

    Raises:
        SpecError: The search space is wrong.
        SetupError: Cluster, disk, models or data cannot be reached.
        SweepFailed: No trial completed.
    """
    spec = source if isinstance(source, SweepSpec) else load_spec(source, overrides)
    text = "" if isinstance(source, SweepSpec) else Path(source).read_text(encoding="utf-8")
    options = SweepOptions(out=Path(out), address=address, cache=cache_folder())
    return load_results(run_sweep(spec, text, options, listener))


def run_sweep(spec: SweepSpec, source: str, options: SweepOptions, listener: Listener) -> Path:
    """Run or resume a sweep; returns the run folder.

    Raises:
        RaykdError: See `sweep`; what was done before stays in the run folder.
        KeyboardInterrupt: The user stopped it; the run folder is complete up to then.
    """
    gathered = {task: gather(spec, task) for task in spec.tasks}
    if options.resume is None:
        baseline = spec.report.baseline or ""
        run = runfolder.create(options.out, spec, source, options.command, baseline)
    else:
        run = options.resume
    with runfolder.lock(run):
        log = EventLog(run / "events.jsonl", listener)
        if options.resume is None:
            _announce(spec, run, log)
        else:
            runfolder.write_spec(run, spec)
            _replay(run, listener)
            log.emit("sweep_resumed")
        began = time.monotonic()
        status = "failed"
        try:
            with connected(options.address):
                Driver(
                    spec, run, log, gathered, cache=options.cache,
                    resumed=options.resume is not None, with_confirm=options.confirm,
                    elastic=options.address is not None,
                ).drive()  # fmt: skip
            status = "done"
        except KeyboardInterrupt:
            status = "interrupted"
            raise
        finally:
            _conclude(spec, run, log, status, time.monotonic() - began)
    if not any(t.status is Status.COMPLETED for t in load_results(run).trials):
        raise SweepFailed("no trial completed", hint="the report's section 'What failed' says why")
    return run


def _conclude(spec: SweepSpec, run: Path, log: EventLog, status: str, seconds: float) -> None:
    """Close the log, write the table of trials and the report."""
    shutil.rmtree(run / "ray", ignore_errors=True)  # Ray's own records, which nothing reads
    try:
        log.emit("sweep_finished", status=status, seconds=seconds)
        trials = load_results(run).trials
        if not trials:
            return  # nothing to report, and an earlier report of this search space stays
        write_trials(run, trials)
        report = _write_report(spec, run)
        log.emit("report_written", report=str(report), run=str(run))
    except (SetupError, OSError):
        # A full disk ends a sweep and then cannot hold its report: the first error is raised.
        if status != "failed":
            raise


def _write_report(spec: SweepSpec, run: Path) -> Path:
    """The report in the run folder, and a copy where the user wants it."""
    report = build_report(run)
    wanted = Path(spec.report.path.format(name=spec.name))
    try:
        wanted.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(report, wanted)
    except OSError as exc:
        raise SetupError(
            f"cannot write the report to {wanted}: {exc.strerror or exc}",
            hint=f"it is in the run folder: {report}",
        ) from exc
    return wanted


def _replay(run: Path, listener: Listener) -> None:
    """Show the listener what happened before, marked as ``replayed``."""
    for event in read_events(run / "events.jsonl")[0]:
        if event["event"] in _REPLAYED:
            listener({**event, "replayed": True})


def _announce(spec: SweepSpec, run: Path, log: EventLog) -> None:
    log.emit(
        "sweep_started",
        name=spec.name,
        run=run.name,
        tasks=list(spec.tasks),
        labels=list(spec.methods),
        trials=spec.search.trials,
        confirm_runs=len(spec.confirm.seeds) * spec.confirm.top_k,
    )
