"""The train loop of a slot: take a job from the coordinator, run it, report, take the next.

Every rank of a slot runs `slot_loop`; rank 0 talks to the coordinator and tells the others.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import os
import time
import warnings
from collections.abc import Callable, Mapping
from typing import Any, Self

import ray
import torch
from ray import train
from ray.train.torch import get_device

from raykd.errors import TrialError
from raykd.results.records import Evaluation
from raykd.teachers import object_store
from raykd.teachers.object_store import TeacherHandle
from raykd.teachers.open_teacher import open_teacher
from raykd.teachers.prepared_task import PreparedTask
from raykd.teachers.teacher import Teacher
from raykd.training.arithmetic import CUBLAS_WORKSPACE, set_arithmetic
from raykd.training.device import DistributedContext
from raykd.training.pace import PACE
from raykd.training.peers import is_lost
from raykd.training.step_metrics import StepPoint
from raykd.trial import drafts
from raykd.trial.coordinator import CLOSE, IDLE, STOP, answer
from raykd.trial.derived_teachers import DerivedTeachers
from raykd.trial.failures import Push, failure, last_line, too_large, too_long
from raykd.trial.heartbeat import Heartbeat, JobLost, TimeLimit
from raykd.trial.memory_watch import MemoryWatch
from raykd.trial.own_state import with_own_state
from raykd.trial.preparation import PrepareJob, SlotPreparation
from raykd.trial.quiet import QuietWatch
from raykd.trial.run import TrialConfig, TrialListener, run_trial
from raykd.trial.shared_recording import OpenRecording, RecordJob, open_recording
from raykd.trial.unread import read

POLL_S = 2.0

LOST_S = 600.0
"""A trial waits this long for the driver to publish a lost teacher again."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class TrialJob:
    """Train one student; `key` names the published teacher handle."""

    config: TrialConfig
    key: str


