"""The Ray object store: prepared tasks are put once and read without copying on every node."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import ray

from raykd.data.base import Array, Task
from raykd.errors import TrialError
from raykd.teachers.prepare import Prepared
from raykd.teachers.ragged import Ragged
from raykd.teachers.recorded import RecordedOutputs, checksum


@dataclass(frozen=True, kw_only=True, slots=True)
class TeacherHandle:
    """Where a prepared task is; small, travels with every job.

    Attributes:
        task: The task itself, so that workers need not know where it is defined.
        fingerprint: Identity of the preparation.
        mode: ``outputs`` or ``weights``.
        refs: The object without its recorded outputs, then one reference per chunk of them.
        num_examples: Rows that outputs were recorded for.
        store_bytes: Bytes in the object store.
        metrics: The teacher's scores.
        checksum: What the arrays added up to when they were published.
    """

    task: Task
    fingerprint: str
    mode: str
    refs: tuple[Any, ...]
    num_examples: int
    store_bytes: int
    metrics: Mapping[str, float]
    checksum: int


def publish(prepared: Prepared, task: Task) -> TeacherHandle:
    """Put a prepared task into the object store; the calling process owns it."""
    recorded = prepared.recorded
    chunks = [c for part in recorded.parts() for c in part.chunks] if recorded is not None else []
    bare = prepared
    if recorded is not None:
        bare = replace(prepared, recorded=_with_chunks(recorded, None))
    return TeacherHandle(
        task=task,
        fingerprint=prepared.fingerprint,
        mode="outputs" if recorded is not None else "weights",
        refs=(ray.put(bare), *(ray.put(chunk) for chunk in chunks)),
        num_examples=len(prepared.splits["train"]),
        store_bytes=sum(a.nbytes for a in arrays(prepared)),
        metrics=prepared.metrics,
        checksum=checksum(arrays(prepared)),
    )


def fetch(handle: TeacherHandle) -> Prepared:
    """Read a published task; arrays are views of the store's shared memory."""
    bare, *chunks = ray.get(list(handle.refs))
    prepared: Prepared = bare
    if prepared.recorded is None:
        return prepared
    return replace(prepared, recorded=_with_chunks(prepared.recorded, chunks))


def _with_chunks(recorded: RecordedOutputs, chunks: Sequence[Array] | None) -> RecordedOutputs:
    """The recording with its chunks from one list, or without any."""
    left = iter(chunks or ())

    def filled(part: Ragged | None) -> Ragged | None:
        if part is None:
            return None
        count = len(part.starts) - 1 if chunks is not None else 0
        return part.with_chunks(tuple(next(left) for _ in range(count)))

    return replace(
        recorded,
        logits=filled(recorded.logits),
        hidden=filled(recorded.hidden),
        attentions=filled(recorded.attentions),
    )


def arrays(prepared: Prepared) -> Iterator[Array]:
    """Every array that trials share."""
    for encoded in prepared.splits.values():
        yield from (encoded.input_ids, encoded.token_type_ids, encoded.offsets, encoded.labels)
        if encoded.references is not None:
            yield encoded.references.groups
            if encoded.references.spans is not None:
                yield encoded.references.spans
    if prepared.recorded is not None:
        yield from prepared.recorded.arrays()
    for findings in prepared.findings.values():
        yield from findings.arrays.values()
    for source in (prepared.student, prepared.teacher):
        if source is not None and source.state is not None:
            yield from source.state.tensors.values()


def verify(handle: TeacherHandle, prepared: Prepared) -> None:
    """Make sure nobody wrote to the shared arrays.

    Shared memory is only nominally read-only: ``torch.from_numpy`` ignores the flag, and one
    in-place operation would change the teacher of every trial on the node.

    Raises:
        TrialError: They changed.
    """
    if checksum(arrays(prepared)) != handle.checksum:
        raise TrialError(
            f"the shared outputs of the teacher of {handle.task.name} were written to",
            hint="a method must copy what it changes: look for in-place operations (add_, mul_)",
        )
