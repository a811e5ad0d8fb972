"""The teachers of a sweep: from the cache or prepared in a slot, published for every trial."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
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
from raykd.teachers import cache, shelf, store
from raykd.teachers.prepared import Prepared
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
        cache_bytes: Most it may hold.
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
        cache_bytes: int,
        store_bytes: int,
    ) -> None:
        self._gathered = gathered
        self._board = board
        self._log = log
        self._run = run
        self._folder = folder
        self._cache_bytes = cache_bytes
        self._retries = spec.resources.max_failures
        self._planned = {task: inputs_of(spec, g, store_bytes) for task, g in gathered.items()}
        self._inputs: list[Any] = []  # keeps what the jobs read alive
        self._ready: dict[str, store.TeacherHandle] = {}

    def request(self) -> None:
        """Take teachers from the cache, and put a job on the board for each of the others."""
        for task, planned in self._planned.items():
            entry = cache.find(self._folder, planned.inputs.fingerprint)
            if entry is not None:
                blocks = store.put_blocks(entry.blocks())
                self._publish(task, entry.bare, blocks, cached=True)
                continue
            self._say_what_differs(task, planned)
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
            self._keep(task, event)
        elif event["kind"] == "failed":
            raise TeacherError(
                f"preparing the teacher of {task} failed: {event['error']}",
                hint=event.get("hint", "") or "try it alone: raykd teacher FILE -v",
            )

    def _keep(self, task: str, event: Mapping[str, Any]) -> None:
        """Write what a slot prepared to the cache, block by block, and publish it."""

        def blocks() -> Iterator[store.StoredBlock]:
            for ref in event["blocks"]:
                yield store.StoredBlock(ref=ref, arrays=ray.get(ref))

        prepared, state = ray.get(event["result"][0])
        served = prepared.recorded is not None
        folder = cache.store(
            self._folder, prepared, state, (b.arrays for b in blocks()) if served else (),
            self._planned[task].identity,
        )  # fmt: skip
        save_tokenizer(self._gathered[task].tokens.teacher, folder)
        gone = shelf.prune(self._folder, self._cache_bytes, self._needed())
        if gone:
            freed = sum(entry.nbytes for entry in gone) / 2**30
            self._note(
                f"the cache of teachers was over {self._cache_bytes / 2**30:,.0f} GiB: "
                f"{len(gone)} not used for longest were deleted ({freed:,.2f} GiB)"
            )
        self._publish(task, prepared, blocks() if served else (), cached=False)
        answer(self._board.drop.remote(f"{prepared.fingerprint}/prepared"))

    def _publish(
        self, task: str, bare: Prepared, blocks: Iterable[store.StoredBlock], *, cached: bool
    ) -> None:
        handle = store.publish(bare, self._gathered[task].task, blocks)
        answer(self._board.share.remote(handle.fingerprint, handle))
        planned: Planned = self._planned[task]
        teacher = teacher_record(
            self._gathered[task],
            bare,
            handle,
            cached=cached,
            serving=planned.serving,
        )
        record = task_record(self._gathered[task], bare)
        runfolder.write_teacher(self._run, task, teacher, record)
        self._log.emit("teacher_ready", task=task, teacher=to_dict(teacher), record=to_dict(record))
        self._ready[task] = handle

    def again(self, fingerprint: str, edition: int) -> None:
        """Publish a teacher that was lost from the object store, from the cache.

        Args:
            fingerprint: Which one.
            edition: The edition that was lost.
        """
        task = next((t for t, h in self._ready.items() if h.fingerprint == fingerprint), None)
        if task is None:
            return
        entry = cache.find(self._folder, fingerprint)
        if entry is None:
            self._note(f"the teacher of {task} is lost, from the object store and from the cache")
            return
        handle = store.publish(
            entry.bare, self._gathered[task].task, store.put_blocks(entry.blocks()), edition + 1
        )
        answer(self._board.share.remote(fingerprint, handle))
        self._ready[task] = handle
        self._note(f"the teacher of {task} was lost from the object store and published again")

    def release(self, task: str) -> None:
        """Free the object store of a task that is done."""
        handle = self._ready.pop(task)
        answer(self._board.drop.remote(handle.fingerprint))

    def _needed(self) -> set[str]:
        return {planned.inputs.fingerprint for planned in self._planned.values()}

    def _say_what_differs(self, task: str, planned: Planned) -> None:
        if (self._folder / planned.inputs.fingerprint).exists():
            self._note(f"the prepared teacher of {task} in the cache is damaged and made again")
            return
        found = shelf.differences(self._folder, task, planned.identity)
        if found:
            what = ", ".join(found)
            self._note(f"the prepared teacher of {task} in the cache does not fit: {what} differ")

    def _note(self, message: str) -> None:
        self._log.emit("note", message=message)


def _job(task: str) -> str:
    return f"teacher.{task}"
