"""Drives a sweep on a connected cluster: teachers, search and confirm, task by task."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray

from raykd.clusters.autoscaling import SlotAutoscaler
from raykd.clusters.background_thread import BackgroundThread
from raykd.clusters.capacity import survey
from raykd.clusters.node_capabilities import ability_of_nodes
from raykd.clusters.slots import slots
from raykd.errors import ClusterLost, RaykdError, SetupError
from raykd.models.tokenizers import save_tokenizer
from raykd.results.event_log import EventLog
from raykd.results.records import TEACHER_NOTE
from raykd.results.store import load_results
from raykd.search.arms import Arm, ArmsSearch
from raykd.search.search_clock import SearchClock
from raykd.spec.schema import SweepSpec
from raykd.spec.teachers_section import TEACHER
from raykd.sweep.arm_studies import ArmStudy, arm_studies, search_trial
from raykd.sweep.confirm import confirm, to_confirm
from raykd.sweep.disk_watch import DiskWatch
from raykd.sweep.resume import cut_short, finished_confirmations, rebuild_studies, settle
from raykd.sweep.search import device_budget, idle_slots, make_arm, open_storage, search
from raykd.sweep.seed_looks import SeedLooks
from raykd.sweep.teacher_provider import TeacherProvider
from raykd.sweep.trial_recorder import SearchRecorder, TrialRecorder
from raykd.task_setup.set_up import TaskSetup, student_width
from raykd.task_setup.teacher_plan import plan_teacher
from raykd.task_setup.train_checks import check_training
from raykd.teachers.user_cache import cache_bytes, open_cache, without_cache
from raykd.training.device import resolve_precision
from raykd.trial.coordinator import answer
from raykd.trial.run import TrialConfig
from raykd.trial.signs_of_life import HUNG, SILENT

NOTIFICATION_WAIT_S = 1.0

NOTICE_S = 1.0
"""That a local cluster is lost is known so long after the first calls to it have failed."""

LOOK_S = 0.2
"""How often the main thread looks whether the others are well; Ctrl-C comes through in between."""

_WORDS = {SILENT: "gives no sign of life", HUNG: "does not come back and is restarted"}
"""What to say of a slot."""

HALT_S = 60.0
"""Work that is to end has this long to record how its trials ended."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _TaskWork:
    """A task whose teacher is ready.

    Attributes:
        name: Its name.
        arm_studies: Its arms, each as often as it is searched.
        arms: Studies by `ArmStudy.name`.
        teachers: Fingerprints under which workers find its teachers, by their names.
    """

    name: str
    arm_studies: Sequence[ArmStudy]
    arms: Mapping[str, Arm]
    teachers: Mapping[str, str]

    def key(self, config: TrialConfig) -> str:
        """Fingerprint under which workers find the teacher of a trial."""
        named = str(config.coefficients.get(TEACHER, ""))
        return self.teachers.get(named) or next(iter(self.teachers.values()))


