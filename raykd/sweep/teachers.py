"""The teachers of a sweep: from the cache or prepared in a slot, published for every trial."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ray

from raykd.errors import TeacherError
from raykd.models.tokenizers import save_tokenizer
from raykd.results.codec import to_dict
from raykd.spec.schema import SweepSpec
from raykd.sweep import runfolder
from raykd.sweep.describe import task_record, teacher_record
from raykd.sweep.events import EventLog
from raykd.sweep.gather import Gathered
from raykd.sweep.serving import Planned, inputs_of
from raykd.teachers import cache, store
from raykd.teachers.prepare import Prepared
from raykd.trial.board import answer
from raykd.trial.follow import follow
from raykd.trial.worker import PrepareJob

_UNITS = {"finetune": "evaluations", "analyse": "analyses"}


class Teachers:
    """Requests every teacher at once and gives them out task by task.

    Args:
        spec: The sweep.
        gathered: Tasks by name.
        board: Handle of the board actor.
        log: The event log.
        run: The run folder.
        folder: The cache of prepared tasks.
        store_bytes: Capacity of the object store.
    """

    def __init__(
        self,
        spec: SweepSpec,
        gathered: Mapping[str, Gathered],
        board: Any,
        log: EventLog,
        run: Path,
        folder: Path,
        store_bytes: int,
    ) -> None:
        self._gathered = gathered
        self._board = board
        self._log = log
        self._run = run
        self._folder = folder
        self._retries = spec.resources.max_failures
        self._planned = {task: inputs_of(spec, g, store_bytes) for task, g in gathered.items()}
        self._inputs: list[Any] = []  # keeps what the jobs read alive
        self._ready: dict[str, store.TeacherHandle] = {}

    def request(self) -> None:
        """Take teachers from the cache, and put a job on the board for each of the others."""
        for task, planned in self._planned.items():
            prepared = cache.load(self._folder, planned.inputs.fingerprint)
            if prepared is not None:
                self._publish(task, prepared, cached=True)
                continue
            ref = ray.put(planned.inputs)
            self._inputs.append(ref)
            job = PrepareJob(inputs=(ref,))
            answer(self._board.submit.remote(_job(task), job, self._retries))

    def wait(self, task: str) -> store.TeacherHandle | None:
        """The published teacher of a task, None when the sweep was stopped meanwhile.

        Raises:
            TeacherError: Its preparation failed.
        """
        if task not in self._ready:
            follow(self._board, [_job(task)], lambda _, event: self._on_event(task, event))
        return self._ready.get(task)

    def _on_event(self, task: str, event: Mapping[str, Any]) -> None:
        if event["kind"] == "progress":
            self._log.emit(
                "teacher_progress",
                task=task,
                unit=_UNITS.get(event["phase"], "rows"),
                **{k: event[k] for k in ("phase", "done", "total", "detail")},
            )
        elif event["kind"] == "done":
            prepared, state = ray.get(event["result"][0])
            folder = cache.store(self._folder, prepared, state)
            save_tokenizer(self._gathered[task].tokens.teacher, folder)
            self._publish(task, prepared, cached=False)
        elif event["kind"] == "failed":
            raise TeacherError(
                f"preparing the teacher of {task} failed: {event['error']}",
                hint=event.get("hint", "") or "try it alone: raykd teacher FILE -v",
            )

    def _publish(self, task: str, prepared: Prepared, *, cached: bool) -> None:
        handle = store.publish(prepared, self._gathered[task].task)
        answer(self._board.share.remote(handle.fingerprint, handle))
        planned: Planned = self._planned[task]
        teacher = teacher_record(
            self._gathered[task],
            prepared,
            handle.store_bytes,
            cached=cached,
            serving=planned.serving,
        )
        record = task_record(self._gathered[task], prepared)
        runfolder.write_teacher(self._run, task, teacher, record)
        self._log.emit("teacher_ready", task=task, teacher=to_dict(teacher), record=to_dict(record))
        self._ready[task] = handle


def _job(task: str) -> str:
    return f"teacher.{task}"
