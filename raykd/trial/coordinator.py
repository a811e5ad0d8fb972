"""The coordinator of a sweep: a queue of jobs leased to slots, heartbeats and stop flags.

Drivers submit a job and pull its events; the rank-0 worker of a slot takes a job, pushes events and
learns from every answer whether to continue. Nothing here waits for ever: a worker that falls
silent loses its lease and what it claimed, and the job goes to another slot. The loss counts once
the worker was heard of; before, it may have died while the coordinator still waited with its
question.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import ray

from raykd.trial import shared_objects
from raykd.trial.coordinator_answer import answer as answer
from raykd.trial.notifications import Notifications
from raykd.trial.shared_objects import SharedObjects, wait
from raykd.trial.signs_of_life import SignsOfLife

NODE_LABEL = "ray.io/node-id"
"""The label that Ray gives every node."""

RAY_THREAD = "raykd with Ray"
"""How the names of threads begin that call Ray: it must not be left while one of them is alive."""

LEASE_SILENCE_S = 30.0
"""A leased job whose worker has not been heard of for this long goes to another slot."""

UNHEARD_LOSSES = 3
"""Times in a row that a job may be lost before its worker reports; then it counts as failed."""

CLOSE, IDLE, GO, STOP = "close", "idle", "go", "stop"
READY, MINE, WAIT = shared_objects.READY, shared_objects.MINE, shared_objects.WAIT


@dataclass(slots=True)
class _Job:
    payload: Any
    max_failures: int
    events: list[dict[str, Any]] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    slot: int | None = None
    attempt: int = 0
    failures: int = 0
    unheard: int = 0
    accepted: bool = False
    lease: dict[str, Any] | None = None
    heard: float = 0.0
    over: bool = False
    changed: asyncio.Event = field(default_factory=asyncio.Event)


class CoordinatorState(SharedObjects):
    """The coordinator without Ray, for tests; `start_coordinator` makes an actor of it.

    Args:
        silence_s: Seconds without a heartbeat after which a lease is given to another slot.
        store: Stores a value where every node can read it and returns a reference.
    """

    def __init__(
        self, silence_s: float = LEASE_SILENCE_S, store: Callable[[Any], Any] = lambda value: value
    ) -> None:
        super().__init__(store)
        self._silence_s = silence_s
        self._jobs: dict[str, _Job] = {}
        self._queue: deque[str] = deque()
        self._queued = asyncio.Event()
        self._lost: set[tuple[str, int]] = set()
        self._notifications = Notifications()
        self._closed = False
        self._refusal: dict[str, Any] | None = None
        self._worked: set[int] = set()
        self._expected: set[int] = set()
        self._lives: dict[int, int] = {}
        self._signs = SignsOfLife(silence_s)
        self._watch: asyncio.Task[None] | None = None

    # What the driver calls ---------------------------------------------------------------------

    async def submit(
        self, job_id: str, payload: Any, max_failures: int, again: bool = False
    ) -> None:
        """Queue a job. An id that is known only attaches to it, unless it is over and runs `again`.

        Where nobody is left to run it, the job is over at once, or its driver would wait for ever.
        """
        self._start_watching()
        before = self._jobs.get(job_id)
        if before is not None and not (again and before.over):
            return
        attempt = before.attempt if before is not None else 0
        self._jobs[job_id] = _Job(payload=payload, max_failures=max_failures, attempt=attempt)
        if self._refusal is not None:
            self._end(job_id, self._refusal)
            return
        self._enqueue(job_id)

    async def pull(self, job_id: str, cursor: int, timeout_s: float) -> list[dict[str, Any]]:
        """Events of a job from position `cursor` on; an empty list after `timeout_s` of silence."""
        job = self._jobs[job_id]
        if len(job.events) <= cursor:
            job.arrived.clear()
            await wait(job.arrived, timeout_s)
        return job.events[cursor:]

    async def cancel(self, job_id: str) -> None:
        """Stop a job: its worker learns it with the answer to its next report."""
        job = self._jobs.get(job_id)
        if job is not None and not job.over:
            self._end(job_id, {"kind": "cancelled"})

    async def forget(self, job_id: str) -> None:
        """Drop a job that is over and whose events were read."""
        job = self._jobs.get(job_id)
        if job is not None and job.over:
            job.payload = None
            job.events = job.events[-1:]

    async def notifications(self, cursor: int, timeout_s: float) -> list[dict[str, Any]]:
        """What happened to slots and leases, from position `cursor` on."""
        return await self._notifications.since(cursor, timeout_s)

    async def close(self) -> None:
        """Shut down: stop the workers and cancel the jobs."""
        self._closed = True
        self._queued.set()
        self._refuse({"kind": "cancelled"})

    async def is_closed(self) -> bool:
        """Whether the workers are to stop."""
        return self._closed

    async def slot_failed(self, slot: int, reason: str) -> bool:
        """A supervisor reports that a slot is lost; its job goes to another one.

        Returns:
            Whether the slot had taken a job since it was last lost.
        """
        self._notifications.add("slot", slot=slot, state="lost", reason=reason)
        self._release(slot, "the slot was lost")
        had_work = slot in self._worked
        self._worked.discard(slot)
        return had_work

    async def add_slots(self, slots: list[int]) -> None:
        """Note that slots are being started; after a total loss, jobs are accepted again."""
        self._expected |= set(slots)
        if slots and not self._closed:
            self._refusal = None

    async def remove_slots(self, slots: list[int], why: str) -> None:
        """Write off slots that are lost with their node; others may join."""
        for slot in slots:
            self._expected.discard(slot)
            self._signs.forget(slot)
            self._notifications.add("slot", slot=slot, state="lost", reason=why)
            self._release(slot, why)

    async def slot_given_up(self, slot: int, reason: str, hint: str = "") -> None:
        """A slot cannot be kept alive; if it was the last, every job fails with the reason."""
        self._expected.discard(slot)
        self._signs.forget(slot)
        if not self._expected:
            self._refuse({"kind": "failed", "error": reason, "hint": hint, "traceback": ""})

    # What workers call -------------------------------------------------------------------------

    async def register(self, slot: int, node: str) -> None:
        """A worker group is ready. A job that it held before was lost with its workers."""
        self._start_watching()
        self._release(slot, "its worker was restarted")
        self._signs.heard(slot)
        self._notifications.add("slot", slot=slot, state="ready", node=node)

    async def take(self, slot: int, node: str, timeout_s: float) -> tuple[str, int, Any]:
        """The next job as (id, attempt, payload); id is `IDLE` or `CLOSE` when there is none."""
        life = self._lives.get(slot, 0)
        self._signs.heard(slot)
        if not self._queue and not self._closed:
            self._queued.clear()
            await wait(self._queued, timeout_s)
        if self._closed:
            return CLOSE, 0, None
        if self._lives.get(slot, 0) != life:
            return IDLE, 0, None  # whoever asked is gone
        while self._queue:
            job_id = self._queue.popleft()
            job = self._jobs[job_id]
            if not job.over:
                job.slot, job.heard = slot, time.monotonic()
                job.attempt += 1
                job.accepted = False
                job.lease = {
                    "slot": slot, "node": node, "attempt": job.attempt, "time": time.time()
                }  # fmt: skip
                self._worked.add(slot)
                self._notifications.add("leased", job=job_id, **job.lease)
                return job_id, job.attempt, job.payload
        return IDLE, 0, None

    async def payload(self, job_id: str) -> Any:
        """What is to be done in a job, for ranks that did not take it themselves."""
        return self._jobs[job_id].payload

    async def report_lost(self, key: str, version: int) -> None:
        """A published object cannot be read any more; the driver is notified once per version."""
        if (key, version) not in self._lost:
            self._lost.add((key, version))
            self._notifications.add("lost", key=key, version=version)

    async def notify(self, kind: str, what: dict[str, Any]) -> None:
        """Notify the driver of something that a worker did."""
        self._notifications.add(kind, **what)

    async def push(self, job_id: str, attempt: int, event: dict[str, Any]) -> str:
        """An event of a running job; answers `GO` or `STOP`."""
        job = self._held(job_id, attempt)
        if job is None:
            return STOP
        if event["kind"] in ("done", "failed"):
            if job.slot is not None:
                self._release_claims_of(job.slot)  # what it made is there; the rest it never will
            self._end(job_id, event)
        else:
            job.events.append({**event, "lease": job.lease})
            job.arrived.set()
        return GO

    async def heartbeat(self, job_id: str, attempt: int, timeout_s: float = 0.0) -> str:
        """Renew a lease; answers `STOP` as soon as the job is not the caller's, else `GO`.

        Args:
            job_id: The job.
            attempt: The one that the caller works on.
            timeout_s: How long to wait for a reason to stop.
        """
        job = self._held(job_id, attempt)
        if job is not None and timeout_s:
            await wait(job.changed, timeout_s)
            job = self._held(job_id, attempt)
        if job is not None:
            return GO
        known = self._jobs.get(job_id)
        if known is not None and known.attempt == attempt and known.lease is not None:
            self._signs.heard(known.lease["slot"])  # stopped, and not yet done with it
        return STOP

    async def unregister(self, slot: int) -> None:
        """A worker group ends on purpose."""
        self._signs.forget(slot)
        self._notifications.add("slot", slot=slot, state="ended")

    # Inside ------------------------------------------------------------------------------------

    def _held(self, job_id: str, attempt: int) -> _Job | None:
        """The job that this attempt still holds, with its heartbeat noted; None if it lost it."""
        job = self._jobs.get(job_id)
        if job is None or job.over or job.attempt != attempt or job.slot is None:
            return None
        job.heard = time.monotonic()
        job.accepted, job.unheard = True, 0
        self._signs.heard(job.slot)
        return job

    def _enqueue(self, job_id: str) -> None:
        self._queue.append(job_id)
        self._queued.set()

    def _refuse(self, event: dict[str, Any]) -> None:
        self._refusal = event
        for job_id, job in self._jobs.items():
            if not job.over:
                self._end(job_id, event)

    def _end(self, job_id: str, event: dict[str, Any]) -> None:
        job = self._jobs[job_id]
        job.over = True
        job.events.append({**event, "lease": job.lease})
        job.slot = None
        job.arrived.set()
        job.changed.set()

    def _release(self, slot: int, why: str) -> None:
        """Release what the lost workers of a slot held, claimed or waited for."""
        self._lives[slot] = self._lives.get(slot, 0) + 1
        self._release_claims_of(slot)
        for job_id, job in self._jobs.items():
            if job.slot == slot and not job.over:
                self._requeue(job_id, why)

    def _requeue(self, job_id: str, why: str) -> None:
        job = self._jobs[job_id]
        job.slot = None
        # The worker of the lost attempt learns it; one of the next attempt waits on another event.
        job.changed.set()
        job.changed = asyncio.Event()
        job.failures += job.accepted
        job.unheard += not job.accepted
        if job.failures > job.max_failures or job.unheard > UNHEARD_LOSSES:
            reason = f"given up after {job.attempt} attempts: {why}"
            hint = (
                "its process ended without a word, or hung: code that calls os._exit, a crash in "
                "native code, or memory that ran out"
            )
            self._end(job_id, {"kind": "failed", "error": reason, "hint": hint, "traceback": ""})
            return
        self._notifications.add("requeued", job=job_id, why=why)
        self._queue.appendleft(job_id)
        self._queued.set()

    def _start_watching(self) -> None:
        if self._watch is None:
            self._watch = asyncio.get_running_loop().create_task(self._watch_leases())

    async def _watch_leases(self) -> None:
        while not self._closed:
            await asyncio.sleep(min(1.0, self._silence_s / 4))
            now = time.monotonic()
            why = f"no heartbeat for {self._silence_s:.0f} s"
            for job_id, job in list(self._jobs.items()):
                if job.slot is not None and not job.over and now - job.heard > self._silence_s:
                    self._release_claims_of(job.slot)
                    self._requeue(job_id, why)
            for slot, state in self._signs.news():
                self._notifications.add("slot", slot=slot, state=state, reason=why)


def start_coordinator(name: str, namespace: str, silence_s: float = LEASE_SILENCE_S) -> Any:
    """Start the coordinator of a sweep as a named actor that takes no resources."""
    actor = ray.remote(CoordinatorState).options(
        name=name, namespace=namespace, num_cpus=0, max_concurrency=10_000,
        # With the driver: the two are lost together or not at all.
        label_selector={NODE_LABEL: ray.get_runtime_context().get_node_id()},
    )  # fmt: skip
    return actor.remote(silence_s, ray.put)