class Driver:
    """Runs one sweep: teachers, search and confirm, task by task.

    Args:
        spec: What to run.
        run: The run folder.
        log: The event log.
        setups: Tasks with their teachers, by `raykd.task_setup.named_teachers.teacher_key`.
        cache: Folder of prepared teachers, None for the usual one.
        resumed: Whether an earlier driver worked on this run folder.
        with_confirm: Whether to run the confirm stage.
        elastic: Whether nodes may come and go.
    """

    def __init__(
        self,
        spec: SweepSpec,
        run: Path,
        log: EventLog,
        setups: Mapping[str, TaskSetup],
        *,
        cache: Path | None,
        resumed: bool,
        with_confirm: bool,
        elastic: bool = False,
    ) -> None:
        self._spec = spec
        self._run = run
        self._log = log
        self._setups = setups
        self._cache = cache
        self._resumed = resumed
        self._with_confirm = with_confirm
        self._elastic = elastic
        self._storage = open_storage(run, self._note)
        self._stop = threading.Event()
        self._closing = threading.Event()
        self._clock = SearchClock(spec.search.time_budget_s, len(spec.tasks))

    def drive(
        self, conclude: Callable[[BaseException | None], None], check: Callable[[], None]
    ) -> None:
        """Run everything; on Ctrl-C stop what runs, keep what is done, and raise.

        Args:
            conclude: Called with what ended the work, None for its own end, before slots and
                coordinator are closed: whatever happens to Ray then, the results are written.
            check: Called again and again; raises where the cluster is lost.

        Raises:
            SpecError: No node can hold what a trial requests.
            TeacherError: A teacher could not be prepared.
            SetupError: The disk is full.
            KeyboardInterrupt: The user stopped it.
        """
        cluster = survey(self._spec, elastic=self._elastic)
        check_training(self._spec, gpus=bool(cluster.shape.gpus))
        cache, why = open_cache(self._cache)
        if why is not None:
            self._log.emit("note", message=without_cache(cache, why), about=TEACHER_NOTE)
        room = cache_bytes(cache.folder) if cache.folder is not None else 0
        ability = ability_of_nodes(cluster)
        retries, devices = self._spec.resources.max_failures, cluster.shape.devices
        disk = DiskWatch(self._run, cache, cluster.store_bytes, self._note)
        widths = {setup.task.name: student_width(setup) for setup in self._setups.values()}
        with slots(self._spec, cluster, self._run, self._log, self._closing) as autoscaler:
            coordinator = autoscaler.coordinator
            again = cut_short(self._run) if self._resumed else frozenset()
            recorder = TrialRecorder(coordinator, self._log, self._run, devices, retries, again)
            recorder.precision = lambda precision, task: resolve_precision(
                precision, ability, widths[task]
            )
            teachers = TeacherProvider(
                self._setups, lambda of: plan_teacher(of.spec, of, cluster.store_bytes, ability),
                retries, coordinator, self._log, self._run, cache, room,
            )  # fmt: skip
            teachers.when_known = disk.count
            if self._elastic:
                teachers.expect_nodes()
            listener = self._listen(autoscaler, recorder, teachers)
            work = BackgroundThread(lambda: self._work(teachers, autoscaler, recorder), "work")

            def look() -> None:
                check()
                listener.check()
                disk.look()
                autoscaler.check()

            try:
                while not work.wait(LOOK_S):
                    look()
            except BaseException as exc:
                cause = _cause(exc, look)
                self._halt(coordinator, work, cause)
                conclude(cause)
                if cause is not exc:
                    raise cause from exc
                raise
            conclude(None)

    def _note(self, message: str) -> None:
        self._log.emit("note", message=message)

    def _halt(self, coordinator: Any, work: BackgroundThread, why: BaseException) -> None:
        """Stop running jobs, so that their end is recorded."""
        if isinstance(why, KeyboardInterrupt):
            message = "stopped by the user; results so far are kept (once more ends it at once)"
            self._log.emit("stopping", message=message)
        self._stop.set()
        if isinstance(why, ClusterLost):
            return  # nobody is there to answer
        with contextlib.suppress(ray.exceptions.RayError):  # the coordinator may be what is lost
            answer(coordinator.close.remote(), HALT_S)
        work.end(HALT_S)  # what it ends with now follows from `why`

    def _work(
        self, teachers: TeacherProvider, autoscaler: SlotAutoscaler, recorder: TrialRecorder
    ) -> None:
        with contextlib.closing(teachers):
            self._tasks(teachers, autoscaler, recorder)

    def _tasks(
        self, teachers: TeacherProvider, autoscaler: SlotAutoscaler, recorder: TrialRecorder
    ) -> None:
        teachers.request()
        for task in self._spec.tasks:
            ready = teachers.wait_for_task(task, self._stop.is_set)
            if ready is None:
                return
            of_task = [c for c in arm_studies(self._spec) if c.task == task]
            if self._resumed:
                rebuild_studies(self._spec, self._run, of_task, self._storage, self._note)
            arms = {
                c.name: make_arm(self._spec, c, self._storage, self._run, slots=autoscaler.wanted)
                for c in of_task
            }
            work = _TaskWork(name=task, arm_studies=of_task, arms=arms, teachers=ready)
            if self._resumed:
                settle(self._run, of_task, arms)
            if not self._stop.is_set():
                self._search(work, autoscaler, recorder)
            if not self._stop.is_set() and self._with_confirm:
                self._confirm(work, autoscaler.coordinator, recorder)
            teachers.release(task)

    def _search(self, work: _TaskWork, autoscaler: SlotAutoscaler, recorder: TrialRecorder) -> None:
        lag = next(iter(work.arms.values())).study.lag
        self._log.emit("stage", stage="search", task=work.name, lag=lag)

        def configure(arm_study: ArmStudy, number: int, chosen: Mapping[str, Any]) -> TrialConfig:
            return search_trial(self._spec, self._run, arm_study, number, chosen)

        by_name = {c.name: c for c in work.arm_studies}
        if message := idle_slots(work.arms, autoscaler.wanted):
            self._note(message)
        before = load_results(self._run)
        budget = device_budget(self._spec, before, work.arm_studies, recorder.devices)
        if message := budget.used_up(work.arms):
            self._note(f"{work.name}: {message}")
        searcher = ArmsSearch(
            work.arms,
            SearchRecorder(recorder, by_name, configure, work.key, autoscaler.trainable_config),
            autoscaler.count,
            budget,
        )
        with self._clock.running() as deadline:
            search(
                searcher,
                run=self._run,
                name=work.name.replace("/", "-"),
                deadline=deadline,
                stop=self._stop,
                note=self._note,
            )

    def _confirm(self, work: _TaskWork, coordinator: Any, recorder: TrialRecorder) -> None:
        """Confirm on all seeds, or look by look until nothing is left to decide."""
        looks = SeedLooks(self._spec, self._run, self._log, work.name)
        for seeds in looks:
            self._confirm_on(seeds, work, coordinator, recorder)
            if self._stop.is_set():
                return
            looks.taken()

    def _confirm_on(
        self, seeds: Sequence[int], work: _TaskWork, coordinator: Any, recorder: TrialRecorder
    ) -> None:
        done = finished_confirmations(self._run) if self._resumed else {}
        jobs = to_confirm(self._spec, self._run, work.arm_studies, work.arms, seeds)
        jobs = [(c, s) for c, s in jobs if done.get(c.trial_id) != {**c.coefficients, **c.train}]
        if not jobs:
            return
        self._log.emit("stage", stage="confirm", task=work.name)
        one = next(setup for setup in self._setups.values() if setup.task.name == work.name)
        tokenizer = one.tokenizers.student
        confirm(
            jobs,
            recorder,
            coordinator,
            key=work.key,
            metric=work.arm_studies[0].metrics[0],
            on_saved=lambda folder: save_tokenizer(tokenizer, Path(folder)),
        )

    def _listen(
        self, autoscaler: SlotAutoscaler, recorder: TrialRecorder, teachers: TeacherProvider
    ) -> BackgroundThread:
        """Turn notifications into events, in a thread that ends with the coordinator."""

        def listen() -> None:
            cursor, coordinator = 0, autoscaler.coordinator
            while True:
                try:
                    notifications = answer(
                        coordinator.notifications.remote(cursor, NOTIFICATION_WAIT_S)
                    )
                except ray.exceptions.RayActorError as exc:
                    if self._closing.is_set():
                        return
                    raise SetupError(
                        f"the process that hands out jobs is lost: {str(exc).splitlines()[0]}",
                        hint="its node may have run out of memory; raykd sweep --resume continues",
                    ) from exc
                cursor += len(notifications)
                for notification in notifications:
                    self._on_notification(notification, recorder, teachers)
                    if notification.get("state") == HUNG:
                        autoscaler.restart(notification["slot"])

        return BackgroundThread(listen, "listener")

    def _on_notification(
        self, notification: Mapping[str, Any], recorder: TrialRecorder, teachers: TeacherProvider
    ) -> None:
        if notification["kind"] == "leased":
            recorder.leased(notification)
        elif notification["kind"] == "slot":
            what = {
                k: notification[k] for k in ("slot", "state", "node", "reason") if k in notification
            }
            self._log.emit("slot", **{"node": "", **what})
            if words := _WORDS.get(notification["state"]):
                self._note(f"slot {notification['slot']} {words}: {notification['reason']}")
        elif notification["kind"] in ("derived_teacher", "trial_steps"):
            what = {k: v for k, v in notification.items() if k not in ("kind", "time")}
            self._log.emit(notification["kind"], **what)
        elif notification["kind"] == "lost":
            teachers.republish(notification["key"], notification["version"])
        elif notification["kind"] == "requeued":
            self._note(f"{notification['job']} goes to another slot: {notification['why']}")
        elif notification["kind"] == "note":
            self._note(notification["message"])


def _cause(exc: BaseException, look: Callable[[], None]) -> BaseException:
    """What ended a sweep: an error may only follow from the loss of cluster or coordinator."""
    if isinstance(exc, Exception):
        time.sleep(NOTICE_S)
    try:
        look()
    except Exception as lost:  # or a mistake in another thread, which each look raises
        return lost if isinstance(lost, RaykdError) else exc
    return exc