class SlotWorker:
    """One rank of a slot: takes jobs, runs them and reports.

    Args:
        settings: ``coordinator``, ``namespace``, ``slot``, ``threads``, ``recycle_after``,
            ``memory`` (bytes of each rank, or None).
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        context = train.get_context()
        self.world = DistributedContext(
            rank=context.get_world_rank(),
            size=context.get_world_size(),
            device=get_device(),
        )
        self.coordinator: Any = ray.get_actor(
            settings["coordinator"], namespace=settings["namespace"]
        )
        self.slot: int = settings["slot"]
        self.recycle_after: int | None = settings["recycle_after"]
        self.memory: int | None = settings["memory"]
        self.node = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]
        self._opened: tuple[TeacherHandle, PreparedTask, Teacher] | None = None
        self._recording: tuple[str, OpenRecording] | None = None

    def serve(self) -> None:
        """Run jobs until the coordinator closes.

        Raises:
            TrialError: The device cannot be used; the coordinator knows the reason.
        """
        done = 0
        if self.world.device.type == "cuda" and not torch.cuda.is_available():
            reason = (
                f"a GPU of node {self.node} was given to a slot, "
                f"but torch {torch.__version__} cannot use it"
            )
            hint = "compare the driver's CUDA (nvidia-smi) with torch's, or set gpus_per_worker: 0"
            answer(self.coordinator.slot_given_up.remote(self.slot, reason, hint))
            raise TrialError(reason, hint=hint)
        if self.world.device.type == "cuda":
            torch.cuda.set_device(self.world.device)
        self.ask(lambda: self.coordinator.register.remote(self.slot, self.node))
        while self.recycle_after is None or done < self.recycle_after:
            job_id, attempt, payload = self._take()
            if job_id == CLOSE:
                self.ask(lambda: self.coordinator.unregister.remote(self.slot))
                return
            if job_id == IDLE:
                continue
            self._run(job_id, attempt, payload)
            done += 1

    def _take(self) -> tuple[str, int, Any]:
        payload, taken = None, ("", 0)
        if self.world.rank == 0:
            job_id, attempt, payload = answer(
                self.coordinator.take.remote(self.slot, self.node, POLL_S)
            )
            taken = (job_id, attempt)
        job_id, attempt = self.world.broadcast(taken)
        if self.world.rank != 0 and job_id not in (IDLE, CLOSE):
            payload = answer(self.coordinator.payload.remote(job_id))
        if payload is None:
            return job_id, attempt, None
        try:
            return job_id, attempt, read(payload)
        except ray.exceptions.ObjectLostError as exc:  # who asked for this is gone
            if self.world.rank == 0:
                event = failure(exc, self.world.size)
                answer(self.coordinator.push.remote(job_id, attempt, event))
            return IDLE, 0, None

    def ask(self, request: Callable[[], Any]) -> Any:
        """Ask the coordinator on rank 0 and tell every rank the answer.

        The answer must not hold references to objects: a rank of another node could not find what
        they stand for, as only Ray itself passes on who owns it.
        """
        reply = answer(request()) if self.world.rank == 0 else None
        return self.world.broadcast(reply)

    def _run(self, job_id: str, attempt: int, payload: PrepareJob | RecordJob | TrialJob) -> None:
        def push(event: dict[str, Any]) -> str:
            PACE.made()
            return str(answer(self.coordinator.push.remote(job_id, attempt, event)))

        config = payload.config if isinstance(payload, TrialJob) else None
        with (
            self._heartbeat(job_id, attempt, config, push) as heartbeat,
            MemoryWatch(self.memory, lambda why: too_large(push, why)) as watch,
        ):
            try:
                with heartbeat.interruptible():
                    end = self._work(payload, attempt, push)
            except JobLost as exc:
                answer(self.coordinator.release_claims.remote(self.slot))
                # The others wait for this rank; what took the memory may still have it.
                if self.world.size > 1 or watch.over:
                    raise TrialError("the job was taken from this slot") from exc
                end = None
            except (Exception, SystemExit, KeyboardInterrupt) as exc:
                # Whatever a trial dies of is its failure; the slot continues. Others may wait in a
                # collective call and cannot name what one alone ran into: it does, and the group
                # starts afresh. Who only finds that another is lost says nothing: if that one has
                # said nothing either, its process was killed, and the job is run again.
                event = failure(exc, self.world.size)
                if self.world.size == 1 or not is_lost(exc):
                    push(event)
                if self.world.size > 1 or isinstance(exc, torch.AcceleratorError):
                    raise TrialError(event["error"]) from exc
                end = None
            if end is not None and self.world.rank == 0:
                push(end)
        gc.collect()
        if self.world.device.type == "cuda":
            torch.cuda.empty_cache()

    def _heartbeat(
        self, job_id: str, attempt: int, config: TrialConfig | None, push: Push
    ) -> Heartbeat | NoHeartbeat:
        """Watches a job; `config` is that of a trial, None of another job."""
        if self.world.rank != 0:
            return NoHeartbeat()
        limit_s = None if config is None else config.limit_s

        def tell(message: str) -> None:
            answer(self.coordinator.notify.remote("note", {"message": message}))

        def hung(stack: str) -> None:
            tell(f"{job_id} hangs, and its process is ended:\n{stack}")

        return Heartbeat(
            lambda timeout_s: str(
                answer(self.coordinator.heartbeat.remote(job_id, attempt, timeout_s))
            ),
            interrupts=self.world.size == 1,
            limit=TimeLimit(
                seconds=limit_s, passed=lambda stack: too_long(push, limit_s, stack), hung=hung
            ),
            look=QuietWatch(job_id, tell, is_trial=config is not None).look,
        )

    def _work(
        self,
        payload: PrepareJob | RecordJob | TrialJob,
        attempt: int,
        push: Push,
    ) -> dict[str, Any] | None:
        """Run a job; returns its final event, None where another rank reports it or it was stopped.

        Raises:
            JobLost: Nobody waits for the result any more.
        """
        if isinstance(payload, PrepareJob):
            return self._prepare(payload, push)
        if isinstance(payload, RecordJob):
            return self._record(payload)
        return self._trial(payload, attempt, push)

    def _prepare(self, job: PrepareJob, push: Push) -> dict[str, Any] | None:
        self._recording = None
        preparation = SlotPreparation(job, self.coordinator, self.slot, self.world, push)
        return preparation.run(alone=self.recycle_after is not None)

    def _record(self, job: RecordJob) -> dict[str, Any] | None:
        """Record a block of another slot's teacher; the model stays loaded for the next block."""
        if self.world.rank != 0 and not job.sharded:
            return None
        if self._recording is None or self._recording[0] != job.key:
            self._recording = None  # before the next one needs room
            self._recording = (job.key, open_recording(job, self.world))
        return self._recording[1].job_done(self.world, self.coordinator, self.slot, job.number)

    def _trial(self, job: TrialJob, attempt: int, push: Push) -> dict[str, Any] | None:
        handle, prepared, teacher = self._open(job.key)
        object_store.verify(handle, prepared)

        def on_evaluation(evaluation: Evaluation) -> bool:
            fields = dataclasses.asdict(evaluation)
            return push({"kind": "evaluation", "evaluation": fields}) == STOP

        telling = _Telling(self.coordinator, job.config.trial_id)
        first = self.world.rank == 0
        outcome = run_trial(
            with_own_state(job.config, attempt, takes_over=first, note=telling.note),
            prepared,
            handle.task,
            self.world,
            on_evaluation,
            teacher,
            DerivedTeachers(self.coordinator, self.slot, self.world, job.config.trial_id, prepared),
            telling,
        )
        object_store.verify(handle, prepared)
        if self.world.rank != 0 or outcome.stopped:
            return None
        return {
            "kind": "done",
            "student": drafts.hand_over(self.coordinator, job.config, outcome.student),
            "evaluation": dataclasses.asdict(outcome.evaluation),
            "metrics": dict(outcome.metrics),
            "row_outcomes": outcome.row_outcomes,
            "row_predictions": outcome.row_predictions,
            "confusion": outcome.confusion,
            "seconds": outcome.seconds,
        }

    def _open(self, key: str) -> tuple[TeacherHandle, PreparedTask, Teacher]:
        """The prepared task of a job, cached while consecutive jobs have the same task."""
        if self._opened is None or self._opened[0].fingerprint != key:
            self._opened = self._recording = None
            handle, prepared = self._fetch(key)
            handle = object_store.with_mapped(handle, prepared)
            self._opened = (handle, prepared, open_teacher(prepared, self.world))
        return self._opened

    def _fetch(self, key: str) -> tuple[TeacherHandle, PreparedTask]:
        """Read a prepared task; if it was lost, request it again and wait for it."""
        handle: TeacherHandle = read(answer(self.coordinator.read.remote(key)))
        until = time.monotonic() + LOST_S
        while True:
            try:
                return handle, object_store.fetch(handle)
            except ray.exceptions.ObjectLostError as exc:
                lost = handle.version
                answer(self.coordinator.report_lost.remote(key, lost))
                while handle.version == lost:
                    if time.monotonic() > until:
                        raise TrialError(
                            f"the teacher of {handle.task.name} is lost: {last_line(exc)}",
                            hint="raykd sweep --resume publishes it again",
                        ) from exc
                    time.sleep(POLL_S / 4)
                    handle = read(answer(self.coordinator.read.remote(key)))


class _Telling(TrialListener):
    """Tells the driver of a trial, by way of the coordinator."""

    def __init__(self, coordinator: Any, trial_id: str) -> None:
        self._coordinator, self._trial_id = coordinator, trial_id

    def note(self, message: str) -> None:
        """A note."""
        what = {"message": f"{self._trial_id}: {message}"}
        answer(self._coordinator.notify.remote("note", what))

    def steps(self, point: StepPoint) -> None:
        """Step metrics; training does not wait for the answer."""
        what = {"trial_id": self._trial_id, **dataclasses.asdict(point)}
        self._coordinator.notify.remote("trial_steps", what)


class NoHeartbeat:
    """Replaces a `Heartbeat` on ranks that do not talk to the coordinator."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """Nothing to end."""

    def interruptible(self) -> contextlib.AbstractContextManager[None]:
        """Nothing interrupts."""
        return contextlib.nullcontext()


def slot_loop(settings: dict[str, Any]) -> None:
    """What the trainer of a slot runs on every rank."""
    # The store's arrays are read-only, and raykd copies before it writes (object_store.verify
    # checks).
    warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault(*CUBLAS_WORKSPACE)
    torch.set_num_threads(settings["threads"])
    set_arithmetic()
    SlotWorker(settings).serve()
