"""The coordinator under random interleavings of slots, losses and drivers, in simulated time.

Workers are what the coordinator knows them as: they take, report, beat, fall silent, die, hang and
come back too late. However that goes, no job is lost, none ends twice, nobody who lost a job is
told to continue, and once workers are well again everything comes to its end.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from dataclasses import dataclass
from unittest import mock

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from raykd.trial.coordinator import CLOSE, GO, IDLE, LEASE_SILENCE_S, MINE, STOP, CoordinatorState

SLOTS = st.integers(0, 2)
BEAT_S, POLL_S = 5.0, 2.0
ENDS = ("done", "failed", "cancelled")
PATIENCE_S = 2_000.0
"""Of simulated time, for all jobs to end once the workers are well."""


class Simulated(selectors.SelectSelector):
    """Nothing is waited for: the clock moves on by as long as the loop would have slept."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0

    def select(self, timeout=None):
        self.now += max(timeout or 0.0, 0.0)
        return super().select(0)


@dataclass
class Worker:
    """A process of a slot, from its start to its death."""

    slot: int
    hangs: bool = False
    dead: bool = False
    job: str | None = None
    attempt: int = 0
    asking: asyncio.Task | None = None


class Coordinator(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.clock = Simulated()
        self.loop = asyncio.SelectorEventLoop(self.clock)
        self.loop.time = lambda: self.clock.now
        self.patch = mock.patch.multiple(
            time, monotonic=lambda: self.clock.now, time=lambda: self.clock.now
        )
        self.subject = CoordinatorState()
        self.workers: dict[int, Worker] = {}
        self.zombies: list[Worker] = []
        self.jobs: dict[str, int] = {}
        self.ended: dict[str, str] = {}
        self.given_up: set[int] = set()
        self.unheard: list[asyncio.Task] = []
        self.run(self.subject.add_slots([0, 1, 2]))
        for slot in range(3):
            self.begin(slot)

    def run(self, coroutine):
        with self.patch:
            return self.loop.run_until_complete(coroutine)

    def begin(self, slot: int) -> None:
        """A new worker of a slot registers and asks for a job."""
        if (before := self.workers.get(slot)) is not None:
            self.known_to_be_gone(before)
            if not before.dead:
                self.zombies.append(before)
        self.workers[slot] = Worker(slot)
        self.run(self.subject.register(slot, f"node-{slot}"))

    def known_to_be_gone(self, worker: Worker) -> None:
        """The coordinator is about to hear that nobody waits for this answer any more."""
        if worker.asking is not None and not worker.asking.done():
            self.unheard.append(worker.asking)
        worker.asking = None

    async def live(self, seconds: float) -> None:
        """Time passes; workers that are well ask for jobs and send heartbeats."""
        until = self.clock.now + seconds
        while True:
            for worker in self.workers.values():
                await self.turn(worker)
            left = until - self.clock.now
            if left <= 0:
                return
            await asyncio.sleep(min(BEAT_S, left))

    async def turn(self, worker: Worker) -> None:
        if worker.asking is not None and worker.asking.done():
            job, attempt, _ = worker.asking.result()
            worker.asking = None
            if job not in (IDLE, CLOSE):
                assert not self.subject._jobs[job].over or self.ended[job] == "cancelled"
                worker.job, worker.attempt = job, attempt
        if worker.dead or worker.hangs:
            return
        job, attempt = worker.job, worker.attempt
        if job is not None and await self.subject.heartbeat(job, attempt) == STOP:
            await self.subject.release_claims(worker.slot)
            worker.job = None
        if worker.job is None and worker.asking is None:
            requested = self.subject.take(worker.slot, f"node-{worker.slot}", POLL_S)
            worker.asking = asyncio.ensure_future(requested)

    def busy(self) -> list[Worker]:
        return [w for w in self.workers.values() if w.job and not w.dead and not w.hangs]

    def push(self, worker: Worker, kind: str) -> str:
        event = {"kind": kind, "error": "e", "by": (worker.slot, worker.attempt)}
        return self.run(self.subject.push(worker.job, worker.attempt, event))

    @initialize()
    def begin_to_work(self):
        for _ in range(4):
            self.submit(1)
        self.pass_time(4.0)

    @rule(failures=st.integers(0, 2))
    def submit(self, failures):
        name = f"job-{len(self.jobs)}"
        self.jobs[name] = failures
        self.run(self.subject.submit(name, name.upper(), failures))
        if len(self.given_up) < len(self.workers):
            assert not self.subject._jobs[name].over, "somebody is there to run it"

    @precondition(lambda self: self.jobs)
    @rule(data=st.data())
    def submit_what_is_known(self, data):
        self.run(self.subject.submit(data.draw(st.sampled_from(sorted(self.jobs))), "?", 0))

    @rule(seconds=st.sampled_from([0.1, 1.0, 4.0, 20.0, LEASE_SILENCE_S + 3]))
    def pass_time(self, seconds):
        self.run(self.live(seconds))

    @precondition(lambda self: self.busy())
    @rule(data=st.data(), kind=st.sampled_from(["evaluation", "done", "failed"]))
    def report(self, data, kind):
        worker = data.draw(st.sampled_from(self.busy()))
        reply = self.push(worker, kind)
        holds = self.subject._jobs[worker.job]
        if reply == GO and kind == "evaluation":
            assert (holds.slot, holds.attempt) == (worker.slot, worker.attempt)
        if kind != "evaluation" or reply == STOP:
            worker.job = None

    @precondition(lambda self: self.busy())
    @rule(data=st.data(), made=st.booleans())
    def make_a_shared_object(self, data, made):
        worker = data.draw(st.sampled_from(self.busy()))
        state, _ = self.run(self.subject.claim("teacher", worker.slot, 0.0))
        if state == MINE and made:
            self.run(self.subject.put("teacher", "made"))

    @precondition(lambda self: self.busy())
    @rule(data=st.data(), seconds=st.sampled_from([0.0, 4.0, LEASE_SILENCE_S + 3]))
    def restart_in_the_middle_of_a_job(self, data, seconds):
        self.begin(data.draw(st.sampled_from(self.busy())).slot)
        self.pass_time(seconds)

    @precondition(lambda self: self.busy())
    @rule(data=st.data(), seconds=st.sampled_from([0.0, 4.0, LEASE_SILENCE_S + 3]))
    def hang_in_the_middle_of_a_job(self, data, seconds):
        worker = data.draw(st.sampled_from(self.busy()))
        worker.hangs = True
        self.pass_time(seconds)
        worker.hangs = False

    @rule(slot=SLOTS)
    def die_without_a_word(self, slot):
        self.workers[slot].dead = True

    @rule(slot=SLOTS)
    def hang(self, slot):
        self.workers[slot].hangs = True

    @rule(slot=SLOTS)
    def wake_up(self, slot):
        self.workers[slot].hangs = False

    @rule(slot=SLOTS)
    def restart(self, slot):
        """Ray Train starts the workers of a slot again, whatever the earlier ones do."""
        self.begin(slot)

    @rule(slot=SLOTS)
    def supervisor_sees_a_loss(self, slot):
        self.workers[slot].dead = True
        self.known_to_be_gone(self.workers[slot])
        self.run(self.subject.slot_failed(slot, "lost"))

    @rule(slot=SLOTS)
    def lose_the_node(self, slot):
        self.workers[slot].dead = True
        self.given_up.add(slot)
        self.known_to_be_gone(self.workers[slot])
        self.run(self.subject.remove_slots([slot], "its node was lost"))

    @rule(slot=SLOTS)
    def give_a_slot_up(self, slot):
        self.workers[slot].dead = True
        self.given_up.add(slot)
        self.run(self.subject.slot_given_up(slot, "cannot be kept alive"))

    @rule()
    def give_every_slot_up(self):
        for slot in range(3):
            self.give_a_slot_up(slot)

    @precondition(lambda self: self.given_up)
    @rule()
    def nodes_come_back(self):
        for slot in self.given_up:
            self.run(self.subject.add_slots([slot]))
            self.begin(slot)
        self.given_up = set()

    @precondition(lambda self: self.jobs)
    @rule(data=st.data())
    def cancel(self, data):
        self.run(self.subject.cancel(data.draw(st.sampled_from(sorted(self.jobs)))))

    @precondition(lambda self: self.zombies)
    @rule(data=st.data(), kind=st.sampled_from(["evaluation", "done", "failed"]))
    def speak_too_late(self, data, kind):
        """A worker whose slot was started again is never told to continue."""
        worker = data.draw(st.sampled_from(self.zombies))
        if worker.job is not None:
            assert self.push(worker, kind) == STOP
            assert self.run(self.subject.heartbeat(worker.job, worker.attempt)) == STOP

    @invariant()
    def every_job_waits_or_is_held_or_has_ended_once(self):
        for name, job in self.subject._jobs.items():
            ends = [event["kind"] for event in job.events if event["kind"] in ENDS]
            assert len(ends) == job.over
            assert not job.over or job.events[-1]["kind"] in ENDS
            if job.over:
                assert self.ended.setdefault(name, ends[0]) == ends[0]
                assert job.slot is None
            else:
                assert (name in self.subject._queue) != (job.slot is not None)
                assert self.subject._queue.count(name) <= 1

    @invariant()
    def no_job_went_to_a_caller_that_was_known_to_be_gone(self):
        for requested in self.unheard:
            assert not requested.done() or requested.result()[0] in (IDLE, CLOSE)

    @invariant()
    def nobody_but_the_last_attempt_ended_a_job(self):
        for job in self.subject._jobs.values():
            by = [event["by"][1] for event in job.events if "by" in event]
            assert by == sorted(by)
            if job.over and "by" in job.events[-1]:
                assert job.events[-1]["by"][1] == job.attempt

    def teardown(self):
        """One worker is well again, whatever became of the others: everything ends."""
        try:
            self.nodes_come_back()
            self.begin(0)
            until = self.clock.now + PATIENCE_S
            while any(not job.over for job in self.subject._jobs.values()):
                assert self.clock.now < until, "a job waits for ever"
                self.run(self.live(BEAT_S))
                for worker in self.busy():
                    self.push(worker, "done")
                    worker.job = None
            for worker in (self.workers[1], self.workers[2]):
                worker.dead = True
            self.run(self.live(2 * LEASE_SILENCE_S))
            state, _ = self.run(self.subject.claim("teacher", 0, 0.0))
            assert state in (MINE, "ready")
            assert set(self.subject._jobs) == set(self.jobs)
        finally:
            self.run(self.subject.close())
            self.run(self.live(BEAT_S))
            self.loop.close()


TestCoordinator = Coordinator.TestCase
TestCoordinator.settings = settings(
    max_examples=100, stateful_step_count=30, deadline=None, derandomize=True, database=None,
    suppress_health_check=list(HealthCheck), phases=[Phase.generate, Phase.shrink],
)  # fmt: skip
