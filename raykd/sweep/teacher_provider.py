"""Provides the teachers of a sweep: from the cache or prepared in a slot, then published."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray

from raykd.clusters import nodes
from raykd.errors import SetupError, TeacherError
from raykd.models.tokenizers import save_tokenizer
from raykd.results.event_log import EventLog
from raykd.results.records import TEACHER_NOTE, TaskRecord
from raykd.results.serialization import to_dict
from raykd.sweep import run_folder
from raykd.sweep.task_records import joined_record, task_record, teacher_record
from raykd.task_setup.named_teachers import combined, teacher_key
from raykd.task_setup.set_up import TaskSetup
from raykd.teachers import object_store
from raykd.teachers.prepared_task import PreparedTask
from raykd.teachers.serving_plan import ServingPlan
from raykd.teachers.stepwise_store import StepwiseStore
from raykd.teachers.teacher_cache import (
    TeacherCache,
    describe_missing,
    finish_task,
    with_known_parts,
)
from raykd.teachers.teacher_work import TeacherWork
from raykd.teachers.user_cache import make_room
from raykd.trial import drafts
from raykd.trial.coordinator import RAY_THREAD, answer
from raykd.trial.follow import follow
from raykd.trial.preparation import PrepareJob
from raykd.trial.spreading import Spreading
from raykd.trial.unread import unread

_UNITS = {"finetune": "evaluations", "analyse": "analyses"}
_POLL_S = 0.2


class TeacherProvider:
    """Has all teachers prepared at once and publishes them task by task.

    What a slot made is written to the cache as soon as it is there, in a thread, so that another
    sweep that waits for the same teacher continues.

    Args:
        setups: Tasks with their teachers, by `raykd.task_setup.named_teachers.teacher_key`, which
            is the name of the task where it has one teacher; combinations behind those they
            combine.
        plan: How a teacher is served.
        retries: How often a teacher is prepared again after a failure.
        coordinator: Handle of the coordinator actor.
        log: The event log.
        run: The run folder.
        cache: The cache of teachers.
        cache_bytes: Most it may hold.

    Attributes:
        when_known: Called with teachers when it is known what of them is missing.
    """

    def __init__(
        self,
        setups: Mapping[str, TaskSetup],
        plan: Callable[[TaskSetup], ServingPlan],
        retries: int,
        coordinator: Any,
        log: EventLog,
        run: Path,
        cache: TeacherCache,
        cache_bytes: int,
    ) -> None:
        self._setups = setups
        self._coordinator = coordinator
        self._log = log
        self._run = run
        self._cache = cache
        self._cache_bytes = cache_bytes
        self._retries = retries
        self._plan = plan
        self._plans = {
            key: plan(setup) for key, setup in setups.items() if not setup.spec.teacher.members
        }
        self.when_known: Callable[[Iterable[TeacherWork]], None] = lambda works: None
        self._work: dict[str, TeacherWork] = {}
        self._elsewhere: set[str] = set()
        self._inputs: list[Any] = []  # keeps what the jobs read alive
        self._spreading = Spreading(needed=len(nodes.alive()) > 1)
        drafts.clear(run / "teachers")  # of an earlier driver
        self._ready: dict[str, object_store.TeacherHandle] = {}
        self._turn = ""
        self._records: dict[str, TaskRecord] = {}

    def expect_nodes(self) -> None:
        """Nodes may join that do not reach the files of this machine."""
        self._spreading.needed = True

    def request(self) -> None:
        """Look what is in the cache, and submit a job for each teacher that lacks parts.

        One that another process makes at this time is waited for when its turn comes.
        """
        missing = [task for task in tuple(self._plans) if self._request_missing(task)]
        self.when_known([self._work[task] for task in self._plans])
        if missing:
            threading.Thread(
                target=self._collect, args=(missing,), daemon=True, name=f"{RAY_THREAD} teachers"
            ).start()

    def wait(
        self, task: str, stop: Callable[[], bool] = lambda: False
    ) -> object_store.TeacherHandle | None:
        """The published teacher of a task, None when the sweep was stopped meanwhile.

        Args:
            task: Task name.
            stop: Asked now and then whether to wait no more.

        Raises:
            TeacherError: Its preparation failed.
            SetupError: A disk is full.
        """
        self._turn = self._setups[task].task.name
        plan, work = self._plans[task], self._work[task]
        if task in self._elsewhere:
            if not self._cache.wait(plan.keys, task, self._note, stop):
                return None
            self._elsewhere.discard(task)
            if self._request_missing(task):
                self._collect([task])
            work = self._work[task]
        while not work.over.wait(_POLL_S):
            if stop():
                return None
        if work.error is not None:
            raise work.error
        if work.lookup.missing and work.made is None:
            return None  # the coordinator was closed
        if task not in self._ready:
            self._publish(task, work)
        return self._ready[task]

    def wait_for_task(
        self, task: str, stop: Callable[[], bool] = lambda: False
    ) -> dict[str, str] | None:
        """Every teacher of a task, published: its name to the key that slots find it by.

        Combinations are made of what the others have said; None as in `wait`.
        """
        fingerprints = {}
        for key, setup in self._setups.items():
            if setup.task.name != task:
                continue
            if setup.spec.teacher.members:
                self._combine(key, setup)
            handle = self.wait(key, stop)
            if handle is None:
                return None
            fingerprints[setup.named] = handle.fingerprint
        return fingerprints

    def _combine(self, key: str, setup: TaskSetup) -> None:
        """Make the outputs of a combination, of teachers that are published."""
        task = setup.task.name
        members = {
            name: object_store.fetch(self._ready[teacher_key(task, name)])
            for name in setup.spec.teacher.members
        }
        made = combined(setup, members)
        self._plans = {**self._plans, key: self._plan(made)}
        work = self._look_up(key)
        self.when_known([work])
        work.over.set()

    def _request_missing(self, task: str) -> bool:
        """Look for a teacher, and submit a job for what is missing; whether there is a job."""
        plan = self._plans[task]
        work = self._look_up(task)
        if not work.lookup.missing:
            work.over.set()
            self._cache.release(plan.keys)
            return False
        if not self._cache.claim(plan.keys):
            who = self._cache.holder(plan.keys)
            self._note(f"the teacher of {task} is being made by {who}: it is waited for")
            self._elsewhere.add(task)
            return False
        work = self._look_up(task)  # another process may have been at it until now
        if not work.lookup.missing:
            return self._request_missing(task)
        if missing := describe_missing(self._cache, task, plan.keys, work.lookup):
            self._note(missing)
        inputs = self._spreading.inputs(with_known_parts(plan.inputs, work.lookup))
        ref = ray.put(inputs)
        self._inputs.append((ref, inputs.teacher, inputs.student))
        work.files = drafts.draft_of(self._run.resolve() / "teachers" / plan.keys.teacher)
        job = unread(PrepareJob(inputs=(ref,), files=str(work.files)))
        answer(self._coordinator.submit.remote(_job(task), job, self._retries))
        return True

    def _look_up(self, task: str) -> TeacherWork:
        plan = self._plans[task]
        lookup = self._cache.look_up(plan.inputs, plan.keys)
        tokenizer = functools.partial(save_tokenizer, self._setups[task].tokenizers.teacher)
        store = StepwiseStore(self._cache, plan.inputs, plan.keys, lookup, tokenizer)
        work = TeacherWork(plan=plan, lookup=lookup, store=store)
        self._work[task] = work
        return work

    def _collect(self, tasks: Iterable[str]) -> None:
        """Follow the jobs of teachers; what is made is kept at once."""
        jobs = {_job(task): task for task in tasks}
        try:
            follow(self._coordinator, jobs, lambda job, event: self._on_event(jobs[job], event))
        except BaseException as exc:  # handed to the waiting thread
            for task in jobs.values():
                self._work[task].error = self._work[task].error or exc
        finally:
            for task in jobs.values():
                self._cache.release(self._plans[task].keys)
                self._work[task].over.set()

    def _on_event(self, task: str, event: Mapping[str, Any]) -> None:
        work = self._work[task]
        if event["kind"] == "progress":
            self._log.emit(
                "teacher_progress",
                task=self._setups[task].task.name,
                unit=_UNITS.get(event["phase"], "rows"),
                **{k: event[k] for k in ("phase", "done", "total", "detail")},
            )
        elif event["kind"] == "finetuned":
            work.store.weights(ray.get(event["result"][0]))
        elif event["kind"] == "done":
            work.made, work.blocks = ray.get(event["result"][0]), tuple(event["blocks"])
            work.fresh = True
            self._keep(task, work)
        elif event["kind"] == "failed":
            work.error = TeacherError(
                f"preparing the teacher of {task} failed: {event['error']}",
                hint=event.get("hint", "") or "try it alone: raykd teacher FILE -v",
            )
        if event["kind"] in ("done", "failed", "cancelled"):
            self._cache.release(work.plan.keys)
            work.over.set()

    def _keep(self, task: str, work: TeacherWork) -> None:
        """Write what a slot made to the cache, block by block; the sweep does not wait for it."""
        assert work.made is not None
        try:
            work.store.rest(work.made, work.block)
            needed = {plan.keys.teacher for plan in self._plans.values()}
            if message := make_room(self._cache, self._cache_bytes, needed):
                self._note(message)
            if self._cache.writable:
                self._take_weights_from_cache(work)
            if self._setups[task].task.name != self._turn and self._cache.writable:
                self._leave_to_the_cache(work)
        except (SetupError, OSError) as exc:
            self._note(f"the teacher of {task} is not kept for the next sweep: {exc}")

    def _take_weights_from_cache(self, work: TeacherWork) -> None:
        """Read weights from the cache from now on, and delete what the slot wrote of them."""
        lookup = self._cache.look_up(work.plan.inputs, work.plan.keys)
        assert work.made is not None
        state = work.made.state if lookup.state is None else lookup.state()
        student = lookup.made.student or work.made.student
        work.made = replace(work.made, state=state, student=student)
        work.delete_files()

    def _leave_to_the_cache(self, work: TeacherWork) -> None:
        """Free the object store until the turn of a task comes: it is read from the cache then."""
        lookup = self._cache.look_up(work.plan.inputs, work.plan.keys)
        if not lookup.missing:
            work.lookup, work.made, work.blocks = lookup, None, ()
            answer(self._coordinator.delete.remote(work.plan.inputs.fingerprint))

    def _publish(self, task: str, work: TeacherWork) -> None:
        """Publish a teacher for the trials of its task."""
        setup = self._setups[task]
        bare, handle = self._published(task, work)
        teacher = teacher_record(setup, bare, handle, cached=not work.fresh, plan=work.plan)
        name = setup.task.name
        record = self._records[name] = joined_record(
            self._records.get(name), task_record(setup, bare)
        )
        run_folder.write_teacher(self._run, task, teacher, record)
        self._log.emit("teacher_ready", task=name, teacher=to_dict(teacher), record=to_dict(record))
        self._ready[task] = handle

    def _published(
        self, task: str, work: TeacherWork, version: int = 0
    ) -> tuple[PreparedTask, object_store.TeacherHandle]:
        bare, values = finish_task(work.plan.inputs, work.lookup, work.made, work.block)
        bare = self._spreading.prepared(bare)
        if values is not None:
            blocks = object_store.put_blocks(values)
        elif bare.cached_outputs is not None:
            blocks = iter(work.blocks)
        else:
            blocks = iter(())
        handle = object_store.publish(bare, self._setups[task].task, blocks, version)
        answer(self._coordinator.publish.remote(handle.fingerprint, unread(handle)))
        for made in ("prepared", "finetuned"):
            answer(self._coordinator.delete.remote(f"{handle.fingerprint}/{made}"))
        return bare, handle

    def republish(self, fingerprint: str, version: int) -> None:
        """Publish a teacher that was lost from the object store, from the cache.

        Args:
            fingerprint: Which one.
            version: The version that was lost.
        """
        task = next((t for t, h in self._ready.items() if h.fingerprint == fingerprint), None)
        if task is None:
            return
        work = self._look_up(task)
        work.over.set()
        if work.lookup.missing:
            self._note(f"the teacher of {task} is lost, from the object store and from the cache")
            return
        self._ready[task] = self._published(task, work, version + 1)[1]
        self._note(f"the teacher of {task} was lost from the object store and published again")

    def release(self, task: str) -> None:
        """Free the object store of a task that is done."""
        for key in [k for k in self._ready if self._setups[k].task.name == task]:
            handle = self._ready.pop(key)
            self._work[key].delete_files()
            answer(self._coordinator.delete.remote(handle.fingerprint))

    def close(self) -> None:
        """Let other processes have what this one holds of the cache; nothing reads drafts now."""
        self._cache.close()
        drafts.clear(self._run / "teachers")

    def _note(self, message: str) -> None:
        self._log.emit("note", message=message, about=TEACHER_NOTE)


def _job(task: str) -> str:
    return f"teacher.{task}"
