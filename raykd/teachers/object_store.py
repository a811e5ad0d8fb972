"""Prepared tasks in Ray's object store: put once, read without copying on every node.

A task is one small object (rows, student, where recorded rows begin) and one object for each block
of cached outputs, so that blocks can be made, moved, spilled and lost one by one.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import ray

from raykd.data.base import Task
from raykd.errors import TrialError
from raykd.teachers.cached_outputs import Block, checksum
from raykd.teachers.prepared_task import PreparedTask


@dataclass(frozen=True, kw_only=True, slots=True)
class TeacherHandle:
    """Where a prepared task is; small, travels with every job.

    Attributes:
        task: The task itself, so that workers need not know where it is defined.
        fingerprint: Identity of the preparation.
        mode: ``outputs`` or ``weights``.
        refs: The object without its cached outputs, then one reference per block of them.
        store_bytes: Bytes in the object store.
        stored: Bytes of cached outputs by signal, those of feature transforms together.
        metrics: The teacher's scores.
        checksum: What the arrays added up to when they were published.
        version: How often it was published before.
    """

    task: Task
    fingerprint: str
    mode: str
    refs: tuple[Any, ...]
    store_bytes: int
    stored: Mapping[str, int]
    metrics: Mapping[str, float]
    checksum: int
    version: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredBlock:
    """A block of cached outputs in the object store.

    Attributes:
        ref: Reference to it.
        checksum: Of its arrays.
        nbytes: Of each of them.
    """

    ref: Any
    checksum: int
    nbytes: tuple[int, ...]

    @classmethod
    def of(cls, ref: Any, block: Block) -> StoredBlock:
        """A block whose values are at hand."""
        return cls(ref=ref, checksum=checksum(block), nbytes=tuple(a.nbytes for a in block))

    def values(self) -> Block:
        """Its arrays."""
        block: Block = ray.get(self.ref)
        return block


def put_blocks(blocks: Iterable[Block]) -> Iterator[StoredBlock]:
    """Put blocks one by one; the calling process owns them."""
    for block in blocks:
        yield StoredBlock.of(ray.put(block), block)


def publish(
    prepared: PreparedTask,
    task: Task,
    blocks: Iterable[StoredBlock] | None = None,
    version: int = 0,
) -> TeacherHandle:
    """Make a prepared task readable on every node; the calling process owns what it puts.

    Args:
        prepared: The task; without the values of cached outputs where `blocks` are given.
        task: The task.
        blocks: Its cached outputs, where they are in the store already or are put one by one.
        version: How often it was published before.
    """
    cached_outputs = prepared.cached_outputs
    if blocks is None:
        blocks = put_blocks(cached_outputs.chunks() if cached_outputs is not None else ())
    bare = prepared.bare()
    checksums = [checksum(bare.arrays())]
    size = sum(a.nbytes for a in bare.arrays())
    refs = [ray.put(bare)]
    stored: dict[str, int] = {}
    for block in blocks:
        refs.append(block.ref)
        checksums.append(block.checksum)
        assert cached_outputs is not None
        for name, size_of_array in zip(cached_outputs.kinds(), block.nbytes, strict=True):
            stored[name] = stored.get(name, 0) + size_of_array
    return TeacherHandle(
        task=task,
        fingerprint=prepared.fingerprint,
        mode="outputs" if cached_outputs is not None else "weights",
        refs=tuple(refs),
        store_bytes=size + sum(stored.values()),
        stored=stored,
        metrics=prepared.metrics,
        checksum=_joined(checksums),
        version=version,
    )


def fetch(handle: TeacherHandle) -> PreparedTask:
    """Read a published task; arrays are views of the store's shared memory, or of files.

    Raises:
        ray.exceptions.ObjectLostError: Some of it is gone with the process or node that had it.
        SetupError: A file is out of reach, or another one.
    """
    bare, *blocks = ray.get(list(handle.refs))
    prepared: PreparedTask = bare
    if prepared.cached_outputs is None:
        return prepared
    return replace(prepared, cached_outputs=prepared.cached_outputs.with_chunks(blocks))


def with_mapped(handle: TeacherHandle, prepared: PreparedTask) -> TeacherHandle:
    """The handle with a checksum that covers what this process maps from files, too."""
    return replace(handle, checksum=checksum(prepared.mapped(), handle.checksum))


def checksum_of(prepared: PreparedTask) -> int:
    """The checksum of every array of the store that trials share, as `publish` makes it."""
    blocks = prepared.cached_outputs.chunks() if prepared.cached_outputs is not None else ()
    return _joined([checksum(prepared.bare().arrays()), *map(checksum, blocks)])


def _joined(checksums: Sequence[int]) -> int:
    return zlib.crc32(np.asarray(checksums, np.uint32).tobytes())


def verify(handle: TeacherHandle, prepared: PreparedTask) -> None:
    """Check that the shared arrays were not written to.

    Shared memory is only nominally read-only: ``torch.from_numpy`` ignores the flag, and one
    in-place operation would change the teacher of every trial on the node.

    Raises:
        TrialError: They changed.
    """
    if checksum(prepared.mapped(), checksum_of(prepared)) != handle.checksum:
        raise TrialError(
            f"the shared outputs of the teacher of {handle.task.name} were written to",
            hint="a method must copy what it changes: look for in-place operations (add_, mul_)",
        )
