"""`sweep`: from a search space to a run folder with confirmed results and a report."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray

from raykd.errors import SetupError, SweepFailed, TeacherError
from raykd.report.build import build_report
from raykd.results.codec import to_dict
from raykd.results.records import Status, SweepResult
from raykd.results.store import load_results, read_events, write_trials
from raykd.search.arms import Arm
from raykd.spec.load import load_spec
from raykd.spec.schema import SweepSpec
from raykd.sweep import runfolder
from raykd.sweep.cluster import Cluster, connected, slots, survey
from raykd.sweep.confirm import confirm, to_confirm
from raykd.sweep.events import EventLog, Listener
from raykd.sweep.gather import Gathered, gather, inputs_of
from raykd.sweep.ledger import SearchLedger, TrialLedger
from raykd.sweep.plan import Cell, cells, search_trial
from raykd.sweep.resume import finished_confirmations, settle
from raykd.sweep.search import make_arm, open_storage, search
from raykd.teachers import cache, store
from raykd.teachers.prepare import Prepared
from raykd.trial.board import answer
from raykd.trial.follow import follow
from raykd.trial.run import TrialConfig
from raykd.trial.worker import PrepareJob

NOTICE_S = 1.0
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
    text = "" if isinstance(source, SweepSpec) else Path(source).read_text()
    options = SweepOptions(out=Path(out), address=address, cache=cache_folder())
    return load_results(run_sweep(spec, text, options, listener))


def cache_folder() -> Path:
    """Where prepared teachers are kept: ``RAYKD_CACHE``, else below the user's cache folder."""
    own = os.environ.get("RAYKD_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(own) if own else Path(base) / "raykd" / "teachers"


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
                _Sweep(spec, run, log, options, gathered).run()
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
        write_trials(run, load_results(run).trials)
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


class _Sweep:
    """The moving parts of one sweep on a connected cluster."""

    def __init__(
        self,
        spec: SweepSpec,
        run: Path,
        log: EventLog,
        options: SweepOptions,
        gathered: Mapping[str, Gathered],
    ) -> None:
        self.spec = spec
        self.folder = run
        self.log = log
        self.options = options
        self.gathered = gathered
        self.storage = open_storage(run)
        self.stop = threading.Event()
        budget = spec.search.time_budget_s
        self.deadline = time.monotonic() + budget if budget else None
        self.handles: dict[str, store.TeacherHandle] = {}
        self.serving: dict[str, str] = {}

    def run(self) -> None:
        cluster = survey(self.spec)
        self.log.emit(
            "cluster",
            nodes=len(cluster.nodes),
            cpus=sum(n["cpus"] for n in cluster.nodes),
            gpus=sum(n["gpus"] for n in cluster.nodes),
            slots=cluster.slots,
        )
        with slots(self.spec, cluster, self.folder) as (board, where):
            ledger = TrialLedger(
                board,
                self.log,
                self.folder,
                cluster.shape.devices,
                self.spec.resources.max_failures,
            )
            self._listen(board, ledger)
            for slot in range(cluster.slots):
                self.log.emit("slot", slot=slot, state="starting", node="")
            work = _Background(lambda: self._work(board, where, ledger, cluster))
            try:
                work.wait()
            except KeyboardInterrupt:
                self.log.emit("note", message="stopped by the user; results so far are kept")
                self.stop.set()
                answer(board.close.remote())
                work.wait()
                raise

    def _work(
        self, board: Any, where: Mapping[str, str], ledger: TrialLedger, cluster: Cluster
    ) -> None:
        waiting = self._request_teachers(board, cluster)
        for task in self.spec.tasks:
            self._await_teacher(board, task, waiting)
            of_task = [c for c in cells(self.spec) if c.task == task]
            arms = {c.arm.label: make_arm(self.spec, c, self.storage) for c in of_task}
            if self.options.resume is not None:
                settle(self.folder, of_task, arms)
            if not self.stop.is_set():
                self._search(task, of_task, arms, board, where, ledger, cluster)
            if not self.stop.is_set() and self.options.confirm:
                self._confirm(task, of_task, arms, board, ledger)

    def _request_teachers(self, board: Any, cluster: Cluster) -> dict[str, Any]:
        """Take teachers from the cache, and put a job on the board for each of the others."""
        waiting = {}
        for task, gathered in self.gathered.items():
            planned = inputs_of(self.spec, gathered, cluster.store_bytes)
            self.serving[task] = planned.serving
            prepared = cache.load(self.options.cache, planned.inputs.fingerprint)
            if prepared is not None:
                self._publish(board, task, prepared, cached=True)
                continue
            ref = ray.put(planned.inputs)
            job = f"teacher.{task}"
            retries = self.spec.resources.max_failures
            answer(board.submit.remote(job, PrepareJob(inputs=(ref,)), retries))
            waiting[task] = (job, ref)
        return waiting

    def _await_teacher(self, board: Any, task: str, waiting: Mapping[str, Any]) -> None:
        if task in self.handles:
            return

        def on_event(job: str, event: Mapping[str, Any]) -> None:
            if event["kind"] == "progress":
                self.log.emit(
                    "teacher_progress",
                    task=task,
                    unit="evaluations" if event["phase"] == "finetune" else "rows",
                    **{k: event[k] for k in ("phase", "done", "total", "detail")},
                )
            elif event["kind"] == "done":
                prepared, state = ray.get(event["result"][0])
                folder = cache.store(self.options.cache, prepared, state)
                self.gathered[task].tokens.teacher.save_pretrained(folder)
                self._publish(board, task, prepared, cached=False)
            elif event["kind"] == "failed":
                raise TeacherError(
                    f"preparing the teacher of {task} failed: {event['error']}",
                    hint=event.get("hint", "") or "try it alone: raykd teacher FILE -v",
                )

        follow(board, [waiting[task][0]], on_event)

    def _publish(self, board: Any, task: str, prepared: Prepared, *, cached: bool) -> None:
        handle = store.publish(prepared)
        self.handles[task] = handle
        answer(board.share.remote(handle.fingerprint, handle))
        gathered = self.gathered[task]
        teacher = gathered.teacher_record(
            prepared, handle.store_bytes, cached=cached, serving=self.serving[task]
        )
        record = gathered.task_record(prepared)
        runfolder.write_teacher(self.folder, task, teacher, record)
        self.log.emit("teacher_ready", task=task, teacher=to_dict(teacher), record=to_dict(record))

    def _search(
        self,
        task: str,
        of_task: Sequence[Cell],
        arms: Mapping[str, Arm],
        board: Any,
        where: Mapping[str, str],
        ledger: TrialLedger,
        cluster: Cluster,
    ) -> None:
        self.log.emit("stage", stage="search", task=task)

        def configure(cell: Cell, number: int, chosen: Mapping[str, Any]) -> TrialConfig:
            return search_trial(self.spec, self.folder, cell, number, chosen)

        search(
            arms,
            SearchLedger(
                ledger,
                {c.arm.label: c for c in of_task},
                configure,
                self.handles[task].fingerprint,
                where,
            ),
            slots=cluster.slots,
            run=self.folder,
            name=task.replace("/", "-"),
            deadline=self.deadline,
            stop=self.stop,
            note=lambda message: self.log.emit("note", message=message),
        )

    def _confirm(
        self,
        task: str,
        of_task: Sequence[Cell],
        arms: Mapping[str, Arm],
        board: Any,
        ledger: TrialLedger,
    ) -> None:
        done = finished_confirmations(self.folder) if self.options.resume is not None else {}
        jobs = to_confirm(self.spec, self.folder, of_task, arms)
        jobs = [(c, s) for c, s in jobs if done.get(c.trial_id) != {**c.coefficients, **c.train}]
        if not jobs:
            return
        self.log.emit("stage", stage="confirm", task=task)
        tokenizer = self.gathered[task].tokens.student
        confirm(
            jobs,
            ledger,
            board,
            key=self.handles[task].fingerprint,
            metric=of_task[0].metrics[0],
            on_saved=lambda config: tokenizer.save_pretrained(config.save_path),
        )

    def _listen(self, board: Any, ledger: TrialLedger) -> None:
        """Turn the board's notices into events, in a thread that ends with the board."""

        def listen() -> None:
            cursor = 0
            while True:
                try:
                    notices = answer(board.notices.remote(cursor, NOTICE_S))
                except ray.exceptions.RayActorError:
                    return
                cursor += len(notices)
                for notice in notices:
                    try:
                        self._on_notice(notice, ledger)
                    except SetupError:  # the disk is full: the main thread meets it, too
                        return

        threading.Thread(target=listen, daemon=True).start()

    def _on_notice(self, notice: Mapping[str, Any], ledger: TrialLedger) -> None:
        if notice["kind"] == "leased":
            ledger.leased(notice)
        elif notice["kind"] == "slot":
            what = {k: notice[k] for k in ("slot", "state", "node", "reason") if k in notice}
            self.log.emit("slot", **{"node": "", **what})
        elif notice["kind"] == "requeued":
            message = f"{notice['job']} goes to another slot: {notice['why']}"
            self.log.emit("note", message=message)


class _Background:
    """Runs a function in a thread; the main thread stays free for Ctrl-C."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._error: BaseException | None = None

        def run() -> None:
            try:
                work()
            except BaseException as exc:  # handed to the waiting thread
                self._error = exc

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Wait for the end; raises what the function raised."""
        while self._thread.is_alive():
            self._thread.join(0.2)
        if self._error is not None:
            raise self._error
